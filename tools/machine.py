# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Find out what the machine has and what it lacks.

Only the standard library, since nothing is installed yet when this runs.
"""

from __future__ import annotations

from dataclasses import dataclass
import importlib.util
import os
from pathlib import Path
import platform
import shutil
import sys
import sysconfig

OLDEST_PYTHON = (3, 10)
# NumPy 2.2, the last that the cv-bridge wheel runs with, has no wheel for newer ones.
NEWEST_PYTHON_FOR_WHEELS = (3, 13)
APT_PACKAGE_OF_COMMAND = {'git': 'git', 'make': 'make', 'g++': 'g++'}


@dataclass(frozen=True)
class RosSource:
    """
    Where ROS 2 comes from.

    :param distribution: name of the sourced ROS installation, empty for the wheels
    """

    distribution: str

    @property
    def uses_wheels(self) -> bool:
        return not self.distribution

    def __str__(self) -> str:
        return f'ROS 2 {self.distribution}' if self.distribution else 'ROS 2 wheels'


class MachineError(Exception):
    """Something that the machine lacks, told in a sentence with what to do about it."""


def find_ros() -> RosSource:
    """
    Tell which ROS 2 to use: a sourced installation, otherwise the wheels.

    :raises MachineError: if the sourced installation is for another Python
    """
    distribution = os.environ.get('ROS_DISTRO', '')
    if distribution and importlib.util.find_spec('rclpy') is None:
        raise MachineError(
            f'ROS 2 {distribution} is sourced, but {sys.executable} cannot import its rclpy. '
            'Name the Python that it was built for, PYTHON=/usr/bin/python3 make ..., '
            'or unset ROS_DISTRO to use the wheels.'
        )
    return RosSource(distribution)


def check_machine(ros: RosSource) -> None:
    """
    Check everything that has to be there before the set-up.

    :raises MachineError: naming all that is missing
    """
    _check_python(ros)
    _check_architecture(ros)
    packages = missing_apt_packages()
    if packages:
        sudo = '' if os.geteuid() == 0 else 'sudo '
        raise MachineError(
            'This machine lacks what the set-up needs. Install it with\n\n'
            f'    {sudo}apt-get install -y {" ".join(packages)}\n'
        )


def missing_apt_packages() -> list[str]:
    """Name the Debian packages of what is missing here, in the order of the documentation."""
    missing = [
        package
        for command, package in APT_PACKAGE_OF_COMMAND.items()
        if shutil.which(command) is None
    ]
    if not (Path(sysconfig.get_path('include')) / 'Python.h').exists():
        missing.append('python3-dev')
    if not _has_venv():
        missing.append('python3-venv')
    return missing


def _has_venv() -> bool:
    # Debian ships `venv` without python3-venv, but not the ensurepip that it calls.
    return all(importlib.util.find_spec(name) for name in ('venv', 'ensurepip'))


def _check_python(ros: RosSource) -> None:
    version = sys.version_info[:2]
    too_new = ros.uses_wheels and version > NEWEST_PYTHON_FOR_WHEELS
    if version < OLDEST_PYTHON or too_new:
        raise MachineError(
            f'{sys.executable} is Python {platform.python_version()}; Python 3.10 to 3.13 is '
            'wanted. Name another: PYTHON=python3.12 make ...'
        )


def _check_architecture(ros: RosSource) -> None:
    if ros.uses_wheels and platform.machine() != 'x86_64':
        raise MachineError(
            f'The ROS 2 wheels are for x86_64 only and this machine is {platform.machine()}: '
            'install ROS 2 from its apt packages, source its setup.bash, and run this again.'
        )
