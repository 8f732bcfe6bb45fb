# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The frames' files: one folder for each session, and snapshots of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
import csv
import os
from pathlib import Path
import shutil

from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.core.frames.directory import FrameDirectory
from sam2_tracker.core.frames.eviction import HeldFrame
from sam2_tracker.core.frames.lookup import format_stamp
from sam2_tracker.core.frames.session_folder import frame_name, SessionFolder
from sam2_tracker.core.frames.stored_frame import StoredFrame

STAMPS_NAME = 'stamps.csv'


class FrameStore:
    """
    Reads, writes and deletes the frames of all sessions. One thread writes, any other reads.

    :raises StorageError: if the directory cannot be used
    """

    def __init__(self, directory: FrameDirectory, keep: bool) -> None:
        self._directory = directory
        self._keep = keep
        # The first one is made at once, so that a directory that cannot work is refused early.
        self._folders: dict[int, SessionFolder] = {0: directory.open_session(0)}
        self.failures = 0

    def write(self, stored: StoredFrame, payload: bytes) -> None:
        """
        Write a frame's JPEG.

        :raises StorageError: if the disk is full or cannot be written
        """
        number = stored.session.number
        try:
            if number not in self._folders:
                self._folders[number] = self._directory.open_session(number)
            self._folders[number].write(stored.number, payload)
        except OSError as error:
            self.failures += 1
            raise StorageError(f'frames cannot be written to {self._directory.path}: '
                               f'{error.strerror or error}') from error
        except StorageError:
            self.failures += 1
            raise

    def read(self, held: HeldFrame) -> bytes:
        """
        Return a frame's JPEG.

        :raises FrameError: if its file is gone or cannot be read
        """
        if held.payload is not None:
            return held.payload
        try:
            return self._folder_of(held).read(held.stored.number)
        except OSError as error:
            raise FrameError(f'the frame of stamp {format_stamp(held.stored.stamp_ns)} cannot be '
                             f'read: {error.strerror or error}') from error

    def _folder_of(self, held: HeldFrame) -> SessionFolder:
        folder = self._folders.get(held.stored.session.number)
        if folder is None:
            raise FileNotFoundError('its session is over')
        return folder

    def delete(self, gone: Iterable[HeldFrame]) -> None:
        """Delete the files of frames that were let go."""
        for held in gone:
            if held.on_disk:
                try:
                    self._folder_of(held).remove(held.stored.number)
                except FileNotFoundError:
                    pass  # Another thread has just ended its session.
                except OSError:
                    self.failures += 1

    def sessions(self) -> list[int]:
        """Return the numbers of the sessions that have a folder."""
        return list(self._folders)

    def end_session(self, number: int) -> None:
        """Remove the folder of a session that has no frames any more."""
        folder = self._folders.pop(number, None)
        if folder is not None:
            folder.close()

    def snapshot(self, frames: Iterable[HeldFrame]) -> Path:
        """
        Link frames into a new folder that is never touched again, with a list of stamps.

        :raises StorageError: if it cannot be written; nothing is left then
        """
        path = self._directory.open_snapshot()
        linked: list[StoredFrame] = []
        try:
            for held in frames:
                self._link(held, path / frame_name(held.stored.number))
                linked.append(held.stored)
            _write_stamps(path, linked)
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            self.failures += 1
            raise StorageError(f'the snapshot {path} cannot be written: '
                               f'{error.strerror or error}') from error
        return path

    def _link(self, held: HeldFrame, target: Path) -> None:
        if held.payload is not None:
            target.write_bytes(held.payload)
            return
        source = self._folder_of(held).path / target.name
        try:
            os.link(source, target)
        except OSError:  # Not every file system has hard links.
            shutil.copyfile(source, target)

    def close(self, frames: Sequence[StoredFrame]) -> None:
        """
        End all sessions; kept ones get a list of their frames' stamps.

        :param frames: all frames that are held
        """
        while self._folders:
            # Taken out first: a worker that is not done yet may be ending one too.
            number, folder = self._folders.popitem()
            of_session = [stored for stored in frames if stored.session.number == number]
            if self._keep and of_session:
                with suppress(OSError):
                    _write_stamps(folder.path, of_session)
            folder.close()
        self._directory.close()


def _write_stamps(folder: Path, frames: Iterable[StoredFrame]) -> None:
    with (folder / STAMPS_NAME).open('w', newline='') as stamps:
        writer = csv.writer(stamps)
        writer.writerow(('file', 'stamp_ns', 'header_stamp_ns', 'frame_id', 'index'))
        for stored in frames:
            writer.writerow((frame_name(stored.number), stored.stamp_ns, stored.header.stamp_ns,
                             stored.header.frame_id, stored.index))
