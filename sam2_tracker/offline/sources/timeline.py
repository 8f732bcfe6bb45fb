# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The frames of a recording with the times and the size that they are to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
import enum
from pathlib import Path

from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.types import Frame, FrameHeader
from sam2_tracker.offline.sources.source import SourceFrame

# Clocks are corrected by less; a recording that jumps back farther was begun again in the middle.
RESTART_NS = 10**9


class Clock(enum.Enum):
    """Which of a bag's two times is a frame's: the camera's, or when it was recorded."""

    HEADER = 'header'
    RECORDED = 'recorded'


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """
    A frame of a recording as the tracker takes it.

    :param source: as it was read
    :param next_stamp_ns: stamp of the frame after it, None for the last
    :param following: the frame after it, where it is at hand
    """

    frame: Frame
    source: SourceFrame
    next_stamp_ns: int | None
    following: Frame | None = None


class Timeline:
    """
    Numbers a recording's frames and finds out whether their times and sizes can be right.

    :param path: as messages name the recording
    """

    def __init__(self, path: Path, clock: Clock, log: Log) -> None:
        self._path = path
        self._clock = clock
        self._log = log
        self._newest: Frame | None = None
        self._warned_back = False
        self._warned_zero = False

    def frames(self, frames: Iterable[SourceFrame]) -> Iterator[TimedFrame]:
        """
        Yield every frame when the one after it is known.

        :raises FrameError: if there is none, the size changes, or time jumps back
        """
        before: tuple[Frame, SourceFrame] | None = None
        for source in frames:
            frame = self._frame(source)
            if before is not None:
                yield TimedFrame(*before, frame.stamp_ns, frame)
            before = frame, source
        if before is None:
            raise FrameError(f'{self._path} has no frame')
        yield TimedFrame(*before, None)

    def _frame(self, source: SourceFrame) -> Frame:
        index = 0 if self._newest is None else self._newest.index + 1
        height, width = source.image_rgb.shape[:2]
        header = FrameHeader(source.stamp_ns, source.frame_id)
        frame = Frame(index, self._time(source, index), header, source.image_rgb, (height, width))
        if self._newest is not None:
            self._check_size(frame, self._newest)
            self._check_time(frame, self._newest)
        self._newest = frame
        return frame

    def _time(self, source: SourceFrame, index: int) -> int:
        if self._clock is Clock.RECORDED:
            return source.recorded_ns
        if source.stamp_ns or source.recorded_ns == 0:
            return source.stamp_ns
        if not self._warned_zero:
            self._warned_zero = True
            self._log(
                Level.WARN,
                f'{self._path}: frame {index} has stamp 0: the time of its '
                'recording is taken for it',
            )
        return source.recorded_ns

    def _check_size(self, frame: Frame, before: Frame) -> None:
        if frame.source_hw != before.source_hw:
            raise FrameError(
                f'{self._path}: frame {frame.index} is {_size(frame)} but those before it are '
                f'{_size(before)}: give recordings of different sizes as different sources'
            )

    def _check_time(self, frame: Frame, before: Frame) -> None:
        if frame.stamp_ns > before.stamp_ns:
            return
        what = (
            f'{self._path}: stamps go back from {format_stamp(before.stamp_ns)} (frame '
            f'{before.index}) to {format_stamp(frame.stamp_ns)} (frame {frame.index})'
        )
        if before.stamp_ns - frame.stamp_ns >= RESTART_NS:
            raise FrameError(
                f'{what}: the recording begins again there; cut it, or go by the '
                "bag's own times with --clock recorded"
            )
        if not self._warned_back:
            self._warned_back = True
            self._log(Level.WARN, f'{what}: frames are taken in the order of their recording')


def _size(frame: Frame) -> str:
    return f'{frame.source_hw[1]}x{frame.source_hw[0]}'
