# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames are encoded, written and deleted here, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
import threading

from sam2_tracker.core.config import BufferConfig
from sam2_tracker.core.errors import StorageError
from sam2_tracker.core.frames.eviction import HeldFrame, HeldFrames
from sam2_tracker.core.frames.files import FrameFiles
from sam2_tracker.core.frames.jpeg import FrameJpeg
from sam2_tracker.core.frames.stored_frame import StoredFrame
from sam2_tracker.core.types import UInt8Array

# What a JPEG of a tiny picture takes beyond its pixels.
JPEG_HEAD_BYTES = 2048


class FrameWriter:
    """
    Brings frames to disk, or holds them in memory where that fails, and deletes evicted ones.

    All is done in the caller's thread. `store` belongs to one thread at a time; all else may be
    called from anywhere.

    :param changed: guards `held`, and is notified of new frames and of new JPEGs; no file is
        touched under it
    :ivar trouble: why the newest frame could not be written to disk, '' if it was
    """

    def __init__(self, config: BufferConfig, held: HeldFrames, changed: threading.Condition,
                 files: FrameFiles) -> None:
        self._config = config
        self._held = held
        self._changed = changed
        self._files = files
        self.trouble = ''

    def store(self, stored: StoredFrame, frame: FrameJpeg) -> bool:
        """
        Take a frame in; return False if there is no room for it.

        Where its pixels are tracked the worker may begin before its JPEG is made.

        :raises FrameError: if its JPEG cannot be made
        """
        announced = None if frame.pixels_rgb is None else self._announce(stored, frame.pixels_rgb)
        if announced is not None:
            self._complete(announced, frame)
            return True
        held = self._write(stored, frame.payload)
        if held is None:
            return False
        self._add(held, frame.pixels_rgb)
        return True

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
        """Make and store the JPEG of a frame that was announced."""
        try:
            payload = frame.payload
            kept = None if self._try_to_write(held.stored, payload) else payload
            if kept is not None:
                # Others go for it; this one stays even if none can, as it was given out.
                self._make_room(len(kept), on_disk=False)
        except BaseException:
            self.remove(held.stored)
            raise
        with self._changed:
            evicted = self._held.complete(held, len(payload), kept)
            self._changed.notify_all()
        self.delete(evicted)

    def _write(self, stored: StoredFrame, payload: bytes) -> HeldFrame | None:
        """Find a place for a JPEG: on disk, else in memory, None if there is neither."""
        if self._make_room(len(payload), on_disk=True):
            if self._try_to_write(stored, payload):
                return HeldFrame(stored, len(payload))
        elif self._config.keep:
            self.trouble = (f'the {self._config.max_bytes} bytes of buffer.max_bytes are used up '
                            'and buffer.keep lets nothing go: frames stay in memory only')
        else:
            return None
        if self._make_room(len(payload), on_disk=False):
            return HeldFrame(stored, len(payload), payload)
        return None

    def _try_to_write(self, stored: StoredFrame, payload: bytes) -> bool:
        try:
            self._files.write(stored, payload)
        except StorageError as error:
            self.trouble = f'{error}; meanwhile they stay in memory'
            return False
        self.trouble = ''
        return True

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

    def remove(self, stored: StoredFrame) -> bool:
        """Evict and delete an unreadable frame; return False if it was gone already."""
        with self._changed:
            evicted = self._held.remove(stored.key)
        self.delete(evicted)
        return bool(evicted)

    def delete(self, evicted: Sequence[HeldFrame]) -> None:
        """Delete the files of frames that were evicted, and the folders that this empties."""
        self._files.delete(evicted)
        if evicted:
            self.delete_empty_folders()

    def delete_empty_folders(self) -> None:
        """Delete the folders of past sessions that have no frames any more."""
        for number in self._files.sessions():
            with self._changed:
                over = self._held.is_over(number)
            if over:
                self._files.end_session(number)
