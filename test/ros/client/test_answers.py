# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""How `prompt` shows answers: to people, to scripts, as pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.types import Box, ObjectState, Prompt, TrackedObject
from sam2_tracker.render.palette import colour_rgb
from sam2_tracker.ros.client.answers import (
    Answer,
    as_json,
    as_lines,
    PREVIEW_SIDE,
    write_mask,
    write_preview,
)

CUP = TrackedObject(
    3, 'cup', ObjectState.VISIBLE, 0.9712, Box(310, 228, 41, 38), 1204, (330.25, 247.5))
HIDDEN = TrackedObject(
    65535, 'a label that goes on and on, as those of people and of other programs sometimes do',
    ObjectState.OCCLUDED, 0.01, catching_up=True)
STAMP_NS = 1_700_000_000_125_000_000


def labels(hw=(48, 64), *ids: int) -> np.ndarray:
    image = np.zeros(hw, np.uint16)
    for number, object_id in enumerate(ids):
        image[4 + 8 * number:10 + 8 * number, 20:30] = object_id
    return image


def test_an_answer_is_a_table_that_fits_the_terminal():
    lines = as_lines(Answer(True, '', STAMP_NS, (CUP, HIDDEN)), 80)
    assert lines[0] == 'frame 1700000000.125000000'
    assert lines[2].split() == ['3', 'visible', '0.97', '1204', '310,228', '41x38', 'cup']
    assert lines[3].startswith('65535  occluded, catching up   0.01       0  -')
    assert max(map(len, lines)) == 80 and lines[3].endswith('…')
    assert lines[1].index('label') == lines[2].index('cup')


def test_in_a_narrow_terminal_nothing_but_the_label_is_cut():
    lines = as_lines(Answer(True, '', STAMP_NS, (HIDDEN,)), 20)
    assert 'occluded, catching up' in lines[2] and lines[2].endswith('a label…')


def test_a_label_cannot_do_anything_to_the_terminal():
    odd = TrackedObject(1, 'a\x1b[2Jb', ObjectState.LOST, 0.0)
    assert as_lines(Answer(True, '', STAMP_NS, (odd,)), 80)[2].endswith(r'a\x1b[2Jb')


def test_without_objects_that_is_said():
    assert as_lines(Answer(True, '', 0, ()), 80) == ['no objects']
    assert as_lines(Answer(True, 'paused'), 80) == ['paused']


def test_json_has_it_all_in_one_line():
    text = as_json(Answer(True, '', STAMP_NS, (CUP, HIDDEN)), [Path('a.png')])
    assert '\n' not in text
    content = json.loads(text)
    assert content['success'] is True and content['stamp'] == '1700000000.125000000'
    assert content['files'] == ['a.png']
    assert content['objects'][0] == {
        'id': 3, 'label': 'cup', 'state': 'VISIBLE', 'score': 0.9712, 'area': 1204,
        'box': [310, 228, 41, 38], 'centroid': [330.25, 247.5], 'catching_up': False}
    assert content['objects'][1]['box'] is None
    assert json.loads(as_json(Answer(False, 'no'))) == {'success': False, 'message': 'no'}


def test_the_mask_of_one_object_is_white_on_black(tmp_path):
    image = labels((48, 64), 300)
    write_mask(tmp_path / 'mask.png', image)
    with Image.open(tmp_path / 'mask.png') as picture:
        assert picture.mode == 'L'
        assert np.array_equal(np.asarray(picture), (image > 0) * np.uint8(255))


@pytest.mark.parametrize('ids', [(1, 2), (255, 256)])
def test_of_several_objects_each_pixel_is_an_id(tmp_path, ids):
    image = labels((48, 64), *ids)
    write_mask(tmp_path / 'mask.png', image)
    with Image.open(tmp_path / 'mask.png') as picture:
        assert np.array_equal(np.asarray(picture), image)


def test_a_preview_shows_picture_masks_and_points_and_is_small(tmp_path):
    scene = np.full((960, 1280, 3), 200, np.uint8)
    image = labels((960, 1280))
    image[400:700, 600:900] = 2
    prompt = Prompt(points_xy=np.array([[100, 100]], np.float32), point_labels=np.ones(1, int),
                    box_xyxy=np.array([600, 400, 900, 700], np.float32))
    write_preview(tmp_path / 'preview.png', scene, image, [prompt])
    with Image.open(tmp_path / 'preview.png') as picture:
        pixels = np.asarray(picture.convert('RGB')).astype(int)
    assert max(pixels.shape) == PREVIEW_SIDE
    scale = PREVIEW_SIDE / 1280
    assert np.abs(pixels[round(550 * scale), round(750 * scale)]
                  - (100 + np.array(colour_rgb(2)) // 2)).max() <= 3
    assert tuple(pixels[round(100 * scale), round(100 * scale)]) == (255, 255, 255)
    assert tuple(pixels[round(900 * scale), round(1200 * scale)]) == (200, 200, 200)


def test_a_preview_without_the_picture_shows_the_mask_alone(tmp_path):
    write_preview(tmp_path / 'preview.png', None, labels((48, 64), 1), [])
    with Image.open(tmp_path / 'preview.png') as picture:
        pixels = np.asarray(picture.convert('RGB'))
    assert pixels.shape == (48, 64, 3) and len(np.unique(pixels.reshape(-1, 3), axis=0)) == 2
