# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 2 as Transformers saves it: every model's weights are found, and track as they do there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from references import CLICK_XY, installed, run_reference, tracked, write_pictures
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.types import UInt8Array
from sam2_tracker.models.kinds import in_meta_s_naming, recognise
from sam2_tracker.models.loader import build_predictor
from sam2_tracker.models.weights import load_weights, read_weights
import torch

# With what it imports, besides what this package has anyway.
TRANSFORMERS = ('transformers==5.24.0', 'huggingface-hub==2.4.0', 'tokenizers==0.23.3',
                'regex==2026.11.19', 'httpx2==2.16.2', 'httpcore2==2.16.2', 'h11==0.16.0',
                'anyio==4.16.0', 'truststore==0.10.5')
SIDE = 128
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OFFICIAL = [f'{generation}_hiera_{size}' for generation in ('sam2.1', 'sam2')
            for size in ('tiny', 'small', 'base_plus', 'large')]

pytestmark = pytest.mark.usefixtures('with_one_thread')


@pytest.fixture(scope='module')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[UInt8Array]:
    return write_pictures(tmp_path_factory.mktemp('pictures'), 18)


@pytest.fixture(scope='module')
def saved(pictures: list[UInt8Array], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder as Transformers saves a model, with its own masks of the pictures."""
    transformers = installed(tmp_path_factory.mktemp('transformers'), TRANSFORMERS)
    folder = tmp_path_factory.mktemp('saved')
    scaled = [(picture.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
              for picture in pictures]
    np.save(folder / 'pictures.npy', np.stack(scaled).transpose(0, 3, 1, 2))
    np.save(folder / 'click.npy', np.array([CLICK_XY], np.float32))
    run_reference('transformers_reference.py', transformers, folder)
    return folder


@pytest.fixture(scope='module')
def names(saved: Path) -> dict[str, dict[str, list[int]]]:
    """Give the names and shapes of all weights of each of Transformers' models."""
    found: dict[str, dict[str, list[int]]] = json.loads((saved / 'names.json').read_text())
    return found


def config_of(checkpoint: Path) -> ModelConfig:
    return ModelConfig('sam2.1_hiera_tiny', checkpoint=checkpoint, device='cpu', image_size=SIDE)


@pytest.mark.parametrize('name', OFFICIAL)
def test_every_weight_of_every_model_is_found_and_none_is_left_over(
        name: str, names: dict[str, dict[str, list[int]]]) -> None:
    theirs = {key: torch.empty(shape, device='meta') for key, shape in names[name].items()}
    ours = build_predictor(ModelConfig(name, device='cpu'), random_weights=True).state_dict()
    found = in_meta_s_naming(theirs, ours)
    assert {key: value.shape for key, value in found.items()} == {
        key: value.shape for key, value in ours.items()}
    assert recognise(theirs) == name


def test_masks_are_those_that_transformers_makes(saved: Path,
                                                 pictures: list[UInt8Array]) -> None:
    theirs = torch.from_numpy(np.load(saved / 'masks.npy'))
    predictor = Predictor(build_predictor(config_of(saved / 'model.safetensors')))
    ours = tracked(predictor, pictures)
    # Other kernels, other rounding: logits go from -20 to 15.
    assert theirs.std() > 3
    assert (theirs[1:] - theirs[:-1]).abs().amax((1, 2)).min() > 1
    assert (ours - theirs).abs().max() < 1e-3


def test_masks_are_those_of_the_same_weights_in_meta_s_form(
        saved: Path, pictures: list[UInt8Array], tmp_path: Path) -> None:
    model = build_predictor(config_of(saved / 'model.safetensors'))
    torch.save({'model': model.state_dict()}, tmp_path / 'same.pt')
    again = build_predictor(config_of(tmp_path / 'same.pt'))
    assert torch.equal(tracked(Predictor(model), pictures[:4]),
                       tracked(Predictor(again), pictures[:4]))


def test_weights_for_pictures_only_are_refused(saved: Path) -> None:
    model = build_predictor(config_of(saved / 'model.safetensors'))
    weights = {name: value for name, value in read_weights(saved / 'model.safetensors').items()
               if not name.startswith('memory_')}
    with pytest.raises(ModelError, match='it looks like one for pictures only'):
        load_weights(model, weights, 'sam2.1_hiera_tiny', 'model.safetensors')
