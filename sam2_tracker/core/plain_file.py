# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Files of a user: read and written so that nothing else than a plain file is waited for."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import stat

_KINDS = (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISFIFO, 'a pipe'),
    (stat.S_ISSOCK, 'a socket'),
    (stat.S_ISCHR, 'a device'),
    (stat.S_ISBLK, 'a device'),
)


def read_whole(path: Path, most_bytes: int) -> bytes:
    """
    Read a regular file, or a link to one; what becomes of it later changes nothing.

    :param most_bytes: a larger file is refused before it is read
    :raises OSError: it is something else, too large, or cannot be read
    """
    # Opening alone can wait for ever (a pipe) or do something (a device): asked before.
    _refuse_special(path.stat())
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, 'rb') as file:
        status = os.fstat(descriptor)
        _refuse_special(status)
        if status.st_size > most_bytes:
            raise OSError(f'it has {status.st_size} bytes: at most {most_bytes} are read')
        # As much memory is set aside as is asked for, whatever is there.
        content = file.read(status.st_size + 1)
    if len(content) > status.st_size:
        raise OSError(f'it grows while it is read, beyond its {status.st_size} bytes')
    return content


def write_whole(path: Path, content: bytes) -> None:
    """
    Write a file, which is there whole or not at all; a link is replaced, not followed.

    :raises OSError: it cannot be written, or something else than a file is there
    """
    refuse_irreplaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write the same file.
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    try:
        # Whatever is put there meanwhile is not written to: the file is made, or nothing is.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o666), 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def is_there(path: Path) -> bool:
    """Return whether anything is at a path; not where that cannot be told."""
    try:
        return path.exists()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder; not where that cannot be told."""
    try:
        return path.is_dir()
    except OSError:
        return False


def real_path(path: Path) -> Path:
    """Return a path without links, as far as that can be told."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        # A link that leads to itself is a RuntimeError up to Python 3.12.
        return path.absolute()


def refuse_special(path: Path) -> None:
    """
    Make sure that a file, or a link to one, is at a path, for readers that would wait for others.

    :raises OSError: something else is, or nothing, or that cannot be told
    """
    _refuse_special(path.stat())


def refuse_irreplaceable(path: Path) -> None:
    """
    Make sure that nothing but a file or a link is at a path, if anything is.

    :raises OSError: something else is, or that cannot be told
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _refuse_special(path.lstat())


def _refuse_special(status: os.stat_result) -> None:
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            raise OSError(f'it is {kind}: a file is expected')
