# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Modules of tests that cannot even be imported where ROS or the messages are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def missing() -> str:
    """Say what these tests lack, empty if nothing."""
    try:
        import cv_bridge  # noqa: F401
        import rclpy  # noqa: F401
    except ImportError as error:
        return f'ROS 2 is not installed: {error}'
    try:
        # The folder of that name in the repository imports too, as an empty package.
        from sam2_tracker_msgs.srv import AddPrompts  # noqa: F401
    except ImportError as error:
        return f'build the workspace and source install/setup.bash first: {error}'
    return ''


class SkippedModule(pytest.Module):
    """A module that cannot even be imported here."""

    def collect(self) -> list[Any]:
        pytest.skip(missing(), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    """Skip every module, with the reason, where something is missing."""
    return SkippedModule.from_parent(parent, path=module_path) if missing() else None
