# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The next picture may be encoded while objects are tracked on this one; nothing else changes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sam2_tracker.core.engine.features import EncodeAhead, EncodedFrame
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import UInt8Array
from stock import CLIP_FRAMES, disc_xy, points, read_clip
import torch


def picture(grey: int = 0) -> UInt8Array:
    return np.full((4, 4, 3), grey, np.uint8)


def features_of(image_rgb: UInt8Array) -> EncodedFrame:
    return EncodedFrame((torch.tensor(int(image_rgb[0, 0, 0])),), torch.tensor(0))


def logits_of(predictor: Predictor, pictures: list[UInt8Array], ahead: bool) -> list[torch.Tensor]:
    memory = predictor.new_memory(pictures[0].shape[:2])
    logits = []
    for index, image_rgb in enumerate(pictures):
        features = predictor.encode(image_rgb)
        if ahead and index + 1 < len(pictures):
            predictor.encode_ahead(pictures[index + 1])
        if index == 0:
            predictor.prompt(memory, 0, features, points([disc_xy(0, 0)]), clear_previous=False)
        logits.append(predictor.track([TrackStep(memory, index, features)])[0].logits)
    return logits


def test_masks_are_the_same_to_the_bit(predictor, one_thread, clip_folder):
    pictures = read_clip(clip_folder)[:CLIP_FRAMES // 2]
    before = logits_of(predictor, pictures, ahead=False)
    for one, other in zip(before, logits_of(predictor, pictures, ahead=True), strict=True):
        assert torch.equal(one, other)


def test_a_picture_is_encoded_in_another_thread_and_once():
    threads = []

    def encode(image_rgb: UInt8Array) -> EncodedFrame:
        threads.append(threading.current_thread())
        return features_of(image_rgb)

    ahead, next_picture = EncodeAhead(encode), picture(7)
    ahead.begin(next_picture)
    found = ahead.take(next_picture)
    assert found is not None and int(found.maps[0]) == 7
    assert ahead.take(next_picture) is None
    assert len(threads) == 1 and threads[0] is not threading.current_thread()


def test_an_equal_picture_is_not_taken_for_it():
    ahead, next_picture = EncodeAhead(features_of), picture(7)
    ahead.begin(next_picture)
    assert ahead.take(next_picture.copy()) is None
    assert ahead.take(next_picture) is not None


def test_a_picture_that_was_passed_over_is_forgotten():
    ahead, passed_over, next_picture = EncodeAhead(features_of), picture(7), picture(8)
    ahead.begin(passed_over)
    ahead.begin(next_picture)
    assert ahead.take(passed_over) is None
    found = ahead.take(next_picture)
    assert found is not None and int(found.maps[0]) == 8


def test_what_goes_wrong_in_the_other_thread_is_raised_where_the_features_are_wanted():
    def encode(_: UInt8Array) -> EncodedFrame:
        raise MemoryError('no room for the picture')

    ahead, next_picture = EncodeAhead(encode), picture()
    ahead.begin(next_picture)
    with pytest.raises(MemoryError, match='no room'):
        ahead.take(next_picture)
    assert ahead.take(next_picture) is None
