# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The frames themselves, as pictures that masks and labels belong to."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from sam2_tracker.core.types import Wanted
from sam2_tracker.offline.sink import Result

WANTED = Wanted(label_image=False, masks=False)
SUFFIXES = ('.jpg', '.png')


class FrameFolder:
    """
    Writes 00000.jpg, 00001.jpg, ..., the source's own JPEGs; PNGs where it has none.

    :param folder: does not exist yet
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def write(self, result: Result) -> None:
        """Add one frame."""
        path = self._folder / file_name(result)
        if result.payload is not None:
            path.write_bytes(result.payload)
        else:
            Image.fromarray(result.tracked.frame.image_rgb).save(path, compress_level=1)

    def finish(self) -> None:
        """Do nothing: every picture is whole."""

    def abort(self) -> None:
        """Do nothing: no file is open."""


def file_name(result: Result) -> str:
    """Return the name that a frame's picture has, or would have."""
    return f'{result.name}.{"png" if result.payload is None else "jpg"}'
