# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the launch tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401

if TYPE_CHECKING:
    from launched import Asker


@pytest.fixture(autouse=True)
def _installation(needs_ros: None, needs_launch: None) -> None:
    """Skip where there is no `ros2 launch`."""


@pytest.fixture
def asker(needs_ros: None, needs_launch: None) -> Iterator[Asker]:
    from launched import Asker

    asker = Asker()
    yield asker
    asker.close()
