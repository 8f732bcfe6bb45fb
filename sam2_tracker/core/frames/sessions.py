# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Images sorted into sessions by their stamps and sizes; an odd one waits for the next."""

from __future__ import annotations

from dataclasses import dataclass, field
import time

from sam2_tracker.core.frames.jpeg import FrameJpeg
from sam2_tracker.core.frames.stored_frame import format_stamp, Session
from sam2_tracker.core.types import FrameHeader

# A stamp that goes back by this much is that of another recording, or of one played again.
RESTART_NS = 1_000_000_000
# One that goes ahead by more, and by several times what the one before did, is odd.
FAR_AHEAD_NS = 2_000_000_000
FAR_AHEAD_INTERVALS = 4
# An odd image is believed if none that contradicts it comes for so many usual intervals, within
# these bounds.
HOLD_INTERVALS = 3
SHORTEST_HOLD_S, LONGEST_HOLD_S = 1.0, 3.0


@dataclass(frozen=True, eq=False)
class ReceivedFrame:
    """
    An image of the stream on its way into the buffer.

    :param stamp_ns: time for look-up
    :param received_ns: `time.monotonic_ns()` of its arrival
    """

    frame: FrameJpeg
    header: FrameHeader
    stamp_ns: int
    received_ns: int = field(default_factory=time.monotonic_ns)

    @property
    def source_hw(self) -> tuple[int, int]:
        """Return height and width as received."""
        return self.frame.source_hw


@dataclass(frozen=True)
class Sorted:
    """
    What becomes of an image that came, and of one that waited.

    :param admitted: those that are in a session now, in order
    :param dropped: why one that came or waited is not taken, '' if neither is
    :param waits: True if the one that came waits for the next
    """

    admitted: tuple[tuple[Session, ReceivedFrame], ...] = ()
    dropped: str = ''
    waits: bool = False


class StreamSessions:
    """
    Sorts images into sessions.

    An equal stamp, or one that goes back by less than 1 s, drops the image. One that goes back
    further, as when a bag is looped, begins a new session on a new timeline; another size begins
    a new session on the same one.

    A single image may be damaged, or its stamp wrong. So one that goes back, is of another size
    or is far ahead waits for the next: if that one agrees, both are taken; if it goes on where
    the stream was, the odd one is dropped. If no other comes the odd one is taken after all.
    """

    def __init__(self) -> None:
        self._session = Session(number=0, timeline=0)
        self._last: ReceivedFrame | None = None
        self._interval_ns = 0
        self._odd: ReceivedFrame | None = None
        self._odd_until_s = 0.0

    def is_familiar(self, source_hw: tuple[int, int]) -> bool:
        """Return whether an image of this size has been taken, or waits."""
        return any(known is not None and known.source_hw == source_hw
                   for known in (self._last, self._odd))

    def sort(self, came: ReceivedFrame) -> Sorted:
        """Say what becomes of an image, and of one that waited for it."""
        odd = self._odd
        if self._last is None or self._goes_on(came, self._last):
            self._odd = None
            return Sorted((self._admit(came),), _reason(odd))
        if odd is not None and self._agrees(came, odd, self._last):
            self._odd = None
            return Sorted((self._admit(odd), self._admit(came)))
        if 0 <= self._last.stamp_ns - came.stamp_ns < RESTART_NS:
            return Sorted(dropped=f'frame {format_stamp(came.stamp_ns)} is not newer than the one '
                                  'before')
        self._odd = came
        self._odd_until_s = time.monotonic() + min(max(
            HOLD_INTERVALS * self._interval_ns / 1e9, SHORTEST_HOLD_S), LONGEST_HOLD_S)
        return Sorted(dropped=_reason(odd), waits=True)

    @property
    def odd_for_s(self) -> float | None:
        """Return for how long an odd image still waits, None if there is none."""
        return None if self._odd is None else self._odd_until_s - time.monotonic()

    def believe(self) -> Sorted:
        """Take the odd image: none came that contradicts it."""
        odd, self._odd = self._odd, None
        return Sorted() if odd is None else Sorted((self._admit(odd),))

    def _goes_on(self, came: ReceivedFrame, last: ReceivedFrame) -> bool:
        far_ns = max(FAR_AHEAD_NS, FAR_AHEAD_INTERVALS * self._interval_ns)
        return (came.source_hw == last.source_hw
                and 0 < came.stamp_ns - last.stamp_ns <= far_ns)

    def _agrees(self, came: ReceivedFrame, odd: ReceivedFrame, last: ReceivedFrame) -> bool:
        """Return whether an image that does not go on where the stream was follows the odd one."""
        after_ns = came.stamp_ns - odd.stamp_ns
        is_nearer = came.source_hw != last.source_hw or (
            after_ns < abs(came.stamp_ns - last.stamp_ns))
        return self._goes_on(came, odd) or (
            is_nearer and after_ns > 0 and came.source_hw == odd.source_hw)

    def _admit(self, frame: ReceivedFrame) -> tuple[Session, ReceivedFrame]:
        last, self._last = self._last, frame
        if last is not None:
            restarted = last.stamp_ns - frame.stamp_ns >= RESTART_NS
            if restarted or frame.source_hw != last.source_hw:
                self._session = Session(self._session.number + 1,
                                        self._session.timeline + restarted)
            self._interval_ns = max(0, frame.stamp_ns - last.stamp_ns)
        return self._session, frame


def _reason(odd: ReceivedFrame | None) -> str:
    if odd is None:
        return ''
    height, width = odd.source_hw
    return (f'frame {format_stamp(odd.stamp_ns)} of {width}x{height} is alone with its size or '
            'stamp: the next one does not go on from it')
