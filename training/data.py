# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures with objects, and the objects cut out of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8 = NDArray[np.uint8]
CUTOUT_SIDE = 220       # pixels; larger than objects are drawn, so that only shrinking happens
MIN_CUTOUT_AREA = 700   # pixels in the source picture
PICTURE_SIDE = 420      # pixels, shorter side at most


@dataclass(frozen=True)
class Picture:
    """
    A photograph and its objects.

    :ivar rgb: (H, W, 3)
    :ivar labels: (H, W) object number, 0 = none of them
    """

    rgb: UInt8
    labels: UInt8


@dataclass(frozen=True)
class Cutout:
    """
    One object on an empty square.

    :ivar rgb: (N, N, 3)
    :ivar alpha: (N, N), 0 or 1
    """

    rgb: UInt8
    alpha: UInt8


@dataclass(frozen=True)
class Library:
    """Everything that clips are composed of."""

    pictures: tuple[Picture, ...]
    cutouts: tuple[Cutout, ...]


def load_library(root: Path) -> Library:
    """
    Read COCO and DUTS pictures and cut their objects out.

    :param root: folder with ``coco128-panoptic`` and ``duts-train-400``
    :raises FileNotFoundError: if there is no picture in it
    """
    pictures = [_read_coco(path) for path in
                sorted((root / 'coco128-panoptic').glob('*/images/*.jpg'))]
    pictures += [_read_duts(path) for path in sorted((root / 'duts-train-400/images').glob('*'))]
    if not pictures:
        raise FileNotFoundError(f'no training pictures in {root}')
    cutouts = [cutout for picture in pictures for cutout in cut_out(picture)]
    return Library(tuple(_shrink(picture) for picture in pictures), tuple(cutouts))


def _read_coco(path: Path) -> Picture:
    rgb = np.asarray(Image.open(path).convert('RGB'))
    instances = np.asarray(Image.open(path.parents[1] / 'instances' / f'{path.stem}.png'))
    return Picture(rgb, instances.astype(np.uint8))


def _read_duts(path: Path) -> Picture:
    rgb = np.asarray(Image.open(path).convert('RGB'))
    mask = np.asarray(Image.open(path.parents[1] / 'masks' / f'{path.stem}.png').convert('L'))
    return Picture(rgb, (mask > 127).astype(np.uint8))


def _shrink(picture: Picture) -> Picture:
    height, width = picture.labels.shape
    scale = min(1.0, PICTURE_SIDE / min(height, width))
    size = (round(width * scale), round(height * scale))
    return Picture(cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8),
                   cv2.resize(picture.labels, size,
                              interpolation=cv2.INTER_NEAREST).astype(np.uint8))


def cut_out(picture: Picture) -> list[Cutout]:
    """Cut every object of enough pixels out of a picture."""
    found = []
    for label in np.unique(picture.labels):
        mask = picture.labels == label
        if label and mask.sum() >= MIN_CUTOUT_AREA:
            found.append(_square(picture.rgb, mask))
    return found


def _square(rgb: UInt8, mask: NDArray[np.bool_]) -> Cutout:
    """Crop an object's box, centre it on a square and shrink that."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    height, width = len(range(rows[0], rows[-1] + 1)), len(range(columns[0], columns[-1] + 1))
    side = max(height, width) + 4
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side, 3), np.uint8)
    alpha = np.zeros((side, side), np.uint8)
    square[top:top + height, left:left + width] = rgb[box]
    alpha[top:top + height, left:left + width] = mask[box]
    if side > CUTOUT_SIDE:
        size = (CUTOUT_SIDE, CUTOUT_SIDE)
        square = cv2.resize(square, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        alpha = (cv2.resize(alpha * 255, size,
                            interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
    return Cutout(square, alpha)
