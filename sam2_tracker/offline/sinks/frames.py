# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A table of all objects on all frames, as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image

from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.types import Box, TrackedObject, Wanted
from sam2_tracker.offline.sinks.sink import Result


class FrameFolder:
    """
    Writes 00000.jpg, 00001.jpg, ..., the source's own JPEGs; PNGs where it has none.

    :param folder: does not exist yet
    """

    WANTED = Wanted(label_image=False, masks=False)
    SUFFIXES = ('.jpg', '.png')

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


# Masks shrink to a few kilobytes at any level, and this one takes half the time.
_COMPRESSION = 3


class MaskFolder:
    """
    Writes 00000.png, 00001.png, ...; 16-bit grey instead of a palette where an id is above 255.

    :param folder: does not exist yet
    """

    WANTED = Wanted(label_image=True, masks=False)
    SUFFIXES = ('.png',)

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


COLUMNS = ('frame', 'stamp', 'object', 'label', 'state', 'score', 'x', 'y', 'width', 'height',
           'area', 'centroid_x', 'centroid_y')  # fmt: skip


class ObjectTable:
    """
    Writes one row an object and frame; no row for a frame without objects.

    :param path: of the CSV
    """

    WANTED = Wanted(label_image=False, masks=False)

    def __init__(self, path: Path) -> None:
        self._stream = path.open('w', encoding='utf-8', newline='')
        self._rows = csv.writer(self._stream, lineterminator='\n')
        self._rows.writerow(COLUMNS)

    def write(self, result: Result) -> None:
        """Add one frame."""
        stamp = format_stamp(result.tracked.frame.stamp_ns)
        for item in result.tracked.objects:
            self._rows.writerow([result.number, stamp, *_cells(item)])

    def finish(self) -> None:
        """Close the file."""
        self._stream.close()

    def abort(self) -> None:
        """Close the file."""
        self._stream.close()


def _cells(item: TrackedObject) -> list[str | int]:
    box = item.box or Box(0, 0, 0, 0)
    centroid = [f'{value:.3f}' for value in item.centroid_xy]
    return [
        item.id,
        item.label,
        item.state.name.lower(),
        f'{item.score:.6f}',
        box.x,
        box.y,
        box.width,
        box.height,
        item.area_px,
        *centroid,
    ]
