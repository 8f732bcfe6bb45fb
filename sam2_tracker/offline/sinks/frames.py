# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A table of all objects on all frames, as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from sam2_tracker.core.frames.lookup import format_stamp
from sam2_tracker.core.types import Box, TrackedObject, Wanted
from sam2_tracker.offline.sink import Result

WANTED = Wanted(label_image=False, masks=False)
COLUMNS = ('frame', 'stamp', 'object', 'label', 'state', 'score', 'x', 'y', 'width', 'height',
           'area', 'centroid_x', 'centroid_y')  # fmt: skip


class ObjectTable:
    """
    Writes one row an object and frame; no row for a frame without objects.

    :param path: of the CSV
    """

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
