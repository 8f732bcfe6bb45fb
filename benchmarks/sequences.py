# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The development sequences: frames, true masks and prompts made from the first of them."""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sam2_tracker.core.types import Prompt

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]
# Sequences of other groups than DAVIS 2016.
GROUPS = {'dogs-jump': 'davis2017', 'chair': 'pumavos'}
DAVIS = ('blackswan', 'bmx-trees', 'car-shadow', 'dog', 'horsejump-high', 'libby')


@dataclass(frozen=True)
class Sequence:
    """
    A sequence of frames with the true masks of its objects.

    :ivar frames: JPEG files in order
    :ivar masks: for each object a (H, W) mask a frame
    """

    name: str
    frames: tuple[Path, ...]
    masks: tuple[tuple[Mask, ...], ...]

    def first(self, frames: int) -> Sequence:
        """Cut the sequence after some frames."""
        return Sequence(self.name, self.frames[:frames],
                        tuple(masks[:frames] for masks in self.masks))


def data_root() -> Path:
    """Name the folder of development data: ``$SAM2_TRACKER_DATA`` or ``../shared/data``."""
    own = os.environ.get('SAM2_TRACKER_DATA')
    return Path(own) if own else Path(__file__).resolve().parents[2] / 'shared/data'


def load_sequence(name: str) -> Sequence:
    """
    Read a development sequence: a DAVIS one, ``dogs-jump`` or ``chair``.

    :raises FileNotFoundError: if it is not there; with the names of those that are
    """
    group = GROUPS.get(name, 'davis2016')
    root = data_root() / 'dev' / group
    frames = sorted((root / 'JPEGImages' / name).glob('*.jpg'))
    labels = [np.asarray(Image.open(path)) for path in
              sorted((root / 'Annotations' / name).glob('*.png'))]
    if not frames or len(frames) != len(labels):
        raise FileNotFoundError(
            f'{root} has {len(frames)} frames and {len(labels)} masks of {name!r}: '
            f'{_what_there_is(root.parent)}')
    if group != 'davis2017':
        # one merged object, in whatever way its source painted it
        labels = [(_first_channel(picture) > 0).astype(np.uint8) for picture in labels]
    ids = [int(label) for label in np.unique(labels[0]) if label]
    return Sequence(name, tuple(frames),
                    tuple(tuple(picture == label for picture in labels) for label in ids))


def _what_there_is(root: Path) -> str:
    found = sorted([each.name for each in (root / 'davis2016' / 'JPEGImages').glob('*')]
                   + [name for name, group in GROUPS.items()
                      if (root / group / 'JPEGImages' / name).is_dir()])
    return f'there are {", ".join(found)}' if found else (
        'there are no sequences at all, set SAM2_TRACKER_DATA to the folder that has them in dev')


def _first_channel(picture: Picture) -> Picture:
    return picture if picture.ndim == 2 else picture[:, :, 0]


def make_prompt(mask: Mask, kind: str) -> Prompt:
    """
    Point at an object: its mask, the tight box around it, or a click deepest inside it.

    :param mask: (H, W), not empty
    :param kind: mask, box or click
    :raises ValueError: on another kind
    """
    if kind == 'mask':
        return Prompt(mask_hw=mask)
    if kind == 'box':
        return Prompt(box_xyxy=np.array(box_around(mask), np.float32))
    if kind == 'click':
        depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
        y, x = np.unravel_index(int(depth[1:-1, 1:-1].argmax()), mask.shape)
        return Prompt(points_xy=np.array([(x, y)], np.float32),
                      point_labels=np.ones(1, np.int32))
    raise ValueError(f'no prompt of kind {kind!r}: mask, box or click')


def box_around(mask: Mask) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a mask that is not empty; the last two lie beyond."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def centre_and_size(mask: Mask) -> tuple[float, float, float, float]:
    """Return x and y of the middle of a mask's box, which is a pixel's, its width and height."""
    left, top, right, bottom = box_around(mask)
    return (left + right - 1) / 2, (top + bottom - 1) / 2, right - left, bottom - top


def to_and_fro(step: int, length: int) -> int:
    """Count up to a length and down again, for ever."""
    place = step % (2 * length - 2)
    return min(place, 2 * length - 2 - place)
