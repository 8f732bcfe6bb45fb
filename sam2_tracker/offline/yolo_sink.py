# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""YOLO segmentation labels: a text file a frame, a polygon an object."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sam2_tracker.core.types import BoolArray, TrackedObject, Wanted
from sam2_tracker.offline.classes import Classes
from sam2_tracker.offline.sink import Result
from sam2_tracker.offline.sinks.staging import write_whole

WANTED = Wanted(label_image=False, masks=True)
SUFFIXES = ('.txt',)
Polygon = npt.NDArray[np.int32]


class YoloFolder:
    """
    Writes 00000.txt, 00001.txt, ..., empty where no object is visible.

    :param folder: does not exist yet
    """

    def __init__(self, folder: Path, classes: Classes) -> None:
        self._folder = folder
        self._classes = classes
        folder.mkdir()

    def write(self, result: Result) -> None:
        """Add one frame."""
        objects, masks = result.tracked.objects, result.tracked.masks
        lines = [
            self._line(item, mask)
            for item, mask in zip(objects, masks, strict=True)
            if item.box is not None
        ]
        (self._folder / f'{result.name}.txt').write_text(''.join(lines), encoding='utf-8')

    def _line(self, item: TrackedObject, mask: BoolArray) -> str:
        height, width = mask.shape
        corners = one_polygon(mask) / np.array([width, height])
        numbers = ' '.join(f'{number:.6f}' for number in corners.reshape(-1))
        return f'{self._classes.number(item.label)} {numbers}\n'

    def finish(self) -> None:
        """Do nothing: every file is whole."""

    def abort(self) -> None:
        """Do nothing: no file is open."""


def write_names(folder: Path, classes: Classes) -> None:
    """
    Write the data.yaml that a training run reads the class names from.

    :param folder: with the folders `labels` and, where the frames are put, `images`
    """
    names = ''.join(f'  {number}: {_quoted(name)}\n' for number, name in enumerate(classes.names))
    content = f'path: .\ntrain: images\nval: images\nnames:\n{names}'
    write_whole(folder / 'data.yaml', content.encode())


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def one_polygon(mask: BoolArray) -> Polygon:
    """
    Return the outline of a mask, without its holes.

    The format has one polygon an object, so several parts are joined by lines without width, there
    and back.

    :param mask: (height, width) bool, with at least one pixel
    :returns: (P, 2) x and y, P of 3 or more
    """
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    parts = sorted(
        (np.asarray(contour[:, 0], np.int32) for contour in contours),
        key=lambda part: -cv2.contourArea(part),
    )
    joined = parts[0]
    for part in parts[1:]:
        joined = _joined(joined, part)
    # A single pixel, or a line, has fewer corners than the format wants.
    return joined if len(joined) >= 3 else np.resize(joined, (3, 2))


def _joined(outline: Polygon, part: Polygon) -> Polygon:
    """Insert a part where it is nearest to the outline."""
    distances = np.linalg.norm(outline[:, None].astype(np.float64) - part[None], axis=2)
    at, first = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.concatenate([np.roll(part, -int(first), axis=0), part[first : first + 1]])
    return np.concatenate([outline[: at + 1], around, outline[at:]])
