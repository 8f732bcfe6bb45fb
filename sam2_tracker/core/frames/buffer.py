# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The frame buffer: a rolling folder of JPEGs, and the newest pictures in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
import math
from pathlib import Path
import threading
import time
from types import TracebackType

from sam2_tracker.core.config import BufferConfig, FramePolicy, MAX_PIXELS
from sam2_tracker.core.errors import FrameError, UnansweredError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames.eviction import HeldFrame, HeldFrames
from sam2_tracker.core.frames.intake import FrameIntake
from sam2_tracker.core.frames.reader import FrameReader
from sam2_tracker.core.frames.stored_frame import (
    Arrival,
    BufferStatistics,
    describe_range,
    EncodedImage,
    ends,
    format_stamp,
    nearest,
    nearest_processed,
    Outcome,
    RawImage,
    StoredFrame,
)
from sam2_tracker.core.frames.writer import FrameWriter
from sam2_tracker.core.types import Frame, FrameHeader, UInt8Array

# JPEGs held until the disk has taken them: some 20 s of 720p at 30 Hz.
MAX_MEMORY_BYTES = 128 * 1024**2
# How long a snapshot waits for the JPEG of a frame.
JPEG_TIMEOUT_S = 5.0
# How long a snapshot may take where nobody says otherwise.
SNAPSHOT_TIMEOUT_S = 60.0


class FrameBuffer:
    """
    Holds the frames of a stream from arrival until nothing can need them any more.

    `HeldFrames` says what is evicted and when; `FrameWriter` writes and deletes the files.

    Images are appended by any thread, one at a time; one thread, the worker, calls `next`,
    `frame` and `mark_processed`; all else may be called from anywhere. Arrays that come out are
    shared: do not write to them.

    Whatever the disk does, no call waits for it for ever, and `append` not at all: frames are in
    memory until they are written.

    :param policy: `latest` gives the worker the newest frame, `every` gives it each one
    :param max_pixels: of the largest image that is accepted
    :raises StorageError: if the directory cannot be used, or its disk does not answer
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy,
                 max_pixels: int = MAX_PIXELS) -> None:
        self._latest = policy is FramePolicy.LATEST
        self._changed = threading.Condition()  # Guards these; no file is touched under it.
        self._held = HeldFrames(config, policy, min(MAX_MEMORY_BYTES, config.max_bytes))
        self._woken = self._closed = False
        self._writer = FrameWriter(config, self._held, self._changed)
        self._reader = FrameReader(self._writer.read, self._changed)
        self._intake = FrameIntake(config, policy, max_pixels, self._writer)

    def __enter__(self) -> FrameBuffer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def append(self, image: RawImage | EncodedImage, header: FrameHeader, received_ns: int,
               clock_ns: int | None = None) -> Arrival:
        """
        Store a received image, or let it wait for the next (see `StreamSessions`).

        A JPEG is not decoded unless it has to be scaled, or to find out if its size is true.

        :param received_ns: `time.monotonic_ns()` of its arrival
        :param clock_ns: its arrival on the clock of the stamps, which stands in for a header's
            stamp of 0; `received_ns` if it is not given
        :raises FrameError: if the image is empty, truncated or not a picture
        """
        stamp_ns = header.stamp_ns or (received_ns if clock_ns is None else clock_ns)
        arrival = self._intake.append(image, header, received_ns, stamp_ns)
        if arrival.outcome is Outcome.WAITING:
            with self._changed:  # It is not waited for longer than it should be.
                self._changed.notify_all()
        return arrival

    def next(self, timeout_s: float | None = None) -> StoredFrame | None:  # noqa: A003
        """
        Wait for the worker's next frame; it cannot be evicted until the following call.

        `latest` gives the newest one; those passed over stay in the buffer for prompts. `every`
        gives the oldest one that waits, and the rest of a session before the next session. The
        frames of a session go when the first one of the next is given.

        :returns: None after the timeout, `wake` or `close`
        """
        end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._intake.believe_odd()
            with self._changed:
                if self._woken or self._closed:
                    self._woken = False
                    return None
                if self._is_next_at_hand():
                    stored, evicted = self._held.next()
                    self._is_next_at_hand()  # Under `every` the one after it is read ahead.
                    break
                wait_s = self._wait_s(end_s)
                if wait_s <= 0:
                    return None
                self._changed.wait(None if wait_s == math.inf else wait_s)
        self._writer.delete(evicted)
        return stored

    def _is_next_at_hand(self) -> bool:
        if self._latest:
            return self._held.waiting > 0
        oldest = self._held.oldest_waiting()
        return oldest is not None and (
            self._held.payload(oldest) is not None or self._held.is_decoded(oldest)
            or self._reader.is_at_hand(oldest))

    def _wait_s(self, end_s: float) -> float:
        left_s = end_s - time.monotonic()
        if self._held.waiting:
            left_s = self._reader.wait_s(left_s)  # It is there: only the disk is waited for.
        odd_for_s = self._intake.odd_for_s
        return left_s if odd_for_s is None or left_s <= 0 else min(left_s, max(odd_for_s, 1e-3))

    def wake(self) -> None:
        """Make `next` return None at once: the call that waits, or else the following one."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def frame(self, stored: StoredFrame, index: int) -> Frame:
        """
        Return a frame with its pixels, to be processed under a number.

        :raises FrameError: if it cannot be decoded: it is then deleted and counted as lost; or
            the disk does not answer: it is then counted as lost if it is the frame in work
        """
        try:
            image_rgb = self.pixels(stored)
        except UnansweredError:
            with self._changed:
                is_lost = self._held.is_in_work(stored.key)
            self._intake.count_lost(is_lost)
            raise
        except FrameError:
            self._intake.count_lost(self._writer.remove(stored))
            raise
        return Frame(index, stored.stamp_ns, stored.header, image_rgb, stored.source_hw,
                     stored.received_ns)

    def following(self) -> UInt8Array | None:
        """
        Return the picture of the frame that comes after the one in work, if it is at hand.

        `frame` gives the very same array soon after. None under `latest`, where a newer frame may
        come before it, where a session ends, and where there is something wrong with it.
        """
        with self._changed:
            if self._latest or not self._is_next_at_hand():
                return None
            held = self._held.following()
        if held is None:
            return None
        try:
            return self.pixels(held.stored)
        except FrameError:
            return None  # It is said when it is its turn.

    def mark_processed(self, stored: StoredFrame, index: int) -> None:
        """
        Note that the frame in work was processed under a number.

        :raises FrameError: if it is not the frame in work
        """
        self._evict(lambda: self._held.mark_processed(stored.key, index))

    def _evict(self, change: Callable[[], list[HeldFrame]]) -> None:
        """Change what is held, and delete the files of the frames that this evicts."""
        with self._changed:
            evicted = change()
        self._writer.delete(evicted)

    def pixels(self, stored: StoredFrame) -> UInt8Array:
        """
        Return a frame's picture, (height, width, 3) uint8 RGB.

        Under `latest` the newest ones are as received; all others are the decoded JPEG, as stock
        SAM 2 decodes it.

        :raises FrameError: if the frame is gone or unreadable
        """
        with self._pinned(stored) as held:
            if held is None:
                raise self._gone(stored)
            with self._changed:
                picture, payload = self._held.picture(held), self._held.payload(held)
            if picture is None:
                picture = jpeg.decode(self._reader.read(held) if payload is None else payload)
                with self._changed:
                    self._held.keep_picture(stored.key, picture)
        return picture

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
        with self._changed:
            stored = self._held.by_index(index)
        if stored is None:
            raise FrameError(f'processed frame {index} is not buffered: '
                             f'{describe_range(self._frames())}')
        return stored

    def nearest(self, stamp_ns: int, tolerance_ns: int) -> StoredFrame:
        """
        Return the frame nearest in time, of the newest session that has one near enough.

        :raises FrameError: if there is none within the tolerance, naming what is available
        """
        return nearest(self._frames(), stamp_ns, tolerance_ns)

    def nearest_processed(self, stored: StoredFrame) -> StoredFrame:
        """
        Return the processed frame of the same session whose place a skipped one takes.

        :raises FrameError: if there is none
        """
        return nearest_processed(self._frames(), stored)

    def newest(self) -> StoredFrame:
        """
        Return the newest frame.

        :raises FrameError: if there is none
        """
        return ends(self._frames())[1]

    def oldest(self) -> StoredFrame:
        """
        Return the oldest frame of the newest session.

        :raises FrameError: if there is none
        """
        return ends(self._frames())[0]

    def _frames(self) -> list[StoredFrame]:
        with self._changed:
            return self._held.frames()

    @contextmanager
    def pin(self, stored: StoredFrame) -> Iterator[None]:
        """
        Keep a frame from being evicted, also past the end of its session.

        :raises FrameError: if it is gone already
        """
        with self._pinned(stored) as held:
            if held is None:
                raise self._gone(stored)
            yield

    @contextmanager
    def _pinned(self, stored: StoredFrame) -> Iterator[HeldFrame | None]:
        """Pin a frame if it is still held."""
        with self._changed:
            held = self._held.pin(stored.key)
        try:
            yield held
        finally:
            if held is not None:
                self._evict(lambda: self._held.unpin(held))

    def _gone(self, stored: StoredFrame) -> FrameError:
        return FrameError(f'the frame of stamp {format_stamp(stored.stamp_ns)} is gone: '
                          f'{describe_range(self._frames())}')

    def snapshot(self) -> Path:
        """
        Make a snapshot and wait for it.

        :raises FrameError: if there is no frame yet, or the disk does not answer
        :raises StorageError: if it cannot be written
        """
        made = self.begin_snapshot(lambda: True)
        try:
            return made.result(SNAPSHOT_TIMEOUT_S)
        except FutureTimeoutError:
            made.cancel()
            raise UnansweredError('the snapshot cannot be written: the disk does not answer'
                                  ) from None

    def begin_snapshot(self, wanted: Callable[[], bool]) -> Future[Path]:
        """
        Link the newest session's frames into a folder that nothing is ever evicted from.

        Stock SAM 2's `init_state` takes it; `stamps.csv` in it has the frames' stamps and
        numbers. It is begun when all is written that waits now; its errors are FrameError, if
        there is no frame yet, and StorageError, if it cannot be written.

        :param wanted: asked when it is made; if not, it is removed again
        """
        def frames() -> Iterator[HeldFrame]:
            held = self._frames()
            session = ends(held)[1].session
            return self._each_written(stored for stored in held if stored.session == session)

        return self._writer.snapshot(frames, wanted)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the disk has all that it was given; return False if it takes longer."""
        return self._writer.wait(timeout_s)

    def _each_written(self, frames: Iterable[StoredFrame]) -> Iterator[HeldFrame]:
        """Pin and give, one by one, the frames that are still held when their turn comes."""
        for stored in frames:
            with self._pinned(stored) as held:
                if held is not None and self._wait_for_jpeg(held):
                    yield held

    def _wait_for_jpeg(self, held: HeldFrame) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: held.pixels_rgb is None, JPEG_TIMEOUT_S)

    @property
    def statistics(self) -> BufferStatistics:
        """Return the buffer in numbers."""
        with self._changed:
            return BufferStatistics(
                received=self._intake.received, dropped=self._intake.dropped,
                lost=self._intake.lost + self._held.not_kept,
                unreadable=self._intake.unreadable, held=len(self._held),
                waiting=self._held.waiting,
                disk_bytes=self._held.disk_bytes, memory_bytes=self._held.memory_bytes,
                skipped=self._held.skipped, storage_failures=self._writer.failures,
                sessions=self._intake.sessions_begun,
                trouble=self._writer.trouble, oldest_stamp_ns=self._held.oldest_stamp_ns)

    def close(self) -> str:
        """
        Wake the worker and delete this run's frames, or write what is kept.

        :returns: what could not be done, as the disk does not answer; '' if all was
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._reader.close()
        self._intake.close()
        return self._writer.close()
