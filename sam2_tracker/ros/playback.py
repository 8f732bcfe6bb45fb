# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""When which frame of a recording is due, as if it came from a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from sam2_tracker.offline.sources.files import FolderSource, VideoSource
from sam2_tracker.offline.sources.source import SourceFrame

NS_PER_S = 1_000_000_000
# Later than this, and the source is slower than its own rate: its clock is set anew.
MAX_LATE_NS = NS_PER_S // 2


@dataclass(frozen=True)
class Section:
    """
    Which part of a recording is played and how fast.

    :param rate_hz: frames a second, 0 for the recording's own times
    :param first: number of the first frame
    :param last: number of the last frame, -1 for that of the recording
    """

    rate_hz: float = 0.0
    loop: bool = False
    first: int = 0
    last: int = -1


def timed_frames(
    source: VideoSource | FolderSource, section: Section
) -> Iterator[tuple[int, SourceFrame]]:
    """
    Read frames together with the time since the first one, which goes on from loop to loop.

    :raises FrameError: a frame is unreadable
    """
    period_ns = round(NS_PER_S / (section.rate_hz or source.rate_hz))
    count = None if section.last < 0 else section.last - section.first + 1
    offset_ns, empty = 0, False
    while not empty:
        empty, time_ns, first_ns = True, 0, 0
        for position, frame in enumerate(islice(source.frames(section.first), count)):
            first_ns = frame.stamp_ns if position == 0 else first_ns
            time_ns = position * period_ns if section.rate_hz else frame.stamp_ns - first_ns
            yield offset_ns + time_ns, frame
            empty = False
        offset_ns += time_ns + period_ns
        empty = empty or not section.loop


class Pacer:
    """
    Steady times: frame times are laid on a clock, which waits for a source that is too slow.

    :param now_ns: a clock that never goes back
    :param stamp_ns: the stamp that belongs to the first frame
    """

    def __init__(self, now_ns: Callable[[], int], stamp_ns: int) -> None:
        self._now_ns = now_ns
        self._start_ns = now_ns()
        self._stamp_ns = stamp_ns

    def schedule(self, time_ns: int) -> tuple[float, int]:
        """
        Say when a frame is due.

        :param time_ns: the frame's time since the first one
        :returns: seconds to wait from now, 0 or more, and the frame's stamp in nanoseconds
        """
        late_ns = self._now_ns() - self._start_ns - time_ns
        if late_ns > MAX_LATE_NS:
            self._start_ns += late_ns
            self._stamp_ns += late_ns
        return max(0, -late_ns) / NS_PER_S, self._stamp_ns + time_ns
