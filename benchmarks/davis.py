# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The DAVIS measures of a mask: region overlap J and contour accuracy F."""

from __future__ import annotations

from dataclasses import dataclass
import math

from benchmarks.sequences import Mask
import cv2
import numpy as np
from numpy.typing import NDArray

# Contours may be this share of the picture's diagonal apart and still match.
CONTOUR_TOLERANCE = 0.008


@dataclass(frozen=True)
class Score:
    """Mean J and F over frames."""

    region: float
    contour: float

    @property
    def mean(self) -> float:
        """J&F, the mean of both."""
        return (self.region + self.contour) / 2


def region_overlap(predicted: Mask, truth: Mask) -> float:
    """Compute J, intersection over union; 1 where both (H, W) masks are empty."""
    union = np.count_nonzero(predicted | truth)
    return np.count_nonzero(predicted & truth) / union if union else 1.0


def contour(mask: Mask) -> Mask:
    """Mark the pixels of a (H, W) mask that differ from their right or lower neighbours."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode='edge')
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != below) | (mask != diagonal)


def disk(radius: int) -> NDArray[np.uint8]:
    """Draw the pixels within a radius of a centre."""
    offsets = np.arange(-radius, radius + 1)
    return (np.add.outer(offsets ** 2, offsets ** 2) <= radius ** 2).astype(np.uint8)


def contour_accuracy(predicted: Mask, truth: Mask) -> float:
    """Compute F, the harmonic mean of contour precision and recall of (H, W) masks."""
    guess, real = contour(predicted), contour(truth)
    if not guess.any() or not real.any():
        return float(not guess.any() and not real.any())
    near = disk(math.ceil(CONTOUR_TOLERANCE * math.hypot(*truth.shape)))
    precision = np.count_nonzero(guess & _widen(real, near)) / np.count_nonzero(guess)
    recall = np.count_nonzero(real & _widen(guess, near)) / np.count_nonzero(real)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _widen(mask: Mask, shape: NDArray[np.uint8]) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), shape).astype(bool)


def score_frames(predicted: list[Mask], truth: list[Mask]) -> Score:
    """
    Score one object's masks as DAVIS does: without the first and the last frame.

    :raises ValueError: if the numbers of masks differ or none is left
    """
    if len(predicted) != len(truth) or len(truth) < 3:
        raise ValueError(f'{len(predicted)} predicted and {len(truth)} true masks: '
                         'need as many of both, and 3 or more')
    pairs = list(zip(predicted, truth, strict=True))[1:-1]
    return Score(float(np.mean([region_overlap(*pair) for pair in pairs])),
                 float(np.mean([contour_accuracy(*pair) for pair in pairs])))
