# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The standing commands drive the node: where ROS or the messages are missing, tests skip."""

from ros_lock import _one_run_at_a_time  # noqa: F401
from ros_modules import pytest_pycollect_makemodule  # noqa: F401
