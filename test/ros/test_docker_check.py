# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The scripts of the image, run where they can be: Docker itself is not needed."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess

import pytest
from tracker_runner import executable

DOMAIN_ID = 93
DOCKER = Path(__file__).resolve().parents[2] / 'docker'


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=400, check=False,
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), **variables})


def test_the_check_tracks_the_disc(tmp_path):
    # Of `ros2` the script needs this much.
    ros2 = tmp_path / 'ros2'
    ros2.write_text(f'#!/bin/sh\nname=$3\nshift 3\n'
                    f'exec {Path(executable()).parent}/"$name" "$@"\n')
    ros2.chmod(0o755)
    done = run(DOCKER / 'check.sh', PATH=f'{tmp_path}:{os.environ["PATH"]}')
    assert done.returncode == 0, done.stderr
    assert '"label": "disc", "state": "VISIBLE"' in done.stderr


def test_the_check_fails_where_nothing_tracks(tmp_path):
    ros2 = tmp_path / 'ros2'
    ros2.write_text('#!/bin/sh\nexit 1\n')
    ros2.chmod(0o755)
    assert run(DOCKER / 'check.sh', PATH=f'{tmp_path}:{os.environ["PATH"]}').returncode != 0


def test_the_entrypoint_runs_its_arguments_with_both_packages():
    distribution = os.environ.get('ROS_DISTRO', '')
    if not Path('/opt/ros', distribution, 'setup.bash').is_file():
        pytest.skip('there is no ROS 2 installation in /opt/ros')
    done = run(DOCKER / 'entrypoint.sh', 'python', '-c',
               'import sys, sam2_tracker_msgs.msg; print(sys.argv[1:])', 'a b')
    assert done.stdout == "['a b']\n", done.stderr
