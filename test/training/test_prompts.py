# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated prompts lie where an operator's would."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training import prompts
from training.prompts import KINDS, NEGATIVE, PADDING, POSITIVE

SIZE = 64


def noise(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(count: int) -> torch.Tensor:
    rng = np.random.default_rng(1)
    masks = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    for mask in masks:
        top, left = (int(edge) for edge in rng.integers(2, SIZE - 22, 2))
        height, width = (int(length) for length in rng.integers(1, 20, 2))
        mask[top:top + height, left:left + width] = True
    return masks


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('kind', ['click', 'clicks', 'box and click'])
def test_positive_clicks_are_inside_and_negative_ones_outside(kind: str, seed: int) -> None:
    masks = blobs(12)
    points = prompts.prompt(kind, masks, noise(seed))
    assert points is not None
    kinds = set()
    for mask, places, labels in zip(masks, points.coords, points.labels, strict=True):
        for (x, y), label in zip(places.int().tolist(), labels.tolist(), strict=True):
            kinds.add(label)
            if label in (POSITIVE, NEGATIVE):
                assert mask[y, x] == (label == POSITIVE)
    assert POSITIVE in kinds
    assert (NEGATIVE in kinds) == (kind == 'clicks')


def test_a_click_hits_a_mask_of_one_pixel() -> None:
    masks = torch.zeros(1, 32, 32, dtype=torch.bool)
    masks[0, 7, 11] = True
    assert prompts.click_points(masks, noise(0)).coords.tolist() == [[[11.0, 7.0]]]


def test_clicks_lie_deeper_than_chance_would_put_them() -> None:
    masks = torch.zeros(64, SIZE, SIZE, dtype=torch.bool)
    masks[:, 8:56, 8:56] = True
    coords = prompts.click_points(masks, noise(0)).coords[:, 0]
    depth = torch.minimum(coords - 8, 55 - coords).amin(1)
    by_chance = 8.0     # a sixth of the side
    assert depth.mean() > 1.3 * by_chance
    assert len(coords.unique(dim=0)) > 32


@pytest.mark.parametrize('seed', range(5))
def test_a_box_is_close_to_its_mask_and_inside_the_picture(seed: int) -> None:
    masks = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    masks[0, 0:40, 10:60] = True
    (left, top), (right, bottom) = prompts.box_points(masks, noise(seed)).coords[0].tolist()
    assert 3 <= left <= 17
    assert 53 <= right <= 64
    assert 0 <= top <= 6
    assert 34 <= bottom <= 46


def test_box_corners_carry_the_labels_that_sam_2_knows() -> None:
    assert prompts.box_points(blobs(3), noise(0)).labels.tolist() == [[2, 3]] * 3
    both = prompts.prompt('box and click', blobs(3), noise(0))
    assert both is not None
    assert both.labels.tolist() == [[2, 3, 1]] * 3


def test_a_mask_is_given_as_it_is_and_an_unknown_prompt_is_refused() -> None:
    assert prompts.prompt('mask', blobs(1), noise(0)) is None
    with pytest.raises(ValueError, match=r"'lasso'.*box and click"):
        prompts.prompt('lasso', blobs(1), noise(0))
    assert all(kind == 'mask' or prompts.prompt(kind, blobs(1), noise(0)) for kind in KINDS)


def test_a_correction_adds_what_is_missing_and_removes_what_is_too_much() -> None:
    truth = torch.zeros(3, 40, 40, dtype=torch.bool)
    truth[:, 10:30, 10:30] = True
    guess = truth.clone()
    guess[0, 10:25] = False
    guess[1, 0:40, 30:40] = True
    points = prompts.correcting_points(guess, truth, torch.rand(3, 40, 40))
    assert points.labels[:, 0].tolist() == [POSITIVE, NEGATIVE, PADDING]
    for index in (0, 1):
        x, y = points.coords[index, 0].int().tolist()
        assert guess[index, y, x] != truth[index, y, x]
