# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What goes into the frame buffer, what comes out, and how it is found by its stamp."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import enum

from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.types import FrameHeader, UInt8Array

FrameKey = tuple[int, int]


@dataclass(frozen=True, eq=False)
class RawImage:
    """
    An uncompressed image as received.

    :param image_rgb: (height, width, 3) uint8; the buffer keeps a reference, so it must not be
        written to afterwards
    """

    image_rgb: UInt8Array


@dataclass(frozen=True)
class EncodedImage:
    """
    A compressed image as received.

    :param payload: a JPEG, or a PNG with 8 bits a channel
    """

    payload: bytes


@dataclass(frozen=True)
class Session:
    """
    A run of frames of one size with ascending stamps, in one folder.

    :param number: 0 for the first session of the process
    :param timeline: how often the stream went back in time before it: between two sessions of
        one timeline only the picture size changed
    """

    number: int
    timeline: int


@dataclass(frozen=True)
class StoredFrame:
    """
    A frame in the buffer, without its pixels.

    :param number: the frame's file name, from 0 in each session
    :param stamp_ns: time for look-up; the receive time where the header's stamp is 0
    :param header: the source's header, unchanged
    :param source_hw: height and width as received; the stored picture may be smaller
    :param received_ns: `time.monotonic_ns()` when it arrived
    :param index: number among the processed frames of the session, None until processed
    """

    session: Session
    number: int
    stamp_ns: int
    header: FrameHeader
    source_hw: tuple[int, int]
    received_ns: int = 0
    index: int | None = None

    @property
    def key(self) -> FrameKey:
        """Return what identifies the frame for as long as the process lives."""
        return self.session.number, self.number


class Outcome(enum.Enum):
    """What became of a received image."""

    STORED = 'stored'
    WAITING = 'waiting'
    DROPPED = 'dropped'
    LOST = 'lost'


@dataclass(frozen=True)
class Arrival:
    """
    The buffer's answer to one received image.

    :param outcome: WAITING for the next image if its size or stamp is odd, DROPPED for a stamp
        that does not go forward, LOST where there was no room
    :param reason: one sentence if it was dropped or lost
    :param stored: the frame if it was stored
    :param new_session: True if this began a session that is not the process's first
    :param also: one sentence if an image that had waited was dropped or lost
    :param trouble: one sentence, once, when frames can no longer be written to disk
    """

    outcome: Outcome
    reason: str = ''
    stored: StoredFrame | None = None
    new_session: bool = False
    also: str = ''
    trouble: str = ''


@dataclass(frozen=True)
class BufferStatistics:
    """
    The buffer in numbers; the counts are since it was made.

    :param received: images that came in, unreadable ones included
    :param held: frames that can be looked up now
    :param waiting: frames that the worker has still to be given
    :param disk_bytes: bytes of JPEG on disk
    :param memory_bytes: bytes of JPEG in memory: they wait for the disk, or it refused them
    :param skipped: frames passed over because a newer one was there
    :param dropped: frames whose stamp did not go forward, or alone with their size or stamp
    :param lost: frames refused for lack of room, unreadable when their turn came, or never
        written though they were to be kept
    :param unreadable: images refused on arrival
    :param storage_failures: failed writes and deletions
    :param sessions: sessions begun
    :param trouble: why frames stay in memory and do not come to disk, '' if they do
    :param oldest_stamp_ns: of the oldest frame of the newest session that is held: the oldest
        that a new object can be prompted on; None without a frame
    """

    received: int = 0
    held: int = 0
    waiting: int = 0
    disk_bytes: int = 0
    memory_bytes: int = 0
    skipped: int = 0
    dropped: int = 0
    lost: int = 0
    unreadable: int = 0
    storage_failures: int = 0
    sessions: int = 0
    trouble: str = ''
    oldest_stamp_ns: int | None = None


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
