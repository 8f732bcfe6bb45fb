# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The directory that the sessions' folders and the snapshots lie in."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
import os
from pathlib import Path
import secrets
import stat
import tempfile

from sam2_tracker.core.errors import StorageError
from sam2_tracker.core.frames.session_folder import remove_dead_sessions, SessionFolder


class FrameDirectory:
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
        remove_dead_sessions(self.path)

    def _make(self) -> None:
        self.path.mkdir(mode=0o700 if self._private else 0o777, parents=True, exist_ok=True)
        status = os.lstat(self.path)
        if self._private and (not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid()):
            raise StorageError(f'the temporary directory {self.path} belongs to somebody else: '
                               'set buffer.directory')

    def _refusal(self, what: str, error: OSError) -> StorageError:
        return StorageError(f'buffer.directory {str(self.path)!r} {what}: '
                            f'{error.strerror or error}')

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
