# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The frame buffer: a rolling folder of JPEGs, and the newest pictures in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import threading
from types import TracebackType

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import stored_frame as lookup
from sam2_tracker.core.frames.files import FrameDirectory, FrameStore
from sam2_tracker.core.frames.jpeg import FrameCodec
from sam2_tracker.core.frames.stored_frame import (
    Arrival,
    BufferStatistics,
    EncodedImage,
    format_stamp,
    Outcome,
    RawImage,
    Session,
    StoredFrame,
    StreamGate,
)
from sam2_tracker.core.frames.writer import FrameShelf
from sam2_tracker.core.types import Frame, FrameHeader, UInt8Array


class FrameBuffer:
    """
    Holds the frames of a stream from arrival until nothing can need them any more.

    Images are appended by any thread, one at a time; one thread, the worker, calls `next`,
    `frame` and `mark_processed`; all else may be called from anywhere. Arrays that come out are
    shared: do not write to them.

    :param policy: `latest` gives the worker the newest frame, `every` gives it each one
    :raises StorageError: if the directory cannot be used
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy) -> None:
        self._max_bytes = config.max_bytes
        self._codec = FrameCodec(config, policy)
        self._gate = StreamGate()
        self._store = FrameStore(FrameDirectory(config.directory, config.keep), config.keep)
        self._shelf = FrameShelf(config, policy, self._store)
        self._arriving = threading.Lock()  # Guards what is below.
        self._received = self._dropped = self._lost = self._unreadable = 0
        self._session: Session | None = None
        self._next_number = 0
        self._closed = False

    def __enter__(self) -> FrameBuffer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def append(self, image: RawImage | EncodedImage, header: FrameHeader, received_ns: int,
               clock_ns: int | None = None) -> Arrival:
        """
        Store a received image; a JPEG is not decoded unless it has to be scaled.

        :param received_ns: `time.monotonic_ns()` of its arrival
        :param clock_ns: its arrival on the clock of the stamps, which stands in for a header's
            stamp of 0; `received_ns` if it is not given
        :raises FrameError: if the image is empty, truncated or not a picture
        """
        stamp_ns = header.stamp_ns or (received_ns if clock_ns is None else clock_ns)
        with self._arriving:
            self._received += 1
            try:
                return self._append(image, header, received_ns, stamp_ns)
            except FrameError:
                self._unreadable += 1
                raise

    def _append(self, image: RawImage | EncodedImage, header: FrameHeader, received_ns: int,
                stamp_ns: int) -> Arrival:
        if self._closed:
            return self._drop(f'frame {format_stamp(stamp_ns)} came after the end')
        frame = self._codec.prepare(image)
        session = self._gate.admit(stamp_ns, frame.source_hw)
        if session is None:
            return self._drop(f'frame {format_stamp(stamp_ns)} is not newer than the one before')
        new_session = self._begin(session)
        stored = StoredFrame(session, self._next_number, stamp_ns, header, frame.source_hw,
                             received_ns)
        was_in_trouble = self._shelf.trouble != ''
        self._next_number += 1  # Not given twice, whatever happens to this frame.
        fits = self._shelf.put(stored, frame)
        trouble = '' if was_in_trouble else self._shelf.trouble
        if not fits:
            self._next_number -= 1  # Nobody has seen it.
            return Arrival(Outcome.LOST, self._lose(stored), None, new_session, trouble)
        return Arrival(Outcome.STORED, '', stored, new_session, trouble)

    def _drop(self, reason: str) -> Arrival:
        self._dropped += 1
        return Arrival(Outcome.DROPPED, reason)

    def _lose(self, stored: StoredFrame) -> str:
        self._lost += 1
        return (f'frame {format_stamp(stored.stamp_ns)} is lost: buffer.max_bytes '
                f'({self._max_bytes}) is full and {self.statistics.waiting} frames wait')

    def _begin(self, session: Session) -> bool:
        """Begin a session if it is a new one; return whether it ended another."""
        before, self._session = self._session, session
        if session == before:
            return False
        self._shelf.begin_session(session)
        self._next_number = 0
        return before is not None

    def next(self, timeout_s: float | None = None) -> StoredFrame | None:
        """
        Wait for the worker's next frame; it cannot be evicted until the following call.

        `latest` gives the newest one; those passed over stay in the buffer for prompts. `every`
        gives the oldest one that waits, and the rest of a session before the next session. The
        frames of a session go when the first one of the next is given.

        :returns: None after the timeout, `wake` or `close`
        """
        return self._shelf.take(timeout_s)

    def wake(self) -> None:
        """Make `next` return None at once: the call that waits, or else the following one."""
        self._shelf.wake()

    def frame(self, stored: StoredFrame, index: int) -> Frame:
        """
        Return a frame with its pixels, to be processed under a number.

        :raises FrameError: if it cannot be decoded; it is then deleted and counted as lost
        """
        try:
            image_rgb = self.pixels(stored)
        except FrameError:
            if self._shelf.throw_out(stored):
                with self._arriving:
                    self._lost += 1
            raise
        return Frame(index, stored.stamp_ns, stored.header, image_rgb, stored.source_hw,
                     stored.received_ns)

    def mark_processed(self, stored: StoredFrame, index: int) -> None:
        """
        Note that the frame in work was processed under a number.

        :raises FrameError: if it is not the frame in work
        """
        self._shelf.settle(stored, index)

    def pixels(self, stored: StoredFrame) -> UInt8Array:
        """
        Return a frame's picture, (height, width, 3) uint8 RGB.

        Under `latest` the newest ones are as received; all others are the decoded JPEG, as stock
        SAM 2 decodes it.

        :raises FrameError: if the frame is gone or unreadable
        """
        return self._shelf.pixels(stored)

    def image(self, index: int) -> UInt8Array:
        """
        Return the picture of a processed frame of the worker's session.

        :raises FrameError: if it is gone or unreadable
        """
        return self.pixels(self.by_index(index))

    def by_index(self, index: int) -> StoredFrame:
        """
        Return a processed frame of the worker's session.

        :raises FrameError: if it is gone
        """
        stored = self._shelf.by_index(index)
        if stored is None:
            raise FrameError(f'processed frame {index} is not buffered: '
                             f'{lookup.describe_range(self._shelf.frames())}')
        return stored

    def nearest(self, stamp_ns: int, tolerance_ns: int) -> StoredFrame:
        """
        Return the frame nearest in time, of the newest session that has one near enough.

        :raises FrameError: if there is none within the tolerance, naming what is available
        """
        return lookup.nearest(self._shelf.frames(), stamp_ns, tolerance_ns)

    def nearest_processed(self, stored: StoredFrame) -> StoredFrame:
        """
        Return the processed frame of the same session whose place a skipped one takes.

        :raises FrameError: if there is none
        """
        return lookup.nearest_processed(self._shelf.frames(), stored)

    def newest(self) -> StoredFrame:
        """
        Return the newest frame.

        :raises FrameError: if there is none
        """
        return lookup.ends(self._shelf.frames())[1]

    def oldest(self) -> StoredFrame:
        """
        Return the oldest frame of the newest session.

        :raises FrameError: if there is none
        """
        return lookup.ends(self._shelf.frames())[0]

    @contextmanager
    def pin(self, stored: StoredFrame) -> Iterator[None]:
        """
        Keep a frame from being evicted, also past the end of its session.

        :raises FrameError: if it is gone already
        """
        with self._shelf.pinned([stored]) as pinned:
            if not pinned:
                raise self._shelf.gone(stored)
            yield

    def snapshot(self) -> Path:
        """
        Link the newest session's frames into a folder that nothing is ever evicted from.

        Stock SAM 2's `init_state` takes it; `stamps.csv` in it has the frames' stamps and
        numbers.

        :raises FrameError: if there is no frame yet
        :raises StorageError: if it cannot be written
        """
        return self._shelf.snapshot()

    @property
    def statistics(self) -> BufferStatistics:
        """Return the buffer in numbers."""
        return self._shelf.count(BufferStatistics(
            received=self._received, dropped=self._dropped, lost=self._lost,
            unreadable=self._unreadable,
            sessions=0 if self._session is None else self._session.number + 1))

    def close(self) -> None:
        """Wake the worker and delete this run's frames, unless they are kept."""
        with self._arriving:
            self._closed = True
            self._store.close(self._shelf.close())
