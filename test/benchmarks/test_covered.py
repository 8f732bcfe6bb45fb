# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Made clips: nothing of a hidden object is left to see, a copy never hides the object."""

from __future__ import annotations

from pathlib import Path

from benchmarks.covered import (
    AWAY,
    away_clip,
    cover,
    COVERED,
    covered_clip,
    CoveredScore,
    score_covered,
)
from benchmarks.lookalikes import look_alike_clip, paste_behind
from benchmarks.sequences import Sequence
from benchmarks.tracking import Track
import numpy as np
from PIL import Image
import pytest

MASK = np.zeros((60, 80), bool)
MASK[20:40, 30:50] = True
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


def sequence_of(folder: Path, colour: tuple[int, int, int]) -> Sequence:
    """Write 40 frames of a square that moves to the right over one colour."""
    frames, masks = [], []
    for index in range(40):
        mask = np.roll(MASK, index // 4, axis=1)
        picture = np.full((60, 80, 3), colour, np.uint8)
        picture[mask] = (200, 40, 40)
        frames.append(folder / f'{colour[0]}_{index:02d}.png')
        Image.fromarray(picture).save(frames[-1])
        masks.append(mask)
    return Sequence('square', tuple(frames), (tuple(masks),))


def reddish(picture: np.ndarray) -> np.ndarray:
    return (picture[:, :, 0] > 180) & (picture[:, :, 1] < 80)


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


@pytest.mark.parametrize('kind', ['lens', 'board'])
def test_a_covered_clip_hides_the_object_on_its_frames_only(tmp_path: Path, kind: str) -> None:
    pictures, masks = covered_clip(sequence_of(tmp_path, (90, 90, 90)), kind)
    assert len(pictures) == len(masks) == COVERED.length
    seen = [bool(reddish(picture).any()) for picture in pictures]
    assert [frame for frame, shown in enumerate(seen) if not shown] == list(COVERED.hidden)


@pytest.mark.parametrize('is_elsewhere', [True, False])
def test_an_object_is_gone_for_sixty_frames_and_its_sequence_goes_on(
        tmp_path: Path, is_elsewhere: bool) -> None:
    sequence = sequence_of(tmp_path, (90, 90, 90))
    other = sequence_of(tmp_path, (20, 120, 20))
    blank = Sequence('other', tuple(other.frames), other.masks)
    for path in blank.frames:
        Image.new('RGB', (40, 30), (20, 120, 20)).save(path)
    pictures, masks = away_clip(sequence, blank if is_elsewhere else None)
    assert len(pictures) == len(masks) == AWAY.length == 100
    seen = [bool(reddish(picture).any()) for picture in pictures]
    assert [frame for frame, shown in enumerate(seen) if not shown] == list(range(20, 80))
    assert [bool(mask.any()) for mask in masks] == seen
    for frame in (0, 19, 80, 99):
        assert np.array_equal(reddish(pictures[frame]), masks[frame])
    assert {picture.shape for picture in pictures} == {(60, 80, 3)}


def test_a_copy_passes_behind_the_object_from_side_to_side(tmp_path: Path) -> None:
    sequence = sequence_of(tmp_path, (90, 90, 90))
    pictures, masks = look_alike_clip(sequence)
    assert len(pictures) == 40 and masks == list(sequence.masks[0])
    centres = []
    for picture, mask in zip(pictures, masks, strict=True):
        assert reddish(picture)[mask].all(), 'the object itself is never hidden'
        copied = np.flatnonzero((reddish(picture) & ~mask).any(0))
        own = np.flatnonzero(mask.any(0))
        centres.append(0.0 if not copied.size else float(copied.mean() - own.mean()))
    assert centres[0] > 20 and centres[-1] < -20, 'apart on the first frame and on the last'


def test_a_pasted_copy_has_the_pixels_that_were_cut_out() -> None:
    source = np.full_like(PICTURE, 7)
    source[MASK] = 250
    pasted = paste_behind(PICTURE, MASK, source, MASK, widths=1.25)
    assert (pasted[24:36, 58:72] == 250).all()
    assert np.array_equal(pasted[MASK], PICTURE[MASK])
    assert np.array_equal(pasted[:, :25], PICTURE[:, :25])


def test_a_perfect_track_has_every_state_right_and_finds_every_return() -> None:
    visible = tuple(frame not in COVERED.hidden for frame in range(COVERED.length))
    masks = tuple(MASK if seen else np.zeros_like(MASK) for seen in visible)
    score = score_covered(Track(masks, visible), [MASK] * COVERED.length, COVERED)
    assert (score.states_right, score.found) == (score.frames, len(COVERED.returns))
    assert score.overlaps == ()


def test_a_track_that_never_lets_go_has_the_hidden_frames_wrong() -> None:
    for plan in (COVERED, AWAY):
        track = Track((MASK,) * plan.length, (True,) * plan.length)
        score = score_covered(track, [MASK] * plan.length, plan)
        assert score.frames - score.states_right == len(plan.hidden)


def test_a_mask_elsewhere_does_not_count_as_found() -> None:
    visible = tuple(frame not in AWAY.hidden for frame in range(AWAY.length))
    elsewhere = np.roll(MASK, 30, axis=1)
    score = score_covered(Track((elsewhere,) * AWAY.length, visible), [MASK] * AWAY.length, AWAY)
    assert score.found == 0
    assert len(score.overlaps) == 16 and max(score.overlaps) == 0


def test_scores_of_clips_add_up() -> None:
    total = CoveredScore(3, 4, 1, 2, (0.5,)) + CoveredScore(1, 4, 0, 2, (0.7, 0.9))
    assert total == CoveredScore(4, 8, 1, 4, (0.5, 0.7, 0.9))
