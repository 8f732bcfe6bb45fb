# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames are encoded, written, deleted and linked here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing, ExitStack
from functools import partial
from pathlib import Path
import shutil
import threading

from sam2_tracker.core.config import BufferConfig
from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.core.frames.disk_thread import DiskThread, fulfil
from sam2_tracker.core.frames.eviction import HeldFrame, HeldFrames
from sam2_tracker.core.frames.files import FrameFiles
from sam2_tracker.core.frames.jpeg import FrameJpeg
from sam2_tracker.core.frames.stored_frame import Session, StoredFrame
from sam2_tracker.core.types import UInt8Array

# What a JPEG of a tiny picture takes beyond its pixels.
JPEG_HEAD_BYTES = 2048
# How long the disk may take for one thing before that is said.
HUNG_AFTER_S = 2.0
OPEN_TIMEOUT_S = 5.0
# Within what a process has left of the 5 s after which `ros2 launch` ends it.
CLOSE_TIMEOUT_S = 2.0
_TIDY = 'tidy'


class FrameWriter:
    """
    Brings frames to disk, or holds them in memory where that fails, and deletes evicted ones.

    A thread of its own does all that may wait for the disk. `store` belongs to one thread at a
    time; all else may be called from anywhere, and does not wait but where it says so.

    :param changed: guards `held`, and is notified of new frames and of new JPEGs; no file is
        touched under it
    :raises StorageError: if the directory cannot be used, or does not answer
    """

    def __init__(self, config: BufferConfig, held: HeldFrames, changed: threading.Condition
                 ) -> None:
        self._config = config
        self._held = held
        self._changed = changed
        self._refusal = self._shortage = ''
        self._disk = DiskThread('disk writer')
        opened: Future[FrameFiles] = Future()
        self._disk.submit(lambda: fulfil(opened, self._open))
        try:
            self._files = opened.result(OPEN_TIMEOUT_S)
        except FutureTimeoutError:
            # If it opens one day, nobody is there any more who needs it.
            self._disk.submit(lambda: opened.result(0).close([]))
            raise StorageError(f'buffer.directory {str(config.directory or "")!r} is on a disk '
                               f'that does not answer within {OPEN_TIMEOUT_S:g} s') from None
        finally:
            if not opened.done() or opened.exception() is not None:
                self._disk.end()
        self._disk.submit(self._remove_dead_sessions)

    def _open(self) -> FrameFiles:
        return FrameFiles(self._config.directory, self._config.keep)

    def _remove_dead_sessions(self) -> None:
        self._files.remove_dead_sessions(self._disk.note_progress)

    def read(self, held: HeldFrame) -> bytes:
        """
        Return the JPEG of a frame that was written; waits for the disk, however long.

        :raises FrameError: if its file is gone or cannot be read
        """
        return self._files.read(held)

    @property
    def failures(self) -> int:
        """Return how many writes and deletions failed."""
        return self._files.failures

    @property
    def trouble(self) -> str:
        """Return why frames stay in memory, '' if they do not."""
        if self._disk.busy_s > HUNG_AFTER_S:
            return (f'the disk does not answer: frames cannot be written to '
                    f'{self._files.directory}; meanwhile they stay in memory')
        return self._shortage or self._refusal or self._disk.fault

    def store(self, stored: StoredFrame, frame: FrameJpeg) -> str:
        """
        Take a frame in; return why there is no room for it, '' if there is.

        Where its pixels are tracked the worker may begin before its JPEG is made.

        :raises FrameError: if its JPEG cannot be made
        """
        announced = None if frame.pixels_rgb is None else self._announce(stored, frame.pixels_rgb)
        if announced is not None:
            self._complete(announced, frame)
            return ''
        held = HeldFrame(stored, len(frame.payload), frame.payload)
        full = self._find_room(held)
        if not full:
            self._add(held, frame.pixels_rgb)
            self._queue(held)
        return full

    def _announce(self, stored: StoredFrame, pixels_rgb: UInt8Array) -> HeldFrame | None:
        """Take a frame in without its JPEG, unless that might need room made for it."""
        n_bytes = pixels_rgb.nbytes + JPEG_HEAD_BYTES
        with self._changed:
            if not self._held.has_room(n_bytes):
                return None
        held = HeldFrame(stored, n_bytes, pins=1, pixels_rgb=pixels_rgb)
        self._add(held, pixels_rgb)
        return held

    def _complete(self, held: HeldFrame, frame: FrameJpeg) -> None:
        """Make the JPEG of a frame that was announced, and have it written."""
        with ExitStack() as if_it_fails:
            if_it_fails.callback(self.remove, held.stored)
            payload = frame.payload
            if_it_fails.pop_all()
        with self._changed:
            evicted = self._held.complete(held, payload)
            self._changed.notify_all()
        self._queue(held)
        self.delete(evicted)

    def _find_room(self, held: HeldFrame) -> str:
        if self._make_room(held.n_bytes, on_disk=True):
            self._shortage = ''
            return ''
        with self._changed:
            waiting, in_memory = self._held.waiting, self._held.memory_bytes
            has_disk_room = self._held.has_disk_room(held.n_bytes)
        if not has_disk_room and not self._config.keep:
            return (f'buffer.max_bytes ({self._config.max_bytes}) is full and {waiting} frames '
                    'wait')
        if not has_disk_room:
            self._shortage = (f'the {self._config.max_bytes} bytes of buffer.max_bytes are used '
                              'up and buffer.keep lets nothing go: frames stay in memory only')
            held.on_disk = False
            if self._make_room(held.n_bytes, on_disk=False):
                return ''
        return (f'{in_memory} bytes of frames are in memory already, as the disk of '
                f'{self._files.directory} does not take them')

    def _make_room(self, n_bytes: int, on_disk: bool) -> bool:
        with self._changed:
            fits, evicted = self._held.make_room(n_bytes, on_disk)
        self.delete(evicted)
        return fits

    def _add(self, held: HeldFrame, pixels_rgb: UInt8Array | None) -> None:
        with self._changed:
            evicted = self._held.add(held)
            if pixels_rgb is not None:
                self._held.keep_picture(held.stored.key, pixels_rgb)
            self._changed.notify_all()
        self.delete(evicted)

    def _queue(self, held: HeldFrame) -> None:
        if held.on_disk:
            self._disk.submit(partial(self._write, held), held.stored.key)

    def _write(self, held: HeldFrame) -> None:
        payload = held.payload
        if held.evicted or payload is None:
            return
        try:
            self._files.write(held.stored, payload)
        except StorageError as error:
            self._refusal = f'{error}; meanwhile they stay in memory'
            with self._changed:
                if not held.evicted:
                    self._held.refused(held)
            return
        self._refusal = ''
        with self._changed:
            is_gone = held.evicted
            if not is_gone:
                self._held.written(held)
        if is_gone:
            # It went while it was being written, so nobody else deletes it.
            self._delete([held])

    def remove(self, stored: StoredFrame) -> bool:
        """Evict and delete an unreadable frame; return False if it was gone already."""
        with self._changed:
            evicted = self._held.remove(stored.key)
        self.delete(evicted)
        return bool(evicted)

    def delete(self, evicted: Sequence[HeldFrame]) -> None:
        """Have the files of evicted frames deleted, and the folders that this empties."""
        for held in evicted:
            if not held.is_written:
                self._disk.cancel(held.stored.key)
        written = [held for held in evicted if held.is_written]
        if written:
            self._disk.submit(partial(self._delete, written))
        elif evicted:
            self._delete_empty_folders()

    def _delete(self, written: Sequence[HeldFrame]) -> None:
        self._files.delete(written)
        self._tidy()

    def begin_session(self, session: Session) -> None:
        """Evict and delete what the beginning of a session ends."""
        with self._changed:
            evicted = self._held.begin_session(session)
        self.delete(evicted)
        self._delete_empty_folders()

    def _delete_empty_folders(self) -> None:
        self._disk.submit(self._tidy, _TIDY)

    def _tidy(self) -> None:
        for number in self._files.sessions():
            with self._changed:
                over = self._held.is_over(number)
            if over:
                self._files.end_session(number)

    def snapshot(self, frames: Callable[[], Iterator[HeldFrame]], wanted: Callable[[], bool]
                 ) -> Future[Path]:
        """
        Have a snapshot made when all is written that waits for it now.

        :param frames: gives those that are to be in it, one by one, in the disk's thread
        :param wanted: asked at the end; if it is not, it is removed again
        """
        def each(found: Iterator[HeldFrame]) -> Generator[HeldFrame, None, None]:
            for held in found:
                self._disk.note_progress()
                yield held

        def make() -> Path:
            with closing(each(frames())) as one_by_one:
                path = self._files.snapshot(one_by_one)
            if not wanted():
                shutil.rmtree(path, ignore_errors=True)
                raise FrameError('the snapshot came too late and was removed')
            return path

        made: Future[Path] = Future()
        if not self._disk.submit(lambda: fulfil(made, make)):
            made.set_exception(FrameError('there is no snapshot of a buffer that was closed'))
        return made

    def wait(self, timeout_s: float) -> bool:
        """Wait until the disk has all that was given to it; False if that takes longer."""
        return self._disk.wait(timeout_s)

    def close(self) -> str:
        """
        Delete this run's frames, or write what is kept; waits for the disk, but not for ever.

        :returns: what could not be done, '' if all was
        """
        if not self._config.keep:
            with self._changed:
                queued = self._held.unwritten()
            for held in queued:
                self._disk.cancel(held.stored.key)
        self._disk.submit(self._close)
        self._disk.end()
        return '' if self._disk.wait(CLOSE_TIMEOUT_S) else self._left_behind()

    def _close(self) -> None:
        with self._changed:
            written = [held.stored for held in self._held if held.is_written]
        self._files.close(written)

    def _left_behind(self) -> str:
        with self._changed:
            unwritten = len(self._held.unwritten())
        where = f'the disk of {self._files.directory} does not answer'
        if self._config.keep:
            return f'{where}: {unwritten} frames that were to be kept are not written'
        return f'{where}: the frames there are not removed; the next start removes them'
