# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Masks as DAVIS has them: one palette PNG a frame, pixel = object id."""

from __future__ import annotations

from pathlib import Path

from sam2_tracker.core.types import Wanted
from sam2_tracker.offline.sink import Result

WANTED = Wanted(label_image=True, masks=False)
SUFFIXES = ('.png',)
# Masks shrink to a few kilobytes at any level, and this one takes half the time.
_COMPRESSION = 3


class MaskFolder:
    """
    Writes 00000.png, 00001.png, ...; 16-bit grey instead of a palette where an id is above 255.

    :param folder: does not exist yet
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def write(self, result: Result) -> None:
        """Add one frame."""
        # Supervision, which the palette shares a package with, takes a second to import.
        from sam2_tracker.render.palette import label_picture

        assert result.tracked.label_image is not None
        picture = label_picture(result.tracked.label_image)
        picture.save(self._folder / f'{result.name}.png', compress_level=_COMPRESSION)

    def finish(self) -> None:
        """Do nothing: every picture is whole."""

    def abort(self) -> None:
        """Do nothing: no file is open."""
