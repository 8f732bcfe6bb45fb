# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Policies that share encodings and passes come to what each comes to alone."""

from __future__ import annotations

from benchmarks.sequences import make_prompt
from benchmarks.side_by_side import EncodedPictures, SideBySide
import numpy as np
import pytest
from sam2_tracker.core.config import ModelConfig, PARAMETERS
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.models.loader import build_predictor
import torch

HW = (96, 128)
FRAMES, HIDDEN = 24, range(10, 18)
POLICIES = PARAMETERS['tracking.memory'].choices


def picture(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a red square that moves over texture, and its mask; nothing while it is hidden."""
    texture = np.random.default_rng(0).integers(40, 90, (*HW, 3), dtype=np.uint8)
    mask = np.zeros(HW, bool)
    if index not in HIDDEN:
        mask[30:66, 20 + 2 * index:56 + 2 * index] = True
    texture[mask] = (220, 40, 30)
    return texture, mask


@pytest.fixture(scope='module')
def predictors() -> dict[str, Predictor]:
    """Give nano under every policy, at a size at which it is quick."""
    model = build_predictor(ModelConfig('nano', device='cpu', image_size=128))
    return {name: Predictor(model, memory=name) for name in POLICIES}


def alone(predictor: Predictor) -> list[torch.Tensor]:
    memory = predictor.new_memory(HW)
    found = []
    for index in range(FRAMES):
        rgb, mask = picture(index)
        features = predictor.encode(rgb)
        if index == 0:
            predictor.prompt(memory, 0, features, make_prompt(mask, 'mask'), False)
        found += [each.logits for each in predictor.track([TrackStep(memory, index, features)])]
        memory.prune(index, 0)
    return found


def test_every_policy_gives_what_it_gives_alone_and_passes_are_shared_until_they_differ(
        predictors):
    together = SideBySide(predictors)
    found: dict[str, list[torch.Tensor]] = {name: [] for name in predictors}
    passes = []
    for index in range(FRAMES):
        rgb, mask = picture(index)
        features = predictors['stock'].encode(rgb)
        if index == 0:
            together.begin(features, [mask])
        followed = together.track(index, features)
        passes.append(len(followed.outputs))
        for name, place in followed.places[0].items():
            found[name].append(followed.outputs[place].logits)
    for name, predictor in predictors.items():
        for index, (one, other) in enumerate(zip(found[name], alone(predictor), strict=True)):
            assert torch.allclose(one, other, atol=1e-2), f'{name}, frame {index}'
    assert passes[:HIDDEN[0] + 1] == [1] * (HIDDEN[0] + 1)
    assert max(passes) > 1


def test_a_picture_is_encoded_once_and_the_oldest_go_first(predictors):
    encoded = []

    class Counting:

        def encode(self, rgb: np.ndarray) -> object:
            encoded.append(rgb[0, 0, 0])
            return object()

    pictures = EncodedPictures(Counting(), kept=2)
    one, two, three = (np.full((4, 4, 3), value, np.uint8) for value in (1, 2, 3))
    assert pictures(one) is pictures(one.copy())
    assert pictures(two) is not pictures(one)
    pictures(three)
    pictures(one)
    pictures(two)
    assert encoded == [1, 2, 3, 2]
    assert pictures(one.reshape(2, 8, 3)) is not pictures(one)
