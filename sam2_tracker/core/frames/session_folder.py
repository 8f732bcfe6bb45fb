# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
One session's folder of JPEGs, and proof of who wrote it.

Each folder has a marker file that the run keeps locked with flock: the lock ends with the process
however that ends, whereas a pid may belong to somebody else by then. The marker names its own
folder and inode, so that a folder that a user copied or renamed counts as the user's, and how many
frame numbers the run has used, so that no other file in it is ever taken for ours.
"""

from __future__ import annotations

from contextlib import suppress
import fcntl
import os
from pathlib import Path
import re

MARKER_NAME = '.sam2_tracker_session'
_MARKER = re.compile(rb'(?P<name>[^\n]+)\n(?P<inode>\d+)\n(?P<used>\d{12})\n')
_FRAME = re.compile(r'(?P<number>\d{5,})\.jpeg|\.(?P<part>\d{5,})\.part')


def frame_name(number: int) -> str:
    """Return a frame's file name: stock SAM 2 sorts by int(stem) and takes `.jpeg`."""
    return f'{number:05d}.jpeg'


def _part_name(number: int) -> str:
    return f'.{number:05d}.part'


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
        try:
            part.write_bytes(payload)
            part.rename(self.path / frame_name(number))
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise

    def _claim(self, number: int) -> None:
        self._used = max(self._used, number + 1)
        if self._used_offset:
            os.pwrite(self._marker_fd, b'%012d' % self._used, self._used_offset)

    def read(self, number: int) -> bytes:
        """Return a frame's JPEG."""
        return (self.path / frame_name(number)).read_bytes()

    def remove(self, number: int) -> None:
        """Delete a frame."""
        (self.path / frame_name(number)).unlink()

    def close(self) -> None:
        """
        Delete the folder with all frames of this run, or leave it if they are kept.

        A folder with anything else in it stays, with just that.
        """
        if self._keep:
            with suppress(OSError):
                self.path.rmdir()
            return
        with suppress(OSError):
            _remove_session(self.path, self._used)
        os.close(self._marker_fd)


def remove_dead_sessions(parent: Path) -> None:
    """Delete the folders that runs left under a directory without ending properly."""
    for marker in parent.glob(f'*/{MARKER_NAME}'):
        with suppress(OSError):
            _remove_if_dead(marker.parent)


def _remove_if_dead(folder: Path) -> None:
    marker_fd = os.open(folder / MARKER_NAME, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(marker_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        marker = _MARKER.fullmatch(os.read(marker_fd, 4096))
        inode = os.fstat(marker_fd).st_ino
        if marker and (marker['name'], int(marker['inode'])) == (folder.name.encode(), inode):
            _remove_session(folder, int(marker['used']))
    finally:
        os.close(marker_fd)


def _remove_session(folder: Path, used: int) -> None:
    for path in folder.iterdir():
        if _is_ours(path.name, used):
            path.unlink(missing_ok=True)  # Another thread may be deleting the last frames.
    (folder / MARKER_NAME).unlink()
    folder.rmdir()


def _is_ours(name: str, used: int) -> bool:
    match = _FRAME.fullmatch(name)
    if match is None:
        return False
    number = int(match['number'] or match['part'])
    return number < used and name in (frame_name(number), _part_name(number))
