# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Outputs that appear whole or not at all: made beside their place, then moved there."""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import stat

from sam2_tracker.core import plain_file
from sam2_tracker.offline.errors import OutputError


@dataclass(frozen=True)
class Target:
    """
    The place of one output.

    :param path: where it is to lie
    :param own_suffixes: for a folder: of the files that we put into it, '' for none; empty for
        a single file
    """

    path: Path
    own_suffixes: tuple[str, ...] = ()

    @property
    def workshop(self) -> Path:
        """Return the hidden folder beside it in which it is made."""
        return self.path.parent / f'.{self.path.name}.part'

    @property
    def draft(self) -> Path:
        """Return where it lies until it is whole; it has its final name there already."""
        return self.workshop / self.path.name

    def check(self, overwrite: bool) -> None:
        """
        Refuse a place that is taken.

        :param overwrite: accept what an earlier run wrote there, and nothing else
        :raises OutputError: if something lies there that may not be replaced, or that cannot be
            told
        """
        try:
            self._check(overwrite)
        except OSError as error:
            raise OutputError(f'output {self.path} cannot be written: {error}') from error

    def _check(self, overwrite: bool) -> None:
        kind = _kind_of(self.path)
        if kind == _NOTHING:
            return
        if not overwrite:
            raise OutputError(
                f'output {self.path} exists already: name another one or give --overwrite'
            )
        if kind != (_FOLDER if self.own_suffixes else _FILE):
            raise OutputError(
                f'output {self.path} is a {kind} of yours, not an output of this '
                'command: it is not overwritten'
            )
        if self.own_suffixes:
            self._refuse_foreign_files()

    def _refuse_foreign_files(self) -> None:
        for entry in sorted(self.path.iterdir()):
            if entry.suffix.lower() not in self.own_suffixes or _kind_of(entry) != _FILE:
                raise OutputError(
                    f'output folder {self.path} holds {entry.name}, which is not '
                    'from this command: it is not overwritten'
                )

    def prepare(self) -> Path:
        """
        Make room for a new draft and throw away what an interrupted run left.

        :returns: the draft's path, where nothing lies yet
        :raises OutputError: if the place cannot be written to
        """
        try:
            self.discard()
            self.workshop.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f'output {self.path} cannot be written: {error}') from error
        return self.draft

    def publish(self) -> None:
        """
        Move the finished draft to its place, over an older one.

        :raises OutputError: if it cannot be moved, or what has come to lie there meanwhile is not
            of this command
        """
        self.check(overwrite=True)
        try:
            if self.draft.is_dir():
                self._swap_folder()
            else:
                _flush_to_disk(self.draft)
                self.draft.replace(self.path)
            self.discard()
        except OSError as error:
            raise OutputError(f'output {self.path} cannot be put in its place: {error}') from error

    def _swap_folder(self) -> None:
        if _kind_of(self.path) != _NOTHING:
            self.path.rename(self.workshop / 'replaced')
        self.draft.rename(self.path)

    def discard(self) -> None:
        """Throw the draft away."""
        # A link put in its place is not followed: it is an error.
        if _kind_of(self.workshop) != _NOTHING:
            shutil.rmtree(self.workshop)


_NOTHING, _FILE, _FOLDER = 'nothing', 'file', 'folder'
_KINDS = {
    stat.S_IFREG: _FILE,
    stat.S_IFDIR: _FOLDER,
    stat.S_IFLNK: 'symbolic link',
    stat.S_IFIFO: 'named pipe',
    stat.S_IFSOCK: 'socket',
    stat.S_IFCHR: 'device',
    stat.S_IFBLK: 'device',
}


def _kind_of(path: Path) -> str:
    """Say what lies at a path; a link is a link, wherever it leads."""
    try:
        return _KINDS[stat.S_IFMT(path.lstat().st_mode)]
    except (FileNotFoundError, NotADirectoryError):
        return _NOTHING


def write_whole(path: Path, content: bytes) -> None:
    """
    Write a small file that is there whole or not at all.

    :raises OutputError: if it cannot be written
    """
    try:
        plain_file.write_whole(path, content)
    except OSError as error:
        raise OutputError(f'{path} cannot be written: {error}') from error


def _flush_to_disk(path: Path) -> None:
    # Otherwise a power cut can leave the new name with nothing behind it.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
