# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated operators: clicks, boxes and corrections for known masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
import torch

Bool = NDArray[np.bool_]
POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT, PADDING = 1, 0, 2, 3, -1


@dataclass(frozen=True)
class Points:
    """
    Prompts as SAM 2 takes them.

    :ivar coords: (N, P, 2) x and y in input pixels
    :ivar labels: (N, P) 1 add, 0 remove, 2 and 3 box corners, -1 padding
    """

    coords: torch.Tensor
    labels: torch.Tensor


def click_inside(rng: np.random.Generator, mask: Bool) -> tuple[float, float]:
    """
    Click at a place well inside a (H, W) mask of at least one pixel.

    Half of the clicks are where the mask is widest, as a careful operator's are.

    :returns: x and y in pixels
    """
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep_enough = depth.max() * (0.9 if rng.random() < 0.5 else 0.4)
    places = np.argwhere((depth >= deep_enough) & mask)
    y, x = places[rng.integers(len(places))]
    return float(x), float(y)


def loose_box(rng: np.random.Generator, mask: Bool, slack: float = 0.06) -> list[float]:
    """
    Draw a box around a (H, W) mask, off by some of its size, inside the picture.

    :returns: left, top, right, bottom in pixels
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
    size = np.tile(tight[2:] - tight[:2], 2)
    height, width = mask.shape
    box = tight + np.clip(rng.normal(0, slack, 4), -0.15, 0.15) * size
    return [float(edge) for edge in np.clip(box, 0, [width, height, width, height])]


def box_points(rng: np.random.Generator, masks: Bool) -> Points:
    """Box every one of (N, H, W) masks."""
    boxes = torch.tensor([loose_box(rng, mask) for mask in masks], dtype=torch.float32)
    labels = torch.tensor([[TOP_LEFT, BOTTOM_RIGHT]] * len(masks), dtype=torch.int32)
    return Points(boxes.view(-1, 2, 2), labels)


def join(first: Points, second: Points) -> Points:
    """Give the same objects two kinds of points; a box's corners come first, as in SAM 2."""
    return Points(torch.cat([first.coords, second.coords], 1),
                  torch.cat([first.labels, second.labels], 1))


def click_points(rng: np.random.Generator, masks: Bool, clicks: int) -> Points:
    """Click on every one of (N, H, W) masks: first inside, then inside or close outside."""
    coords, labels = [], []
    for mask in masks:
        places, kinds = [click_inside(rng, mask)], [POSITIVE]
        for _ in range(clicks - 1):
            outside = rng.random() < 0.5 and bool((~mask).any())
            places.append(_click_near(rng, mask) if outside else click_inside(rng, mask))
            kinds.append(NEGATIVE if outside else POSITIVE)
        coords.append(places)
        labels.append(kinds)
    return Points(torch.tensor(coords, dtype=torch.float32),
                  torch.tensor(labels, dtype=torch.int32))


def _click_near(rng: np.random.Generator, mask: Bool) -> tuple[float, float]:
    """Click outside a mask, rather near it than far from it."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    near = np.argwhere((distance > 3) & (distance < 0.2 * mask.shape[0]))
    places = near if len(near) else np.argwhere(~mask)
    y, x = places[rng.integers(len(places))]
    return float(x), float(y)


def correcting_points(rng: np.random.Generator, predicted: Bool, truth: Bool) -> Points:
    """
    Click on the largest mistake in each of (N, H, W) predictions, where there is one.

    :returns: one point each; padding where the prediction is right
    """
    coords, labels = [], []
    for guess, mask in zip(predicted, truth, strict=True):
        missed, extra = mask & ~guess, guess & ~mask
        wrong = missed if missed.sum() >= extra.sum() else extra
        if wrong.any():
            coords.append([click_inside(rng, wrong)])
            labels.append([POSITIVE if missed.sum() >= extra.sum() else NEGATIVE])
        else:
            coords.append([(0.0, 0.0)])
            labels.append([PADDING])
    return Points(torch.tensor(coords, dtype=torch.float32),
                  torch.tensor(labels, dtype=torch.int32))
