# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The frame buffer: a rolling folder of JPEGs, and the newest pictures in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
import threading
from types import TracebackType

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames.eviction import HeldFrame, HeldFrames
from sam2_tracker.core.frames.files import FrameFiles
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
    Session,
    StoredFrame,
)
from sam2_tracker.core.frames.writer import FrameWriter
from sam2_tracker.core.types import Frame, FrameHeader, UInt8Array

# JPEGs held while the disk refuses them: some 20 s of 720p at 30 Hz.
MAX_MEMORY_BYTES = 128 * 1024**2
# How long a snapshot waits for the JPEG of a frame.
JPEG_TIMEOUT_S = 5.0
# A stamp that goes back by this much is that of another recording, or of one played again.
RESTART_NS = 1_000_000_000


class FrameBuffer:
    """
    Holds the frames of a stream from arrival until nothing can need them any more.

    `HeldFrames` says what is evicted and when; `FrameWriter` writes and deletes the files.

    Images are appended by any thread, one at a time; one thread, the worker, calls `next`,
    `frame` and `mark_processed`; all else may be called from anywhere. Arrays that come out are
    shared: do not write to them.

    :param policy: `latest` gives the worker the newest frame, `every` gives it each one
    :raises StorageError: if the directory cannot be used
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy) -> None:
        self._max_bytes = config.max_bytes
        self._codec = jpeg.FrameCodec(config, policy)
        self._files = FrameFiles(config.directory, config.keep)
        self._changed = threading.Condition()  # Guards these; no file is touched under it.
        self._held = HeldFrames(config, policy, min(MAX_MEMORY_BYTES, config.max_bytes))
        self._woken = self._closed = False
        self._writer = FrameWriter(config, self._held, self._changed, self._files)
        self._arriving = threading.Lock()  # Guards what is below; the other may be taken under it.
        self._sessions = StreamSessions()
        self._session: Session | None = None
        self._next_number = 0
        self._received = self._dropped = self._lost = self._unreadable = 0

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
        session = self._sessions.admit(stamp_ns, frame.source_hw)
        if session is None:
            return self._drop(f'frame {format_stamp(stamp_ns)} is not newer than the one before')
        new_session = self._begin(session)
        stored = StoredFrame(session, self._next_number, stamp_ns, header, frame.source_hw,
                             received_ns)
        was_in_trouble = self._writer.trouble != ''
        self._next_number += 1  # Not given twice, whatever happens to this frame.
        fits = self._writer.store(stored, frame)
        trouble = '' if was_in_trouble else self._writer.trouble
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
        self._evict(lambda: self._held.begin_session(session))
        self._writer.delete_empty_folders()
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
        with self._changed:
            self._changed.wait_for(
                lambda: self._held.waiting or self._woken or self._closed, timeout_s)
            if self._woken or self._closed:
                self._woken = False
                return None
            stored, evicted = self._held.next()
        self._writer.delete(evicted)
        return stored

    def wake(self) -> None:
        """Make `next` return None at once: the call that waits, or else the following one."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def frame(self, stored: StoredFrame, index: int) -> Frame:
        """
        Return a frame with its pixels, to be processed under a number.

        :raises FrameError: if it cannot be decoded; it is then deleted and counted as lost
        """
        try:
            image_rgb = self.pixels(stored)
        except FrameError:
            if self._writer.remove(stored):
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
                picture = self._held.picture(held)
            if picture is None:
                picture = jpeg.decode(self._files.read(held))
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
        Link the newest session's frames into a folder that nothing is ever evicted from.

        Stock SAM 2's `init_state` takes it; `stamps.csv` in it has the frames' stamps and
        numbers.

        :raises FrameError: if there is no frame yet
        :raises StorageError: if it cannot be written
        """
        frames = self._frames()
        session = ends(frames)[1].session
        with closing(self._each_written(stored for stored in frames
                                        if stored.session == session)) as written:
            return self._files.snapshot(written)

    def _each_written(self, frames: Iterable[StoredFrame]) -> Generator[HeldFrame, None, None]:
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
                received=self._received, dropped=self._dropped, lost=self._lost,
                unreadable=self._unreadable, held=len(self._held), waiting=self._held.waiting,
                disk_bytes=self._held.n_bytes(on_disk=True),
                memory_bytes=self._held.n_bytes(on_disk=False),
                skipped=self._held.skipped, storage_failures=self._files.failures,
                sessions=0 if self._session is None else self._session.number + 1)

    def close(self) -> None:
        """Wake the worker and delete this run's frames, unless they are kept."""
        with self._arriving:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
                frames = [held.stored for held in self._held]
            self._files.close(frames)


class StreamSessions:
    """Sorts images into sessions by their stamps and sizes."""

    def __init__(self) -> None:
        self._session = Session(number=0, timeline=0)
        self._last_stamp_ns: int | None = None
        self._source_hw = (0, 0)

    def admit(self, stamp_ns: int, source_hw: tuple[int, int]) -> Session | None:
        """
        Return the session that an image belongs to, None if it is to be dropped.

        An equal stamp, or one that goes back by less than 1 s, drops the image. One that goes
        back further, as when a bag is looped, begins a new session on a new timeline; another
        size begins a new session on the same one.
        """
        if self._last_stamp_ns is not None:
            back_ns = self._last_stamp_ns - stamp_ns
            if 0 <= back_ns < RESTART_NS:
                return None
            restarted = back_ns >= RESTART_NS
            if restarted or source_hw != self._source_hw:
                self._session = Session(self._session.number + 1,
                                        self._session.timeline + restarted)
        self._last_stamp_ns, self._source_hw = stamp_ns, source_hw
        return self._session
