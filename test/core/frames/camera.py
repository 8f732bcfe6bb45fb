# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A camera for the frame buffer's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import (
    Arrival,
    EncodedImage,
    Outcome,
    RawImage,
    StoredFrame,
)
from sam2_tracker.core.types import FrameHeader, UInt8Array

SECOND_NS = 10**9
PATIENCE_S = 60.0
HW = (24, 32)
Open = Callable[..., FrameBuffer]


def picture(seed: int = 0, hw: tuple[int, int] = HW) -> UInt8Array:
    """Return a smooth picture of its own for every seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize(hw[::-1], Image.Resampling.BILINEAR))


def payload(seed: int = 0, hw: tuple[int, int] = HW, kind: str = 'JPEG',
            **options: object) -> bytes:
    """Return a compressed picture as a camera sends it."""
    stream = io.BytesIO()
    Image.fromarray(picture(seed, hw)).save(stream, kind, **options)
    return stream.getvalue()


def opened(folder: Path | None, policy: FramePolicy = FramePolicy.EVERY,
           **settings: Any) -> FrameBuffer:
    """Open a buffer in a folder."""
    return FrameBuffer(BufferConfig(directory=folder, **settings), policy)


def header(stamp_s: float, frame_id: str = 'camera') -> FrameHeader:
    return FrameHeader(round(stamp_s * SECOND_NS), frame_id)


def flush(buffer: FrameBuffer) -> None:
    """Wait until the disk has all that it was given."""
    assert buffer.flush(PATIENCE_S)


def send(buffer: FrameBuffer, stamp_s: float, hw: tuple[int, int] = HW) -> Arrival:
    """Append a JPEG made from the stamp, ten frames a second; it is written afterwards."""
    arrival = buffer.append(EncodedImage(payload(round(stamp_s * 10), hw)), header(stamp_s), 1)
    flush(buffer)
    return arrival


def send_raw(buffer: FrameBuffer, stamp_s: float, hw: tuple[int, int] = HW) -> Arrival:
    arrival = buffer.append(RawImage(picture(round(stamp_s * 10), hw)), header(stamp_s), 1)
    flush(buffer)
    return arrival


def send_all(buffer: FrameBuffer, stamps_s: Iterable[float]) -> list[StoredFrame]:
    """Append frames that must all be stored."""
    arrivals = [send(buffer, stamp_s) for stamp_s in stamps_s]
    stored = [arrival.stored for arrival in arrivals if arrival.stored is not None]
    assert len(stored) == len(arrivals)
    return stored


def begin_session(buffer: FrameBuffer, stamp_s: float, hw: tuple[int, int] = HW) -> None:
    """Append the two frames of another stamp or size that it takes to begin a session."""
    assert send(buffer, stamp_s, hw).outcome is Outcome.WAITING
    arrival = send(buffer, stamp_s + 0.1, hw)
    assert arrival.new_session
    assert arrival.outcome is Outcome.STORED


def process(buffer: FrameBuffer, index: int) -> StoredFrame:
    """Do the worker's part for one frame that must be there."""
    stored = buffer.next(0)
    assert stored is not None
    buffer.frame(stored, index)
    buffer.mark_processed(stored, index)
    flush(buffer)
    return stored


def numbers(frames: Iterable[StoredFrame]) -> list[int]:
    return [stored.number for stored in frames]
