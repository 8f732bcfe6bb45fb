# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The standing commands drive the node: where ROS or the messages are missing, tests skip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401


def missing() -> str:
    """Say what these tests lack, empty if nothing."""
    try:
        import rclpy  # noqa: F401

        # The folder of that name in the repository imports too, as an empty package.
        from sam2_tracker_msgs.srv import AddPrompts  # noqa: F401
    except ImportError as error:
        return f'ROS 2 or the messages are missing: {error}'
    return ''


class SkippedModule(pytest.Module):
    """A module that cannot even be imported here."""

    def collect(self) -> list[Any]:
        pytest.skip(missing(), allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    """Skip every module, with the reason, where something is missing."""
    return SkippedModule.from_parent(parent, path=module_path) if missing() else None
