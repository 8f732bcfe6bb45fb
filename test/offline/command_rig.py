# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Run the offline command and look at what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import resource
import signal

FRAMES = 10


def outputs(folder: Path) -> list[str]:
    """Name every kind of output."""
    return [
        *('--output', str(folder / 'bag'), '--masks', str(folder / 'masks')),
        *('--coco', str(folder / 'out.json'), '--video', str(folder / 'out.mp4')),
        *('--csv', str(folder / 'out.csv'), '--yolo', str(folder / 'yolo')),
        *('--sheet', str(folder / 'sheet.png'), '--frames', str(folder / 'frames')),
    ]


def content(folder: Path) -> dict[str, bytes]:
    """Read every file, hidden ones too."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def whole_looking(folder: Path) -> list[str]:
    """Name what a person would take for an output."""
    return [name for name in content(folder) if not name.startswith('.') and '/.' not in name]


@contextmanager
def small_disk(file_bytes: int = 60_000) -> Iterator[None]:
    """Let no file grow beyond this; only within a test, as pytest may write to a longer one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
