# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The DAVIS measures against the official evaluation's figures and by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
import zipfile

from benchmarks import davis
from benchmarks.sequences import data_root
import numpy as np
from PIL import Image
import pytest

TOLERANCE = 0.001


def fixture_folder() -> Path:
    folder = data_root() / 'dev/metric-fixture'
    if not folder.is_dir():
        pytest.skip(f'no metric fixture in {folder}; set SAM2_TRACKER_DATA')
    return folder


@pytest.mark.parametrize('name', ['blackswan', 'libby', 'bmx-trees'])
def test_scores_equal_the_official_evaluation_frame_by_frame(name: str) -> None:
    folder = fixture_folder()
    official = json.loads((folder / 'osvos_davis-dev.json').read_text())[name]
    truth = sorted((folder.parent / 'davis2016/Annotations' / name).glob('*.png'))
    with zipfile.ZipFile(folder / 'osvos-dev.zip') as archive:
        # every fifth frame: all of them take a minute
        for index in range(1, len(truth) - 1, 5):
            predicted = np.asarray(Image.open(io.BytesIO(
                archive.read(f'{name}/{index:05d}.png'))).convert('L')) > 0
            real = np.asarray(Image.open(truth[index]).convert('L')) > 127
            region = davis.region_overlap(predicted, real)
            accuracy = davis.contour_accuracy(predicted, real)
            assert region == pytest.approx(float(official['J'][index - 1]), abs=TOLERANCE)
            assert accuracy == pytest.approx(float(official['F'][index - 1]), abs=TOLERANCE)


def test_equal_masks_score_one_and_disjoint_ones_zero() -> None:
    left, right = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    left[20:40, 10:30] = True
    right[60:80, 60:90] = True
    assert davis.region_overlap(left, left) == davis.contour_accuracy(left, left) == 1.0
    assert davis.region_overlap(left, right) == davis.contour_accuracy(left, right) == 0.0


def test_an_empty_mask_matches_only_an_empty_mask() -> None:
    empty, square = np.zeros((50, 50), bool), np.zeros((50, 50), bool)
    square[10:30, 10:30] = True
    assert davis.region_overlap(empty, empty) == davis.contour_accuracy(empty, empty) == 1.0
    assert davis.region_overlap(empty, square) == davis.contour_accuracy(empty, square) == 0.0


def test_a_contour_one_pixel_off_still_matches() -> None:
    mask = np.zeros((480, 854), bool)
    mask[100:200, 100:300] = True
    assert davis.contour_accuracy(np.roll(mask, 2, axis=1), mask) == 1.0


def test_the_first_and_the_last_frame_do_not_count() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:10, 5:10] = True
    empty = np.zeros_like(mask)
    assert davis.score_frames([empty, mask, empty], [mask] * 3).mean == 1.0


def test_different_numbers_of_masks_are_refused() -> None:
    mask = np.zeros((5, 5), bool)
    with pytest.raises(ValueError, match='2 predicted and 3 true'):
        davis.score_frames([mask] * 2, [mask] * 3)
