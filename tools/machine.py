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
# Files in requirements/, by the distribution that they install.
WHEELS_FILE = {'kilted': 'ros-wheels', 'jazzy': 'ros-wheels-jazzy'}
DEFAULT_WHEELS = 'kilted'
# NumPy 2.2, the last that the cv-bridge wheel runs with, has no wheel for newer ones.
NEWEST_PYTHON_FOR_WHEELS = (3, 13)
APT_PACKAGE_OF_COMMAND = {'git': 'git', 'make': 'make', 'g++': 'g++'}


@dataclass(frozen=True)
class RosSource:
    """
    Where ROS 2 comes from.

    :param distribution: its name, as in ROS_DISTRO
    :param uses_wheels: whether it comes as wheels, rather than from a sourced installation
    """

    distribution: str
    uses_wheels: bool

    def __str__(self) -> str:
        return f'ROS 2 {self.distribution}' + (' from wheels' if self.uses_wheels else '')


class MachineError(Exception):
    """Something that the machine lacks, told in a sentence with what to do about it."""


def find_ros(wheels: str = '') -> RosSource:
    """
    Tell which ROS 2 to use: a sourced installation, otherwise wheels.

    :param wheels: distribution whose wheels are wanted whatever there is, or empty
    :raises MachineError: if there are no such wheels, or if the sourced installation is in their
        way or for another Python
    """
    distribution = os.environ.get('ROS_DISTRO', '')
    if wheels and wheels not in WHEELS_FILE:
        raise MachineError(
            f'ROS={wheels}: there are wheels of {" and ".join(WHEELS_FILE)} only. '
            'Source an installation of any other distribution, and leave ROS= out.'
        )
    if wheels and distribution:
        raise MachineError(
            f'ROS={wheels} asks for wheels, and this shell has ROS 2 {distribution}. '
            'Use a shell in which no ROS installation is sourced, or leave ROS= out.'
        )
    if not distribution:
        return RosSource(wheels or DEFAULT_WHEELS, uses_wheels=True)
    if importlib.util.find_spec('rclpy') is None:
        raise MachineError(
            f'ROS 2 {distribution} is sourced, but {sys.executable} cannot import its rclpy. '
            'Name the Python that it was built for, PYTHON=/usr/bin/python3 make ..., '
            'or unset ROS_DISTRO to use the wheels.'
        )
    return RosSource(distribution, uses_wheels=False)


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
