# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Covered clips: nothing of the object is left to see, and states and returns are counted."""

from __future__ import annotations

from benchmarks.covered import cover, COVERED, LENGTH, RETURNS, score_covered
from benchmarks.tracking import Track
import numpy as np
import pytest

MASK = np.zeros((60, 80), bool)
MASK[20:40, 30:50] = True
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


@pytest.mark.parametrize('kind', ['lens', 'board'])
def test_a_cover_leaves_no_pixel_of_the_object(kind: str) -> None:
    changed = (cover(PICTURE, MASK, kind) != PICTURE).any(2)
    assert changed[MASK].mean() > 0.99


def test_a_board_leaves_the_rest_of_the_picture() -> None:
    covered = cover(PICTURE, MASK, 'board')
    assert np.array_equal(covered[:5], PICTURE[:5])


def test_an_unknown_cover_is_refused() -> None:
    with pytest.raises(ValueError, match='lens or board'):
        cover(PICTURE, MASK, 'fog')


def test_a_perfect_track_has_every_state_right_and_finds_every_return() -> None:
    visible = tuple(frame not in COVERED for frame in range(LENGTH))
    masks = tuple(MASK if seen else np.zeros_like(MASK) for seen in visible)
    score = score_covered(Track(masks, visible), (MASK,) * LENGTH)
    assert (score.states_right, score.found) == (score.frames, len(RETURNS))


def test_a_track_that_never_lets_go_has_the_covered_frames_wrong() -> None:
    score = score_covered(Track((MASK,) * LENGTH, (True,) * LENGTH), (MASK,) * LENGTH)
    assert score.frames - score.states_right == len(COVERED)


def test_a_mask_elsewhere_does_not_count_as_found() -> None:
    visible = tuple(frame not in COVERED for frame in range(LENGTH))
    elsewhere = np.roll(MASK, 30, axis=1)
    score = score_covered(Track((elsewhere,) * LENGTH, visible), (MASK,) * LENGTH)
    assert score.found == 0
