# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Finding a frame by time."""

from __future__ import annotations

from collections.abc import Iterable

from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.stored_frame import StoredFrame


def format_stamp(stamp_ns: int) -> str:
    """Return a stamp as seconds.nanoseconds, as ROS tools print it."""
    return f'{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}'


def nearest(frames: Iterable[StoredFrame], stamp_ns: int, tolerance_ns: int) -> StoredFrame:
    """
    Return the frame with the nearest stamp, of the newest session that has one near enough.

    :param frames: oldest first
    :raises FrameError: if there is none within the tolerance, naming what is available
    """
    candidates = list(frames)
    near = [frame for frame in candidates if abs(frame.stamp_ns - stamp_ns) <= tolerance_ns]
    if near:
        return min(near, key=lambda frame: (-frame.session.number,
                                            abs(frame.stamp_ns - stamp_ns)))
    raise FrameError(f'no frame within {tolerance_ns / 1e9:.3f} s of stamp '
                     f'{format_stamp(stamp_ns)}: {describe_range(candidates)}')


def nearest_processed(frames: Iterable[StoredFrame], stored: StoredFrame) -> StoredFrame:
    """
    Return the processed frame of the same session that is nearest in time.

    :raises FrameError: if none of that session is held
    """
    processed = [frame for frame in frames
                 if frame.session == stored.session and frame.index is not None]
    if processed:
        return min(processed, key=lambda frame: abs(frame.stamp_ns - stored.stamp_ns))
    raise FrameError('no processed frame is buffered in the session of stamp '
                     f'{format_stamp(stored.stamp_ns)}')


def ends(frames: Iterable[StoredFrame]) -> tuple[StoredFrame, StoredFrame]:
    """
    Return the oldest and the newest frame of the newest session.

    :param frames: oldest first
    :raises FrameError: if there is none
    """
    candidates = list(frames)
    if not candidates:
        raise FrameError('no frame is buffered yet')
    newest = candidates[-1]
    return next(frame for frame in candidates if frame.session == newest.session), newest


def describe_range(frames: Iterable[StoredFrame]) -> str:
    """Return in words what is available."""
    try:
        oldest, newest = ends(frames)
    except FrameError as error:
        return str(error)
    return (f'the buffer holds {format_stamp(oldest.stamp_ns)} (oldest) to '
            f'{format_stamp(newest.stamp_ns)} (newest)')
