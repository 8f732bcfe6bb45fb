# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What goes into the frame buffer and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
import enum

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
    DROPPED = 'dropped'
    LOST = 'lost'


@dataclass(frozen=True)
class Arrival:
    """
    The buffer's answer to one received image.

    :param outcome: DROPPED for a stamp that does not go forward, LOST where there was no room
    :param reason: one sentence unless it was stored
    :param stored: the frame if it was stored
    :param new_session: True for the first frame of a session that is not the process's first
    :param trouble: one sentence, once, when frames can no longer be written to disk
    """

    outcome: Outcome
    reason: str = ''
    stored: StoredFrame | None = None
    new_session: bool = False
    trouble: str = ''


@dataclass(frozen=True)
class BufferStatistics:
    """
    The buffer in numbers; the counts are since it was made.

    :param received: images that came in, unreadable ones included
    :param held: frames that can be looked up now
    :param waiting: frames that the worker has still to be given
    :param disk_bytes: bytes of JPEG on disk
    :param memory_bytes: bytes of JPEG kept in memory because the disk refused them
    :param skipped: frames passed over because a newer one was there
    :param dropped: frames whose stamp did not go forward
    :param lost: frames refused for lack of room, or unreadable when their turn came
    :param unreadable: images refused on arrival
    :param storage_failures: failed writes and deletions
    :param sessions: sessions begun
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
