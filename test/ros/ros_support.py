# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the ROS tests share; importing it skips a module where ROS or the messages are missing."""

from __future__ import annotations

import os

import pytest

# As the older distributions do always: refuse a field of another type.
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
try:
    # The folder of that name in the repository imports too, as an empty package.
    from sam2_tracker_msgs.srv import AddPrompts  # noqa: F401
except ImportError:
    pytest.skip('sam2_tracker_msgs: build the workspace and source install/setup.bash first',
                allow_module_level=True)

# Fast DDS's defaults lose most images of ordinary size; nothing here leaves this machine.
os.environ['FASTDDS_BUILTIN_TRANSPORTS'] = 'LARGE_DATA'
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
