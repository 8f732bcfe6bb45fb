# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
The frames' files: read, written, deleted and linked, in a folder for each session of a run.

Only what this run wrote, or a run that a lock proves dead, is ever deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
import csv
from datetime import datetime, timezone
import fcntl
import os
from pathlib import Path
import re
import secrets
import shutil
import stat
import tempfile

from sam2_tracker.core.errors import FrameError, reason, StorageError
from sam2_tracker.core.frames.eviction import HeldFrame
from sam2_tracker.core.frames.stored_frame import format_stamp, StoredFrame

STAMPS_NAME = 'stamps.csv'
MARKER_NAME = '.sam2_tracker_session'
_MARKER = re.compile(rb'(?P<name>[^\n]+)\n(?P<inode>\d+)\n(?P<used>\d{12})\n')
_FRAME = re.compile(r'(?P<number>\d{5,})\.jpeg|\.(?P<part>\d{5,})\.part')


class FrameFiles:
    """
    Reads, writes and deletes the frames of all sessions. One thread writes, any other reads.

    Everything here waits for the disk, however long that takes.

    :param directory: the sessions' parent, made if it is missing; None for the user's private
        temporary one
    :param keep: leave the sessions' folders at the end
    :ivar failures: how many writes and deletions failed
    :raises StorageError: if the directory cannot be used
    """

    def __init__(self, directory: Path | None, keep: bool) -> None:
        self._directory = BufferDirectory(directory, keep)
        self._keep = keep
        # The first one is made at once, so that a directory that cannot work is refused early.
        self._folders: dict[int, SessionFolder] = {0: self._directory.open_session(0)}
        self.failures = 0

    @property
    def directory(self) -> Path:
        """Return the sessions' parent."""
        return self._directory.path

    def remove_dead_sessions(self, note_progress: Callable[[], None]) -> None:
        """Delete the folders that runs left without ending properly."""
        remove_dead_sessions(self._directory.path, note_progress)

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
                               f'{reason(error)}') from error
        except StorageError:
            self.failures += 1
            raise

    def read(self, held: HeldFrame) -> bytes:
        """
        Return the JPEG of a frame that was written.

        :raises FrameError: if its file is gone or cannot be read
        """
        try:
            return self._folder_of(held).read(held.stored.number)
        except OSError as error:
            raise FrameError(f'the frame of stamp {format_stamp(held.stored.stamp_ns)} cannot be '
                             f'read: {reason(error)}') from error

    def _folder_of(self, held: HeldFrame) -> SessionFolder:
        folder = self._folders.get(held.stored.session.number)
        if folder is None:
            raise FileNotFoundError('its session is over')
        return folder

    def delete(self, evicted: Iterable[HeldFrame]) -> None:
        """Delete the files of frames that were evicted."""
        for held in evicted:
            try:
                self._folder_of(held).remove(held.stored.number)
            except FileNotFoundError:
                pass  # Its session was ended before.
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
                               f'{reason(error)}') from error
        return path

    def _link(self, held: HeldFrame, target: Path) -> None:
        payload = held.payload
        if payload is not None:
            target.write_bytes(payload)
            return
        source = self._folder_of(held).path / target.name
        try:
            os.link(source, target)
        except OSError:  # Not every file system has hard links.
            shutil.copyfile(source, target)

    def close(self, frames: Sequence[StoredFrame]) -> None:
        """
        End all sessions; kept ones get a list of their frames' stamps.

        :param frames: all frames that were written and not deleted
        """
        while self._folders:
            number, folder = self._folders.popitem()
            of_session = [stored for stored in frames if stored.session.number == number]
            if self._keep and of_session:
                with suppress(OSError):
                    _write_stamps(folder.path, of_session)
            folder.close()
        self._directory.close()


def _write_stamps(folder: Path, frames: Iterable[StoredFrame]) -> None:
    with (folder / STAMPS_NAME).open('x', newline='') as stamps:
        writer = csv.writer(stamps)
        writer.writerow(('file', 'stamp_ns', 'header_stamp_ns', 'frame_id', 'index'))
        for stored in frames:
            writer.writerow((frame_name(stored.number), stored.stamp_ns, stored.header.stamp_ns,
                             stored.header.frame_id, stored.index))


class BufferDirectory:
    """
    Gives each session of a run a folder of its own, and removes what dead runs left.

    :param directory: made if it is missing; None for the user's private temporary one
    :param keep: leave the sessions' folders at the end
    :raises StorageError: if it cannot be made or is not ours
    """

    def __init__(self, directory: Path | None, keep: bool) -> None:
        self._keep = keep
        self._private = directory is None
        self.path = _private_directory() if directory is None else directory.expanduser()
        self._run = _unique_name()
        try:
            self._make()
        except OSError as error:
            raise self._refusal('cannot be made', error) from error

    def _make(self) -> None:
        self.path.mkdir(mode=0o700 if self._private else 0o777, parents=True, exist_ok=True)
        status = os.lstat(self.path)
        if self._private and (not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid()):
            raise StorageError(f'the temporary directory {self.path} belongs to somebody else: '
                               'set buffer.directory')

    def _refusal(self, what: str, error: OSError) -> StorageError:
        return StorageError(f'buffer.directory {str(self.path)!r} {what}: '
                            f'{reason(error)}')

    def open_session(self, number: int) -> SessionFolder:
        """
        Make a session's folder.

        :raises StorageError: if the directory cannot be written
        """
        try:
            self._make()  # Another run may have removed the private one at its end.
            return SessionFolder(self.path / f'{self._run}_{number:03d}', self._keep)
        except OSError as error:
            raise self._refusal('cannot be written', error) from error

    def open_snapshot(self) -> Path:
        """
        Make an empty folder that nothing is ever removed from.

        :raises StorageError: if the directory cannot be written
        """
        path = self.path / f'snapshot_{_unique_name()}'
        try:
            self._make()
            path.mkdir()
        except OSError as error:
            raise self._refusal('cannot be written', error) from error
        return path

    def close(self) -> None:
        """Remove the private directory unless something is left in it."""
        if self._private:
            with suppress(OSError):
                self.path.rmdir()


def _private_directory() -> Path:
    return Path(tempfile.gettempdir()) / f'sam2_tracker_{os.getuid()}'


def _unique_name() -> str:
    return f'{datetime.now(timezone.utc):%Y%m%dT%H%M%S}_{secrets.token_hex(3)}'


class SessionFolder:
    """
    A folder that one run writes frames to. Not thread-safe for writing.

    All methods raise OSError as the file system does.

    :param path: the folder, which must not exist yet
    :param keep: leave the frames when closed; such a folder has no marker, so nothing ever takes
        it for a dead run's
    """

    def __init__(self, path: Path, keep: bool) -> None:
        path.mkdir()
        self.path = path
        with _opened(path) as folder_fd:
            self._identity = os.fstat(folder_fd)
        self._keep = keep
        self._used = 0
        self._marker_fd = -1
        self._used_offset = 0
        if not keep:
            self._mark()

    def _mark(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        self._marker_fd = os.open(self.path / MARKER_NAME, flags, 0o600)
        # Without its lock the marker stays empty: a file system that cannot lock cannot prove a
        # run dead either, and then nothing is cleaned up.
        with suppress(OSError):
            fcntl.flock(self._marker_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            inode = os.fstat(self._marker_fd).st_ino
            head = f'{self.path.name}\n{inode}\n'.encode()
            os.write(self._marker_fd, head + b'%012d\n' % self._used)
            self._used_offset = len(head)

    def write(self, number: int, payload: bytes) -> None:
        """Write a frame under a temporary name and rename it."""
        self._claim(number)
        part = self.path / _part_name(number)
        with _opened(self.path, self._identity) as folder_fd:
            part_fd = _make_file(folder_fd, part.name)
            try:
                with os.fdopen(part_fd, 'wb') as file:
                    file.write(payload)
                part.rename(self.path / frame_name(number))
            except OSError:
                with suppress(OSError):
                    os.unlink(part.name, dir_fd=folder_fd)
                raise

    def _claim(self, number: int) -> None:
        self._used = max(self._used, number + 1)
        if self._used_offset:
            os.pwrite(self._marker_fd, b'%012d' % self._used, self._used_offset)

    def read(self, number: int) -> bytes:
        """Return a frame's JPEG."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with _opened(self.path, self._identity) as folder_fd:
            frame_fd = os.open(frame_name(number), flags, dir_fd=folder_fd)
        with os.fdopen(frame_fd, 'rb') as file:
            return file.read()

    def remove(self, number: int) -> None:
        """Delete a frame."""
        with _opened(self.path, self._identity) as folder_fd:
            os.unlink(frame_name(number), dir_fd=folder_fd)

    def close(self) -> None:
        """
        Delete the folder with all frames of this run, or leave it if they are kept.

        A folder with anything else in it stays, with just that.
        """
        if self._keep:
            with suppress(OSError):
                self.path.rmdir()
            return
        with suppress(OSError), _opened(self.path, self._identity) as folder_fd:
            _remove_session(self.path, folder_fd, self._used)
        os.close(self._marker_fd)


@contextmanager
def _opened(path: Path, known: os.stat_result | None = None) -> Iterator[int]:
    """
    Open a folder that files are made and deleted in, and nothing that has taken its place.

    :param known: what the folder was when it was made
    :raises OSError: if it is gone, a link, or another folder
    """
    folder_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if known is not None and not os.path.samestat(known, os.fstat(folder_fd)):
            raise NotADirectoryError(f'{path} is another folder than the one that was made')
        yield folder_fd
    finally:
        os.close(folder_fd)


def _make_file(folder_fd: int, name: str) -> int:
    """Make a file under a name that nothing has, links included."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o666, dir_fd=folder_fd)


def remove_dead_sessions(parent: Path, note_progress: Callable[[], None]) -> None:
    """Delete the folders that runs left under a directory without ending properly."""
    for marker in parent.glob(f'*/{MARKER_NAME}'):
        note_progress()
        with suppress(OSError):
            _remove_if_dead(marker.parent)


def _remove_if_dead(folder: Path) -> None:
    marker_fd = os.open(folder / MARKER_NAME, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(marker_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        marker = _MARKER.fullmatch(os.read(marker_fd, 4096))
        inode = os.fstat(marker_fd).st_ino
        if marker and (marker['name'], int(marker['inode'])) == (folder.name.encode(), inode):
            with _opened(folder) as folder_fd:
                _remove_session(folder, folder_fd, int(marker['used']))
    finally:
        os.close(marker_fd)


def _remove_session(folder: Path, folder_fd: int, used: int) -> None:
    for name in os.listdir(folder_fd):
        if _is_ours(name, used):
            with suppress(FileNotFoundError):  # Somebody else may have deleted it.
                os.unlink(name, dir_fd=folder_fd)
    os.unlink(MARKER_NAME, dir_fd=folder_fd)
    folder.rmdir()


def _is_ours(name: str, used: int) -> bool:
    match = _FRAME.fullmatch(name)
    if match is None:
        return False
    number = int(match['number'] or match['part'])
    return number < used and name in (frame_name(number), _part_name(number))


def frame_name(number: int) -> str:
    """Return a frame's file name: stock SAM 2 sorts by int(stem) and takes `.jpeg`."""
    return f'{number:05d}.jpeg'


def _part_name(number: int) -> str:
    return f'.{number:05d}.part'
