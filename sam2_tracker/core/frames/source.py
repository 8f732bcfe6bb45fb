# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What the tracker and the worker need of whatever holds the frames, and pins for replays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

from sam2_tracker.core.frames.stored_frame import Arrival, EncodedImage, RawImage, StoredFrame
from sam2_tracker.core.types import Frame, FrameHeader, UInt8Array


class FrameLookup(Protocol):
    """Pixels of frames that were processed already, by their index in the session."""

    def image(self, index: int) -> UInt8Array:
        """
        Return a processed frame's pixels, (height, width, 3) uint8 RGB.

        :raises FrameError: if it is not held any more
        """

    def stamp_ns(self, index: int) -> int:
        """
        Return a processed frame's stamp.

        :raises FrameError: if it is not held any more
        """

    def keep_from(self, index: int | None) -> None:
        """
        Hold the processed frames from this index on, None to hold none on purpose.

        :raises FrameError: if one of them is gone already
        """


class FrameSource(Protocol):
    """A frame buffer, as the worker uses it; `FrameBuffer` documents each."""

    def append(
        self,
        image: RawImage | EncodedImage,
        header: FrameHeader,
        received_ns: int,
        clock_ns: int | None = None,
    ) -> Arrival: ...

    def next(self, timeout_s: float | None) -> StoredFrame | None: ...  # noqa: A003

    def wake(self) -> None: ...

    def frame(self, stored: StoredFrame, index: int) -> Frame: ...

    def following(self) -> UInt8Array | None: ...

    def mark_processed(self, stored: StoredFrame, index: int) -> None: ...

    def image(self, index: int) -> UInt8Array: ...

    def by_index(self, index: int) -> StoredFrame: ...

    def nearest(self, stamp_ns: int, tolerance_ns: int) -> StoredFrame: ...

    def nearest_processed(self, stored: StoredFrame) -> StoredFrame: ...

    def newest(self) -> StoredFrame: ...

    def pin(self, stored: StoredFrame) -> AbstractContextManager[object]: ...

    def begin_snapshot(self, wanted: Callable[[], bool]) -> Future[Path]: ...


class PinnedFrames:
    """Processed frames of a buffer; those that a replay still needs are pinned there."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._first: int | None = None
        self._pins: dict[int, ExitStack] = {}
        self._next_index = 0

    def image(self, index: int) -> UInt8Array:
        """
        Return a processed frame's pixels, (height, width, 3) uint8 RGB.

        :raises FrameError: if it was evicted
        """
        return self._source.image(index)

    def stamp_ns(self, index: int) -> int:
        """
        Return a processed frame's stamp.

        :raises FrameError: if it was evicted
        """
        return self._source.by_index(index).stamp_ns

    def keep_from(self, index: int | None) -> None:
        """
        Pin the processed frames from this index on, None to pin none.

        :raises FrameError: if one of them is gone already
        """
        if index is not None:
            for needed in range(index, self._next_index):
                self._pin(needed)
        self._first = index
        for pinned in [known for known in self._pins if index is None or known < index]:
            self._pins.pop(pinned).close()

    def processed(self, index: int) -> None:
        """Take in that a frame was processed."""
        self._next_index = index + 1
        if self._first is not None:
            self._pin(index)

    def restart(self) -> None:
        """Let go of the frames of a session that ended."""
        self.keep_from(None)
        self._next_index = 0

    def _pin(self, index: int) -> None:
        if index not in self._pins:
            pins = ExitStack()
            pins.enter_context(self._source.pin(self._source.by_index(index)))
            self._pins[index] = pins
