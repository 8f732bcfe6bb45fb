# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Where save_memory and load_memory keep their files, and what these may be called."""

from __future__ import annotations

import os
from pathlib import Path

from sam2_tracker.core.errors import StorageError, TrackerError

SUFFIX = '.safetensors'
# Room for what is put around a name while the file is written; file systems take 255.
MAX_NAME_BYTES = 200


class MemoryFileError(TrackerError):
    """A request names a file, or objects of a file, that cannot be meant."""


def default_memory_directory() -> Path:
    """
    Name the folder that memory files are kept in; it need not exist.

    ``$XDG_DATA_HOME/sam2_tracker/memories``, else ``~/.local/share/sam2_tracker/memories``.

    :raises StorageError: there is no home directory
    """
    parent = os.environ.get('XDG_DATA_HOME', '')
    try:
        # The XDG specification has relative paths ignored.
        data = Path(parent) if parent.startswith('/') else Path.home() / '.local' / 'share'
    except RuntimeError as error:
        raise StorageError(f'there is no place for memory files ({error}): set memory.directory '
                           'or XDG_DATA_HOME') from error
    return data / 'sam2_tracker' / 'memories'


def memory_path(directory: Path | None, file_name: str) -> Path:
    """
    Return the path of a memory file.

    :param directory: None for the default one
    :param file_name: a plain name; the suffix is added if it is missing
    :raises MemoryFileError: it is a path, hidden, empty, too long or not printable
    """
    if not file_name:
        raise MemoryFileError('file_name is empty: a plain name such as cups is expected')
    if set(file_name) & set('/\\'):
        raise MemoryFileError(f'file_name {file_name!r} is a path: a plain name is expected, '
                              'the directory is the parameter memory.directory')
    if file_name.startswith('.'):
        raise MemoryFileError(f'file_name {file_name!r} begins with a dot: such files are hidden, '
                              'take another name')
    if not file_name.isprintable():
        raise MemoryFileError(f'file_name {file_name!r} has characters that cannot be printed')
    name = file_name if file_name.endswith(SUFFIX) else file_name + SUFFIX
    if len(name.encode()) > MAX_NAME_BYTES:
        raise MemoryFileError(f'file_name has {len(name.encode())} bytes: '
                              f'at most {MAX_NAME_BYTES} are expected')
    return (directory or default_memory_directory()).absolute() / name


def refuse_missing(path: Path) -> None:
    """
    Make sure that a memory file is there.

    :raises MemoryFileError: it is not; with the names of those that are
    """
    if path.is_file():
        return
    found = sorted(each.name for each in path.parent.glob(f'*{SUFFIX}') if each.name[0] != '.')
    there = f'there are {", ".join(found)}' if found else 'there is none'
    raise MemoryFileError(f'no object memory {path.name} in {path.parent}: {there}')
