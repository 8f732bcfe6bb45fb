# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the frame buffer's tests share."""

from __future__ import annotations

from pathlib import Path

from camera import Open, opened
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.frames.buffer import FrameBuffer


@pytest.fixture
def open_buffer(tmp_path: Path, request: pytest.FixtureRequest) -> Open:
    """Give a way to open buffers that are closed at the end."""
    def open_one(policy: FramePolicy = FramePolicy.EVERY, **settings: object) -> FrameBuffer:
        buffer = opened(tmp_path, policy, **settings)
        request.addfinalizer(buffer.close)
        return buffer
    return open_one
