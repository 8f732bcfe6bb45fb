# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames and their files together, for several threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
import threading

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames import stored_frame as lookup
from sam2_tracker.core.frames.eviction import FrameLedger, HeldFrame
from sam2_tracker.core.frames.files import FrameStore
from sam2_tracker.core.frames.jpeg import FrameJpeg
from sam2_tracker.core.frames.stored_frame import BufferStatistics, FrameKey, Session, StoredFrame
from sam2_tracker.core.types import UInt8Array

# JPEGs held while the disk refuses them: some 20 s of 720p at 30 Hz.
MAX_MEMORY_BYTES = 128 * 1024**2
# The one in work, the newest, and those of a prompt and of its preview.
MAX_PICTURES = 4
# What a JPEG of a tiny picture takes beyond its pixels.
JPEG_HEAD_BYTES = 2048
JPEG_TIMEOUT_S = 5.0


class FrameShelf:
    """
    Keeps frames on disk, or in memory where that fails, and deletes those that are let go.

    A frame whose pixels are tracked as they are is there for all before its JPEG is.

    `begin_session` and `put` belong to one thread at a time, `take` and `settle` to another; all
    else may be called from anywhere.
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy, store: FrameStore) -> None:
        self._config = config
        self._store = store
        self._changed = threading.Condition()  # Guards all below; no file is touched under it.
        self._ledger = FrameLedger(config, policy, min(MAX_MEMORY_BYTES, config.max_bytes))
        self._pictures: OrderedDict[FrameKey, UInt8Array] = OrderedDict()
        self._woken = self._closed = False
        self._trouble = ''

    def begin_session(self, session: Session) -> None:
        """Let the frames before it go as soon as the worker has no use for them."""
        self._apply(lambda: self._ledger.begin_session(session))
        self._end_sessions()

    def put(self, stored: StoredFrame, frame: FrameJpeg) -> bool:
        """
        Take a frame in; return False if there is no room for it.

        Where its pixels are tracked the worker may begin before its JPEG is made.

        :raises FrameError: if its JPEG cannot be made
        """
        announced = None if frame.pixels_rgb is None else self._announce(stored, frame.pixels_rgb)
        if announced is not None:
            self._complete(announced, frame)
            return True
        held = self._place(stored, frame.payload)
        if held is None:
            return False
        self._add(held, frame.pixels_rgb)
        return True

    def _add(self, held: HeldFrame, pixels_rgb: UInt8Array | None) -> None:
        with self._changed:
            gone = self._ledger.add(held)
            if pixels_rgb is not None:
                self._remember(held.stored.key, pixels_rgb)
            self._changed.notify_all()
        self._discard(gone)

    def _announce(self, stored: StoredFrame, pixels_rgb: UInt8Array) -> HeldFrame | None:
        """Take a frame in without its JPEG, unless that might need room made for it."""
        n_bytes = pixels_rgb.nbytes + JPEG_HEAD_BYTES
        with self._changed:
            if not self._ledger.has_room(n_bytes):
                return None
        held = HeldFrame(stored, n_bytes, pins=1, pixels_rgb=pixels_rgb)
        self._add(held, pixels_rgb)
        return held

    def _complete(self, held: HeldFrame, frame: FrameJpeg) -> None:
        """Make and store the JPEG of a frame that was announced."""
        try:
            payload = frame.payload
            kept = None if self._try_to_write(held.stored, payload) else payload
            if kept is not None:
                # Others go for it; this one stays even if none can, as it was given out.
                self._make_room(len(kept), on_disk=False)
        except BaseException:
            self.throw_out(held.stored)
            raise
        with self._changed:
            gone = self._ledger.complete(held, len(payload), kept)
            self._changed.notify_all()
        self._discard(gone)

    def _try_to_write(self, stored: StoredFrame, payload: bytes) -> bool:
        try:
            self._store.write(stored, payload)
        except StorageError as error:
            self._trouble = f'{error}; meanwhile they stay in memory'
            return False
        self._trouble = ''
        return True

    @property
    def trouble(self) -> str:
        """Return why the newest frame could not be written to disk, '' if it was."""
        return self._trouble

    def _place(self, stored: StoredFrame, payload: bytes) -> HeldFrame | None:
        if self._make_room(len(payload), on_disk=True):
            if self._try_to_write(stored, payload):
                return HeldFrame(stored, len(payload))
        elif self._config.keep:
            self._trouble = (f'the {self._config.max_bytes} bytes of buffer.max_bytes are used up '
                             'and buffer.keep lets nothing go: frames stay in memory only')
        else:
            return None
        if self._make_room(len(payload), on_disk=False):
            return HeldFrame(stored, len(payload), payload)
        return None

    def _make_room(self, n_bytes: int, on_disk: bool) -> bool:
        with self._changed:
            fits, gone = self._ledger.make_room(n_bytes, on_disk)
        self._discard(gone)
        return fits

    def _apply(self, change: Callable[[], list[HeldFrame]]) -> None:
        with self._changed:
            gone = change()
        self._discard(gone)

    def _discard(self, gone: Sequence[HeldFrame]) -> None:
        self._store.delete(gone)
        if gone:
            self._end_sessions()

    def _end_sessions(self) -> None:
        for number in self._store.sessions():
            with self._changed:
                over = self._ledger.is_over(number)
            if over:
                self._store.end_session(number)

    def _remember(self, key: FrameKey, picture: UInt8Array) -> None:
        self._pictures[key] = picture
        while len(self._pictures) > MAX_PICTURES:
            self._pictures.popitem(last=False)

    def take(self, timeout_s: float | None) -> StoredFrame | None:
        """Wait for the worker's next frame; None after the timeout, `wake` or `close`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ledger.waiting or self._woken or self._closed, timeout_s)
            if self._woken or self._closed:
                self._woken = False
                return None
            stored, gone = self._ledger.take()
        self._discard(gone)
        return stored

    def wake(self) -> None:
        """Make `take` return None: the call that waits, or else the following one."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def settle(self, stored: StoredFrame, index: int) -> None:
        """
        Note that the worker's frame was processed.

        :raises FrameError: if it is not the worker's
        """
        self._apply(lambda: self._ledger.settle(stored.key, index))

    def throw_out(self, stored: StoredFrame) -> bool:
        """Delete an unreadable frame; return False if it was gone already."""
        with self._changed:
            gone = self._ledger.remove(stored.key)
        self._discard(gone)
        return bool(gone)

    def frames(self) -> list[StoredFrame]:
        """Return the frames that can be looked up, oldest first."""
        with self._changed:
            return self._ledger.frames()

    def by_index(self, index: int) -> StoredFrame | None:
        """Return a processed frame of the worker's session."""
        with self._changed:
            return self._ledger.by_index(index)

    @contextmanager
    def pinned(self, frames: Sequence[StoredFrame]) -> Iterator[list[HeldFrame]]:
        """Keep frames from being let go; those that are gone already are left out."""
        with self._changed:
            held = self._ledger.pin(stored.key for stored in frames)
        try:
            yield held
        finally:
            self._apply(lambda: self._ledger.unpin(held))

    def pixels(self, stored: StoredFrame) -> UInt8Array:
        """
        Return a frame's picture.

        :raises FrameError: if it is gone or unreadable
        """
        with self.pinned([stored]) as pinned:
            if not pinned:
                raise self.gone(stored)
            with self._changed:
                picture = self._pictures.get(stored.key, pinned[0].pixels_rgb)
            if picture is None:
                picture = jpeg.decode(self._store.read(pinned[0]))
                with self._changed:
                    self._remember(stored.key, picture)
        return picture

    def gone(self, stored: StoredFrame) -> FrameError:
        """Return the refusal for a frame that is not held any more."""
        return FrameError(f'the frame of stamp {lookup.format_stamp(stored.stamp_ns)} is '
                          f'gone: {lookup.describe_range(self.frames())}')

    def snapshot(self) -> Path:
        """
        Link the newest session's frames into a folder of their own.

        :raises FrameError: if there is none
        :raises StorageError: if it cannot be written
        """
        frames = self.frames()
        session = lookup.ends(frames)[1].session
        with closing(self._each_pinned(stored for stored in frames
                                       if stored.session == session)) as pinned:
            return self._store.snapshot(pinned)

    def _each_pinned(self, frames: Iterable[StoredFrame]) -> Generator[HeldFrame, None, None]:
        """Iterate over those of the frames that are still held when their turn comes."""
        for stored in frames:
            with self.pinned([stored]) as pinned:
                for held in pinned:
                    if self._wait_until_stored(held):
                        yield held

    def _wait_until_stored(self, held: HeldFrame) -> bool:
        """Wait a while for a frame's JPEG; return whether it is there."""
        with self._changed:
            return self._changed.wait_for(lambda: held.pixels_rgb is None, JPEG_TIMEOUT_S)

    def count(self, arrivals: BufferStatistics) -> BufferStatistics:
        """Return statistics with what is held now filled in."""
        with self._changed:
            return replace(arrivals, held=len(self._ledger), waiting=self._ledger.waiting,
                           disk_bytes=self._ledger.n_bytes(on_disk=True),
                           memory_bytes=self._ledger.n_bytes(on_disk=False),
                           skipped=self._ledger.skipped, storage_failures=self._store.failures)

    def close(self) -> list[StoredFrame]:
        """Wake the worker, give it nothing any more, and return all frames held."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return [held.stored for held in self._ledger]
