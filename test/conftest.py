# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
import signal
import sys

from hypothesis import HealthCheck, settings
import pytest
from sam2_tracker.core.process import spin_briefly

ROOT = Path(__file__).resolve().parent.parent
ROS_TESTS = ROOT / 'test' / 'ros'

# Before any ROS library is loaded: no test talks to another machine.
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
# Before torch is loaded.
spin_briefly()
# A shell's background jobs ignore SIGINT, and so would all programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A pause is no failure, and every run has the same examples.
settings.register_profile('repeatable', deadline=None, derandomize=True,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('repeatable')


@pytest.fixture(scope='session')
def repository_root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def data_dir() -> Path:
    """
    Give the folder of real video with ground truth, or skip.

    :return: what SAM2_TRACKER_DATA names, otherwise `shared/data` beside the repository
    """
    named = os.environ.get('SAM2_TRACKER_DATA')
    path = Path(named) if named else ROOT.parent / 'shared' / 'data'
    if not path.is_dir():
        pytest.skip(f'no test video at {path}; SAM2_TRACKER_DATA names another place')
    return path


@pytest.fixture(autouse=True, scope='module')
def _subnormal_numbers(request: pytest.FixtureRequest) -> None:
    """Let hypothesis make floats again where tests before have set torch to flush subnormals."""
    if ROS_TESTS in request.path.parents and 'torch' in sys.modules:
        sys.modules['torch'].set_flush_denormal(False)


@pytest.fixture(scope='session')
def needs_ros() -> None:
    """Skip where rclpy, or the messages that colcon builds, cannot be imported."""
    for module in ('rclpy', 'sam2_tracker_msgs.msg', 'sam2_tracker_msgs.srv'):
        _skip_without(module, 'run `make setup`, then source install/setup.bash')


@pytest.fixture(scope='session')
def needs_launch() -> None:
    """Skip where `ros2 launch` is not installed, as with the ROS 2 wheels."""
    for module in ('launch', 'launch_ros', 'ros2launch'):
        _skip_without(module, 'launch files are tested on a ROS 2 installation')


def _skip_without(module: str, what_to_do: str) -> None:
    spec = importlib.util.find_spec(module.split('.')[0]) and importlib.util.find_spec(module)
    # A folder of that name in the working directory counts as a package, but has no origin.
    if spec is None or spec.origin is None:
        pytest.skip(f'{module} is not installed: {what_to_do}')
