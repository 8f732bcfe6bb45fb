# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A resize in integers gives Pillow's bytes, at any size, on any device that torch has."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sam2_tracker.core.engine import pillow_resize, preprocessing
from sam2_tracker.core.engine.graphs.replays import Graphs
from sam2_tracker.core.engine.pillow_resize import (
    IntegerResize,
    matching_resize,
    resized_by_pillow,
)
from sam2_tracker.core.engine.preprocessing import Preprocessor
from sam2_tracker.core.log import Level
from sam2_tracker.core.types import UInt8Array
import torch

CPU = torch.device('cpu')
CAMERAS = [(480, 640), (720, 1280), (1080, 1920), (1920, 1080), (854, 480), (480, 854),
           (1024, 1024), (1024, 500), (500, 1024), (1, 640), (640, 1), (1, 1), (3, 2)]


def noise(hw: tuple[int, int], seed: int) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), np.uint8)


def edges(hw: tuple[int, int]) -> UInt8Array:
    """Make a picture of black and white only: its overshoot has to be cut off."""
    return (noise(hw, 5) > 127).astype(np.uint8) * 255


def assert_equals_pillow(source_hw: tuple[int, int], side: int, picture: UInt8Array) -> None:
    resize = matching_resize(source_hw, side, CPU)
    assert resize is not None, source_hw
    found = resize(torch.tensor(picture)).permute(1, 2, 0).numpy()
    assert np.array_equal(found, resized_by_pillow(picture, side)), (source_hw, side)


@pytest.mark.parametrize('source_hw', CAMERAS, ids=str)
def test_pictures_of_cameras_have_the_bytes_of_pillow(one_thread, source_hw):
    side = 1024 if max(source_hw) < 1100 else 320
    for picture in (noise(source_hw, 1), edges(source_hw)):
        assert_equals_pillow(source_hw, side, picture)


def test_full_hd_at_the_size_of_sam_2_has_the_bytes_of_pillow(one_thread):
    for source_hw in ((1080, 1920), (1920, 1080)):
        assert_equals_pillow(source_hw, 1024, noise(source_hw, 2))


def test_five_hundred_sizes_have_the_bytes_of_pillow(one_thread):
    dice = random.Random(0)
    for number in range(500):
        source_hw = dice.randint(1, 300), dice.randint(1, 300)
        assert_equals_pillow(source_hw, dice.choice([32, 96, 128, 320]), noise(source_hw, number))


def test_the_order_of_the_passes_matters_and_the_wrong_one_is_seen():
    picture = torch.tensor(noise((200, 150), 3))
    one, other = (IntegerResize((200, 150), 96, order, CPU)(picture) for order in (False, True))
    assert not torch.equal(one, other)


def test_the_encoders_input_is_the_same_from_the_device_as_from_pillow(one_thread):
    picture = noise((48, 100), 4)
    inputs = [Preprocessor(64, CPU, Graphs().encoder, on_device=way)(picture)
              for way in (True, False)]
    assert torch.equal(*inputs)
    assert inputs[0].shape == (1, 3, 64, 64) and inputs[0].is_contiguous()


def test_a_cpu_leaves_it_to_pillow(monkeypatch):
    monkeypatch.setattr(preprocessing, 'matching_resize', None)
    Preprocessor(64, CPU, Graphs().encoder)(noise((48, 100), 4))


def test_a_pillow_that_rounds_otherwise_is_kept_and_that_is_said_once(monkeypatch):
    true_resize = pillow_resize.resized_by_pillow
    lines: list[tuple[Level, str]] = []

    def another_pillow(image_rgb: UInt8Array, side: int) -> UInt8Array:
        return true_resize(image_rgb, side) ^ 1
    monkeypatch.setattr(pillow_resize, 'resized_by_pillow', another_pillow)
    monkeypatch.setattr(preprocessing, 'resized_by_pillow', another_pillow)
    preprocess = Preprocessor(64, CPU, Graphs().encoder, lambda *line: lines.append(line),
                              on_device=True)
    for hw in ((48, 100), (50, 100), (48, 100)):
        picture = noise(hw, 6)
        expected = torch.tensor(another_pillow(picture, 64)).permute(2, 0, 1).float() / 255
        found = preprocess(picture)[0] * preprocess._std + preprocess._mean
        assert (found - expected).abs().max() < 1e-6
    (level, line), = lines
    assert level is Level.WARN and '100x48 pictures are scaled on the CPU' in line


def test_a_size_is_tried_once_and_forgotten_among_many(monkeypatch):
    tried: list[tuple[int, int]] = []
    match = preprocessing.matching_resize
    monkeypatch.setattr(preprocessing, '_SIZES_KEPT', 2)
    monkeypatch.setattr(preprocessing, 'matching_resize', lambda hw, *rest: (
        tried.append(hw), match(hw, *rest))[1])
    preprocess = Preprocessor(32, CPU, Graphs().encoder, on_device=True)
    for height in (20, 20, 30, 20, 40, 20, 30):
        preprocess(noise((height, 16), 0))
    assert tried == [(20, 16), (30, 16), (40, 16), (30, 16)]
