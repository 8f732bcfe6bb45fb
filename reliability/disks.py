# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Disks that fill up, turn read-only or hang: small file systems of our own, wants root."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
import os
from pathlib import Path
import re
import shutil
import subprocess
import tempfile

_TRIAL_KIB = 256
_EXT4_MIB = 40
# A frozen file system holds who touches it: so does unmounting a busy one.
_PATIENCE_S = 10.0


class DiskError(Exception):
    """This machine does not let us make such a disk."""


def _run(*command: str) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise DiskError(str(error)) from error
    if ended.returncode:
        raise DiskError(f'{" ".join(command)}: {ended.stderr.strip() or ended.returncode}')


def mount_tmpfs(folder: Path, size_kib: int, inodes: int = 0) -> Path:
    """
    Mount a small file system in memory.

    :raises DiskError: if that is not allowed
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = f'size={size_kib}k' + (f',nr_inodes={inodes}' if inodes else '')
    _run('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder))
    return folder


def mount_ext4(folder: Path) -> Path:
    """
    Mount an ext4 file system that lies in a file beside the folder; it can be frozen.

    :raises DiskError: if that is not allowed
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = folder.with_name(f'{folder.name}.ext4')
    with image.open('wb') as file:
        file.truncate(_EXT4_MIB * 1024 ** 2)
    _run('mkfs.ext4', '-q', '-F', str(image))
    _run('mount', '-o', 'loop', str(image), str(folder))
    return folder


def freeze(folder: Path) -> None:
    """Let every write to a file system hang from now on."""
    _run('fsfreeze', '-f', str(folder))


def thaw(folder: Path) -> None:
    """Let them go on."""
    _run('fsfreeze', '-u', str(folder))


def make_read_only(folder: Path) -> None:
    """
    Refuse every write to a mounted file system, open files included, as a failing card does.

    :raises DiskError: if it cannot be done
    """
    _run('mount', '--bind', str(folder), str(folder))
    _run('mount', '-o', 'remount,ro,bind', str(folder))


def make_writable(folder: Path) -> None:
    """Take `make_read_only` back."""
    _run('mount', '-o', 'remount,rw,bind', str(folder))


def fill(folder: Path) -> Path:
    """Leave not a byte of a file system free; deleting what is returned frees it again."""
    filler = folder / 'filler'
    for block in (65536, 4096, 1):
        with suppress(OSError), filler.open('ab', buffering=0) as file:
            while file.write(bytes(block)):
                pass
    return filler


def leave_free(folder: Path, size_kib: int, free_kib: int) -> None:
    """Fill a file system of a known size up to so many KiB."""
    (folder / 'filler').write_bytes(bytes((size_kib - free_kib) * 1024))


def mounts_below(folder: Path) -> Iterator[Path]:
    """Yield what is mounted at or below a folder, the innermost first."""
    for line in reversed(Path('/proc/self/mounts').read_text().splitlines()):
        place = Path(re.sub(r'\\(\d{3})', lambda octal: chr(int(octal[1], 8)), line.split()[1]))
        if place == folder or folder in place.parents:
            yield place


def thaw_below(folder: Path) -> None:
    """Thaw whatever is frozen below a folder, so that who hangs there can be ended."""
    for place in mounts_below(folder):
        with suppress(DiskError):
            thaw(place)


def release_below(folder: Path) -> None:
    """Unmount everything at and below a folder, thawed first."""
    thaw_below(folder)
    for place in mounts_below(folder):
        with suppress(DiskError):
            _run('umount', str(place))
    for place in mounts_below(folder):
        _run('umount', '-l', str(place))


def no_root() -> str:
    """Say why only root can do it, '' if we are root."""
    return '' if os.geteuid() == 0 else 'needs root'


@lru_cache(maxsize=1)
def no_tmpfs() -> str:
    """Say why no small file system can be mounted here, '' if it can."""
    return no_root() or _trial(lambda folder: mount_tmpfs(folder, _TRIAL_KIB))


@lru_cache(maxsize=1)
def no_freezing() -> str:
    """Say why no file system can be frozen here, '' if it can."""
    def freeze_and_thaw(folder: Path) -> None:
        mount_ext4(folder)
        freeze(folder)
        thaw(folder)
    return no_root() or _trial(freeze_and_thaw)


def _trial(make: Callable[[Path], object]) -> str:
    parent = Path(tempfile.mkdtemp(prefix='reliability_trial_'))
    try:
        make(parent / 'disk')
    except DiskError as error:
        return str(error)
    finally:
        release_below(parent)
        shutil.rmtree(parent, ignore_errors=True)
    return ''
