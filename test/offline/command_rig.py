# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Run the offline command and look at what it leaves."""

from __future__ import annotations

from pathlib import Path

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
