# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Outputs for other programs to read: COCO, YOLO, and a table of all objects as CSV."""

from __future__ import annotations

from collections.abc import Iterable
import csv
from dataclasses import dataclass
import json
from pathlib import Path
import shutil
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.types import BoolArray, Box, TrackedObject, Wanted
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sinks.staging import write_whole

UNLABELLED = 'object'
# Within a pixel, of its width.
_AFTER_EDGE, _BEFORE_MIDDLE = 0.1, 0.499
COLUMNS = ('frame', 'stamp', 'object', 'label', 'state', 'score', 'x', 'y', 'width', 'height',
           'area', 'centroid_x', 'centroid_y')  # fmt: skip

Polygon = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Classes:
    """
    The classes of all recordings of one run, so that their data sets fit together.

    :param names: in the order of their numbers, from 0
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str]) -> Classes:
        """Return the classes of these labels, in the order in which they come first."""
        return cls(tuple(dict.fromkeys(label or UNLABELLED for label in labels)))

    def number(self, label: str) -> int:
        """Return a label's class."""
        return self.names.index(label or UNLABELLED)


class CocoFile:
    """
    A COCO data set of one recording: masks as RLE or polygons, the object's id as track id.

    Annotations are written as they come; the list of images, which is short, waits beside them.

    :param path: of the JSON
    :param sequence: the recording's name
    :param classes: become the categories, numbered from 1 as COCO does
    :param has_polygons: for readers that know no RLE; the same pixels
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=False, masks=True)
    SUFFIXES: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, path: Path, sequence: str, classes: Classes, has_polygons: bool = False
    ) -> None:
        self._sequence = sequence
        self._classes = classes
        self._has_polygons = has_polygons
        self._count = 0
        self._images_path = path.with_name(f'{path.name}.images')
        self._annotations = path.open('w', encoding='utf-8')
        self._images = self._images_path.open('w+', encoding='utf-8')
        self._annotations.write('{"annotations": [')

    def write(self, result: Result) -> None:
        """Add one frame."""
        image = self._image(result)
        self._images.write((',\n' if result.number else '\n') + json.dumps(image))
        for item, mask in zip(result.tracked.objects, result.tracked.masks, strict=True):
            if item.box is None:
                continue
            self._count += 1
            record = self._annotation(image['id'], item, mask)
            self._annotations.write((',\n' if self._count > 1 else '\n') + json.dumps(record))

    def _image(self, result: Result) -> dict[str, Any]:
        height, width = result.tracked.frame.source_hw
        return {
            'id': result.number + 1,
            'video_id': 1,
            'frame_index': result.number,
            'file_name': f'{self._sequence}/{result.picture_name}',
            'width': width,
            'height': height,
            'stamp': format_stamp(result.tracked.frame.stamp_ns),
        }

    def _annotation(self, image_id: int, item: TrackedObject, mask: BoolArray) -> dict[str, Any]:
        assert item.box is not None
        return {
            'id': self._count,
            'image_id': image_id,
            'video_id': 1,
            'category_id': self._classes.number(item.label) + 1,
            'track_id': item.id,
            'segmentation': polygons(mask) if self._has_polygons else _rle(mask),
            'area': item.area_px,
            'iscrowd': 0,
            'score': round(item.score, 6),
            'bbox': [item.box.x, item.box.y, item.box.width, item.box.height],
        }

    def finish(self) -> None:
        """Write the images behind the annotations, and what names them."""
        self._annotations.write('\n],\n"images": [')
        self._images.seek(0)
        shutil.copyfileobj(self._images, self._annotations)
        categories = [
            {'id': number, 'name': name, 'supercategory': ''}
            for number, name in enumerate(self._classes.names, 1)
        ]
        rest = {
            'videos': [{'id': 1, 'name': self._sequence}],
            'categories': categories,
            'licenses': [],
            'info': {'description': f'Masks of {self._sequence}, tracked with SAM 2'},
        }
        self._annotations.write('\n],\n')
        self._annotations.write(
            ',\n'.join(f'"{key}": {json.dumps(value)}' for key, value in rest.items())
        )
        self._annotations.write('}\n')
        self.abort()

    def abort(self) -> None:
        """Close the files."""
        self._annotations.close()
        self._images.close()
        self._images_path.unlink(missing_ok=True)


def _rle(mask: BoolArray) -> dict[str, Any]:
    from supervision import mask_to_rle

    return {'size': list(mask.shape), 'counts': mask_to_rle(mask, True)}


def polygons(mask: BoolArray) -> list[list[int]]:
    """
    Return the outlines of a mask's parts along the edges of pixels.

    A hole is joined to the outline around it by a line without width, there and back.

    :param mask: (height, width) bool
    :returns: x and y by turns of each part, 0 to width and 0 to height
    """
    # Of a pixel that is two wide, one border pixel lies at each edge.
    doubled = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts: dict[int, Polygon] = {}
    holes = []
    for number, contour in enumerate(contours):
        edges = _corners((np.asarray(contour[:, 0], np.int32) + 1) // 2)
        around = int(tree[0, number, 3])
        if around < 0:
            parts[number] = edges
        else:
            holes.append((around, edges))
    for around, edges in holes:
        parts[around] = _joined(parts[around], edges)
    return [part.reshape(-1).tolist() for part in parts.values()]


def _corners(points: Polygon) -> Polygon:
    """Return a closed line without the points at which it does not turn."""
    moved = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before = moved - np.roll(moved, 1, axis=0)
    after = np.roll(moved, -1, axis=0) - moved
    # All steps are along one axis.
    return moved[(np.sign(before) != np.sign(after)).any(axis=1)]


class YoloFolder:
    """
    One polygon an object: 00000.txt, 00001.txt, ..., empty where no object is visible.

    :param folder: does not exist yet
    :param log: told how many outlines lost something that the format cannot hold
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=False, masks=True)
    SUFFIXES: ClassVar[tuple[str, ...]] = ('.txt',)

    def __init__(self, folder: Path, classes: Classes, log: Log = silent) -> None:
        self._folder = folder
        self._classes = classes
        self._log = log
        self._outlines = 0
        self._filled = 0
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
        self._outlines += 1
        self._filled += has_holes(mask)
        corners = within_pixels(one_polygon(mask)) / np.array([width, height])
        numbers = ' '.join(f'{number:.7f}' for number in corners.reshape(-1))
        return f'{self._classes.number(item.label)} {numbers}\n'

    def finish(self) -> None:
        """Say what is not as in the masks: every file is whole."""
        if self._filled:
            self._log(
                Level.WARN,
                f'{self._folder.name}: {self._filled} of {self._outlines} YOLO outlines are of '
                'objects with holes: they are filled, as the format has none',
            )

    def abort(self) -> None:
        """Do nothing: no file is open."""


def write_names(folder: Path, classes: Classes) -> None:
    """
    Write the data.yaml that a training run reads the class names from.

    :param folder: with the folders `labels` and, where the frames are put, `images`
    """
    names = ''.join(f'  {number}: {_quoted(name)}\n' for number, name in enumerate(classes.names))
    # Without `path` the folders are looked for beside the file, wherever training is started.
    content = f'train: images\nval: images\nnames:\n{names}'
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


def has_holes(mask: BoolArray) -> bool:
    """Return whether there is background that the mask encloses."""
    _, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return bool((tree[0, :, 3] >= 0).any())


def within_pixels(corners: Polygon) -> npt.NDArray[np.float64]:
    """
    Return points from which a reader finds the corner pixels again.

    Readers multiply by the picture's size, drop the fraction or round it, and draw the polygon and
    its border: a point just before the middle of its pixel comes out right either way, whatever
    the last digit. Of an object that is one pixel wide the box would have no area, and readers
    throw such away: its points take up a part of that pixel.

    :param corners: (P, 2) x and y of pixels
    :returns: (P, 2) or (2P, 2) x and y
    """
    points = corners.astype(np.float64) + _BEFORE_MIDDLE
    is_flat = np.ptp(corners, axis=0) == 0
    if not is_flat.any():
        return points
    thickness = np.where(is_flat, _BEFORE_MIDDLE - _AFTER_EDGE, 0.0)
    return np.concatenate([points, points[::-1] - thickness])


def _joined(outline: Polygon, part: Polygon) -> Polygon:
    """Insert a part where it is nearest to the outline."""
    distances = np.linalg.norm(outline[:, None].astype(np.float64) - part[None], axis=2)
    at, first = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.concatenate([np.roll(part, -int(first), axis=0), part[first:first + 1]])
    return np.concatenate([outline[: at + 1], around, outline[at:]])


class ObjectTable:
    """
    A CSV with a row an object and frame; no row for a frame without objects.

    :param path: of the CSV
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=False, masks=False)
    SUFFIXES: ClassVar[tuple[str, ...]] = ()

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
