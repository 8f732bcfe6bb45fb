# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated operators in torch: clicks, boxes and corrections for known masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT, PADDING = 1, 0, 2, 3, -1
KINDS = ('mask', 'box', 'click', 'clicks', 'box and click')
CELL = 4            # pixels; how deep a place lies is judged on cells
DEEP = (3, 7, 15)   # cells across which depth is judged
CARELESS = 0.3      # of depth; the rest of the choice among places is chance
SLACK = 0.05        # of a box's size, standard deviation of each of its edges
MOST_SLACK = 0.13


@dataclass(frozen=True)
class Points:
    """
    Prompts as SAM 2 takes them.

    :ivar coords: (N, P, 2) x and y in input pixels
    :ivar labels: (N, P) 1 add, 0 remove, 2 and 3 box corners, -1 padding
    """

    coords: torch.Tensor
    labels: torch.Tensor


def no_points(rows: int, device: torch.device) -> Points:
    """Give so many objects no prompt, which SAM 2 writes as a point of padding."""
    return Points(torch.zeros(rows, 1, 2, device=device),
                  torch.full((rows, 1), PADDING, dtype=torch.int32, device=device))


def click_inside(masks: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """
    Click where each mask is wide, more or less.

    :param masks: (N, S, S) bool
    :param chance: (N, S, S) 0 to 1, decides among places of about the same depth
    :returns: (N, 2) x and y in pixels; the corner where a mask is empty
    """
    cells = functional.avg_pool2d(masks.float()[:, None], CELL)
    depth = sum((functional.avg_pool2d(cells, size, 1, size // 2) for size in DEEP),
                torch.zeros_like(cells)) / len(DEEP)
    side = masks.shape[-1]
    fine = functional.interpolate(depth, size=(side, side), mode='bilinear')[:, 0]
    score = fine + CARELESS * fine.amax((1, 2), keepdim=True) * chance
    place = score.masked_fill(~masks, -1.0).flatten(1).argmax(1)
    return torch.stack([place % side, place // side], 1).float()


def boxes_around(masks: torch.Tensor) -> torch.Tensor:
    """Give (N, S, S) masks' (N, 4) left, top, right and bottom edges in pixels."""
    side = masks.shape[-1]
    place = torch.arange(side, device=masks.device)
    edges = []
    for along in (masks.any(1), masks.any(2)):
        places = place.expand_as(along)
        edges.append((places.masked_fill(~along, side).amin(1),
                      places.masked_fill(~along, -1).amax(1) + 1))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], 1).float()


def box_points(masks: torch.Tensor, noise: torch.Generator) -> Points:
    """Box each of (N, S, S) masks, half of them with loose edges."""
    boxes = boxes_around(masks)
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    loose = torch.rand(len(boxes), 1, device=boxes.device, generator=noise)
    wobble = torch.randn(boxes.shape, device=boxes.device, generator=noise) * SLACK
    wobble = wobble.clamp(-MOST_SLACK, MOST_SLACK) * torch.where(loose < 0.5, 0.3, 1.0)
    boxes = (boxes + wobble * size).clamp(0, masks.shape[-1])
    labels = torch.arange(TOP_LEFT, BOTTOM_RIGHT + 1, dtype=torch.int32, device=boxes.device)
    return Points(boxes.view(-1, 2, 2), labels.expand(len(boxes), 2))


def click_points(masks: torch.Tensor, noise: torch.Generator) -> Points:
    """Click once on each of (N, S, S) masks."""
    chance = torch.rand(masks.shape, device=masks.device, generator=noise)
    coords = click_inside(masks, chance)[:, None]
    return Points(coords, torch.full(coords.shape[:2], POSITIVE, dtype=torch.int32,
                                     device=masks.device))


def click_beside(masks: torch.Tensor, noise: torch.Generator) -> Points:
    """Click once close outside each of (N, S, S) masks; padding where there is no outside."""
    cells = functional.max_pool2d(masks.float()[:, None], CELL)
    far = functional.max_pool2d(cells, 11, 1, 5) > 0
    close = functional.max_pool2d(cells, 3, 1, 1) > 0
    side = masks.shape[-1]
    ring = functional.interpolate((far & ~close).float(), size=(side, side))[:, 0] > 0
    chance = torch.rand(masks.shape, device=masks.device, generator=noise)
    label = torch.where(ring.flatten(1).any(1, keepdim=True), NEGATIVE, PADDING)
    return Points(click_inside(ring, chance)[:, None], label.int())


def join(*points: Points) -> Points:
    """Give the same objects several kinds of points; a box's corners come first, as in SAM 2."""
    return Points(torch.cat([each.coords for each in points], 1),
                  torch.cat([each.labels for each in points], 1))


def prompt(kind: str, masks: torch.Tensor, noise: torch.Generator) -> Points | None:
    """
    Point at each of (N, S, S) masks.

    :returns: None for the kind ``mask``, which is given as it is
    :raises ValueError: for a kind that there is not
    """
    if kind == 'mask':
        return None
    if kind == 'box':
        return box_points(masks, noise)
    if kind == 'click':
        return click_points(masks, noise)
    if kind == 'clicks':
        return join(click_points(masks, noise), click_points(masks, noise),
                    click_beside(masks, noise))
    if kind == 'box and click':
        return join(box_points(masks, noise), click_points(masks, noise))
    raise ValueError(f'no prompt {kind!r}; there are {", ".join(KINDS)}')


def correcting_points(predicted: torch.Tensor, truth: torch.Tensor,
                      chance: torch.Tensor) -> Points:
    """
    Click on the larger mistake in each of (N, S, S) predictions: what is missed or too much.

    :param chance: (N, S, S) 0 to 1
    :returns: one point each; padding where the prediction is right
    """
    missed, extra = truth & ~predicted, predicted & ~truth
    add = missed.sum((1, 2)) >= extra.sum((1, 2))
    wrong = torch.where(add[:, None, None], missed, extra)
    label = add.int().masked_fill(~wrong.flatten(1).any(1), PADDING)
    return Points(click_inside(wrong, chance)[:, None], label[:, None])
