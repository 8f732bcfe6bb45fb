# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Results of a made-up tracker: two squares that move, overlap and hide."""

from __future__ import annotations

from bag_making import FIRST_NS, jpeg_of, picture, STEP_NS
import numpy as np
from sam2_tracker.core.types import (
    Box,
    Frame,
    FrameHeader,
    ObjectState,
    TrackedFrame,
    TrackedObject,
)
from sam2_tracker.offline.sinks.sink import Result, Sink

HW = (48, 64)


def square(left: int, top: int, side: int = 12) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[top:top + side, left:left + side] = True
    return mask


def tracked_object(object_id: int, label: str, mask: np.ndarray) -> TrackedObject:
    """Describe a mask as the engine does."""
    if not mask.any():
        return TrackedObject(object_id, label, ObjectState.OCCLUDED, 0.125)
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    box = Box(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    return TrackedObject(
        object_id,
        label,
        ObjectState.VISIBLE,
        0.875,
        box,
        int(mask.sum()),
        (float(columns.mean()), float(rows.mean())),
    )


def result(number: int, hw: tuple[int, int] = HW) -> Result:
    """Give frame number so-and-so: the cup hides on frames 3 and 4, the ball overlaps it."""
    cup = square(4 + 2 * number, 10) if number not in (3, 4) else np.zeros(HW, bool)
    ball = square(10 + number, 16)
    labels = np.zeros(HW, np.uint16)
    labels[ball] = 2
    labels[cup] = 1
    stamp_ns = FIRST_NS + number * STEP_NS
    image = picture(number, hw)
    frame = Frame(number, stamp_ns, FrameHeader(stamp_ns, 'camera'), image, hw)
    tracked = TrackedFrame(
        frame, (tracked_object(1, 'cup', cup), tracked_object(2, '', ball)), (cup, ball), labels
    )
    return Result(number, stamp_ns + 5, tracked, jpeg_of(image))


def fill(sink: Sink, count: int = 6) -> None:
    for number in range(count):
        sink.write(result(number))
    sink.finish()
