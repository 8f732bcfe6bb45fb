# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated prompts lie where an operator's would."""

from __future__ import annotations

import numpy as np
import pytest
from training import prompts
from training.prompts import NEGATIVE, PADDING, POSITIVE


def blobs(count: int, size: int = 64) -> np.ndarray:
    rng = np.random.default_rng(1)
    masks = np.zeros((count, size, size), bool)
    for mask in masks:
        top, left = rng.integers(2, size - 22, 2)
        height, width = rng.integers(1, 20, 2)
        mask[top:top + height, left:left + width] = True
    return masks


@pytest.mark.parametrize('seed', range(5))
def test_positive_clicks_are_inside_and_negative_ones_outside(seed: int) -> None:
    masks = blobs(12)
    points = prompts.click_points(np.random.default_rng(seed), masks, 4)
    assert points.coords.shape == (12, 4, 2)
    for mask, places, labels in zip(masks, points.coords, points.labels, strict=True):
        assert labels[0] == POSITIVE
        for (x, y), label in zip(places.int().tolist(), labels.tolist(), strict=True):
            assert mask[y, x] == (label == POSITIVE)


def test_a_click_hits_a_mask_of_one_pixel() -> None:
    mask = np.zeros((32, 32), bool)
    mask[7, 11] = True
    assert prompts.click_inside(np.random.default_rng(0), mask) == (11.0, 7.0)


@pytest.mark.parametrize('seed', range(5))
def test_a_box_is_close_to_its_mask_and_inside_the_picture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((64, 64), bool)
    mask[0:40, 10:60] = True
    left, top, right, bottom = prompts.loose_box(rng, mask)
    assert 0 <= left <= 18 and 52 <= right <= 64
    assert 0 <= top <= 6 and 34 <= bottom <= 46


def test_box_corners_carry_the_labels_that_sam_2_knows() -> None:
    points = prompts.box_points(np.random.default_rng(0), blobs(3))
    assert points.labels.tolist() == [[2, 3]] * 3


def test_a_correction_adds_what_is_missing_and_removes_what_is_too_much() -> None:
    truth = np.zeros((3, 40, 40), bool)
    truth[:, 10:30, 10:30] = True
    guess = truth.copy()
    guess[0, 10:25] = False
    guess[1, 0:40, 30:40] = True
    points = prompts.correcting_points(np.random.default_rng(0), guess, truth)
    assert points.labels[:, 0].tolist() == [POSITIVE, NEGATIVE, PADDING]
    for index in (0, 1):
        x, y = points.coords[index, 0].int().tolist()
        assert guess[index, y, x] != truth[index, y, x]
