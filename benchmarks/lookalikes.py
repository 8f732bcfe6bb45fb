# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Clips in which a copy of the object passes behind it, made of the development sequences.

The copy is cut out of a frame a little later, so that it moves as the object does but is never
in step with it; the object itself is never hidden, so the true masks are those of the sequence.
"""

from __future__ import annotations

from benchmarks.sequences import centre_and_size, Mask, Picture, Sequence
from benchmarks.tracking import read_rgb
import cv2
import numpy as np

LENGTH = 40
LATER = 5
# Widths of the object between the centres of both, on the first frame and on the last.
START, END = 1.25, -1.25


def look_alike_clip(sequence: Sequence) -> tuple[list[Picture], list[Mask]]:
    """
    Let a copy of a sequence's object pass behind it, from one side to the other.

    :returns: pictures and true masks
    """
    masks = list(sequence.masks[0][:LENGTH])
    pictures = [read_rgb(path) for path in sequence.frames[:LENGTH]]
    side = _roomier_side(masks[0])
    made = []
    for frame, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
        later = min(frame + LATER, len(masks) - 1)
        share = frame / (len(masks) - 1)
        widths = side * (START + (END - START) * share)
        made.append(paste_behind(picture, mask, pictures[later], masks[later], widths))
    return made, masks


def paste_behind(picture: Picture, mask: Mask, source: Picture, cut: Mask,
                 widths: float) -> Picture:
    """
    Paste what another picture's mask cuts out behind an object.

    :param mask: (H, W), the object
    :param source: (H, W, 3), where the copy comes from
    :param cut: (H, W), what is copied
    :param widths: of the object, from its centre to that of the copy, to the right
    """
    (x, y, width, _), (cut_x, cut_y, *_) = centre_and_size(mask), centre_and_size(cut)
    shift = np.array([[1, 0, x + widths * width - cut_x], [0, 1, y - cut_y]], np.float32)
    size = (mask.shape[1], mask.shape[0])
    moved = cv2.warpAffine(source, shift, size, borderMode=cv2.BORDER_REFLECT)
    # Soft edges, as those of things in a film are.
    share = cv2.GaussianBlur(cv2.warpAffine(cut.astype(np.float32), shift, size), (0, 0), 0.8)
    share[mask] = 0
    mixed = picture + share[:, :, None] * (moved.astype(np.float32) - picture)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _roomier_side(mask: Mask) -> int:
    """Tell where there is more room beside an object: 1 on its right, -1 on its left."""
    return 1 if centre_and_size(mask)[0] < mask.shape[1] / 2 else -1
