# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientTAM: the authors' own predictor and ours make the same masks of the same weights."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
import numpy as np
from omegaconf import OmegaConf
import pytest
from references import (
    CLICK_XY,
    installed,
    PICTURE_HW,
    run_reference,
    tracked,
    write_pictures,
)
from sam2.modeling.sam.transformer import RoPEAttention
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.mask_summary import upsample
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Prompt, UInt8Array
from sam2_tracker.models import zoo
from sam2_tracker.models.checkpoints import file_sha256
from sam2_tracker.models.efficienttam.pooled_attention import (
    PooledAttention,
    PooledKeysAttention,
)
from sam2_tracker.models.loader import build_predictor, load_model_config
from sam2_tracker.models.zoo import MODELS
import torch
from torch import nn

# (trunk's width, its heads, size of the pictures, class of the attention to memory), as published
PUBLISHED = {
    'efficienttam_ti': (192, 3, 1024, 'RoPEAttention'),
    'efficienttam_ti_512x512': (192, 3, 512, 'RoPEAttention'),
    'efficienttam_ti_1': (192, 3, 1024, 'EfficientRoPEAttention1'),
    'efficienttam_ti_2': (192, 3, 1024, 'EfficientRoPEAttention2'),
    'efficienttam_s': (384, 6, 1024, 'RoPEAttention'),
    'efficienttam_s_512x512': (384, 6, 512, 'RoPEAttention'),
    'efficienttam_s_1': (384, 6, 1024, 'EfficientRoPEAttention1'),
    'efficienttam_s_2': (384, 6, 1024, 'EfficientRoPEAttention2'),
}
# Four windows, the last ones padded, and positions that have to be scaled.
SIDE = 256
# One of each kind of trunk and of attention, and one at a size of its own. (side, pictures)
COMPARED = {'efficienttam_ti': (SIDE, 18), 'efficienttam_ti_512x512': (512, 9),
            'efficienttam_ti_1': (SIDE, 18), 'efficienttam_ti_2': (SIDE, 18),
            'efficienttam_s': (SIDE, 9)}

pytestmark = pytest.mark.usefixtures('with_one_thread')


def config_of(name: str, **settings: Any) -> ModelConfig:
    side = COMPARED.get(name, (SIDE, 0))[0]
    return ModelConfig(name, device='cpu', image_size=side, **settings)


@torch.no_grad()
def unlike_each_other(model: nn.Module) -> dict[str, torch.Tensor]:
    """Give every weight values of its own, so that one in another's place shows."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.3))
        parameter.add_(torch.empty_like(parameter).normal_(0, 0.02))
    return dict(model.state_dict())


def pictures_of(name: str, folder: Path) -> list[UInt8Array]:
    (folder / name).mkdir(exist_ok=True)
    return write_pictures(folder / name, COMPARED[name][1])


def job_of(name: str, folder: Path) -> dict[str, Any]:
    width, heads, _, attention = PUBLISHED[name]
    model_config = load_model_config(MODELS[name], config_of(name), 4)
    return {'name': name, 'config': OmegaConf.to_container(model_config), 'click': CLICK_XY,
            'width': width, 'heads': heads, 'attention': attention,
            'pictures': str(folder / name)}


@pytest.fixture(scope='module')
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with what the authors' predictor made of all models."""
    authors = installed(tmp_path_factory.mktemp('authors'), ['efficient-track-anything==1.0'])
    folder = tmp_path_factory.mktemp('efficienttam')
    for name in COMPARED:
        pictures_of(name, folder)
        weights = unlike_each_other(build_predictor(config_of(name), random_weights=True))
        torch.save({'model': weights}, folder / f'{name}.pt')
    (folder / 'jobs.json').write_text(json.dumps([job_of(name, folder) for name in PUBLISHED]))
    run_reference('efficienttam_reference.py', authors, folder)
    return folder


@pytest.mark.parametrize('name', PUBLISHED)
def test_weights_have_the_names_and_shapes_that_the_authors_have(name: str,
                                                                 theirs: Path) -> None:
    model = build_predictor(config_of(name), random_weights=True)
    ours = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert ours == json.loads((theirs / f'{name}.json').read_text())


@pytest.mark.parametrize('name', COMPARED)
def test_masks_are_those_of_the_authors_predictor(name: str, theirs: Path) -> None:
    expected = torch.from_numpy(np.load(theirs / f'{name}.npy'))
    model = build_predictor(config_of(name, checkpoint=theirs / f'{name}.pt'))
    ours = tracked(Predictor(model), pictures_of(name, theirs))
    assert (expected[1:] - expected[:-1]).abs().amax((1, 2)).min() > 1e-3
    assert torch.equal(torch.stack([upsample(each[None, None], PICTURE_HW) for each in ours]),
                       expected)


@pytest.mark.parametrize('name', PUBLISHED)
def test_the_models_are_set_up_as_published(name: str) -> None:
    config = load_model_config(MODELS[name], ModelConfig(name), 4)
    trunk, neck = config.image_encoder.trunk, config.image_encoder.neck
    cross = instantiate(config.memory_attention.layer.cross_attention)
    kinds = {RoPEAttention: 'RoPEAttention', PooledAttention: 'EfficientRoPEAttention1',
             PooledKeysAttention: 'EfficientRoPEAttention2'}
    assert PUBLISHED[name] == (trunk.width, trunk.heads, config.image_size, kinds[type(cross)])
    assert neck.backbone_channel_list == [trunk.width]


@pytest.mark.parametrize('name', ['efficienttam_ti', 'efficienttam_ti_1', 'efficienttam_ti_2'])
def test_objects_in_one_batch_have_the_masks_that_they_have_alone(name: str,
                                                                  tmp_path: Path) -> None:
    model = build_predictor(ModelConfig(name, device='cpu', image_size=128), random_weights=True)
    pictures = write_pictures(tmp_path, 4)
    together = clicked(Predictor(model, batched=True), pictures)
    alone = clicked(Predictor(model), pictures)
    assert (together - alone).abs().max() < 1e-4
    assert (alone[:, 0] - alone[:, 1]).abs().max() > 1e-3


def clicked(predictor: Predictor, pictures: list[UInt8Array]) -> torch.Tensor:
    """Track two objects, (pictures, objects, h, w) logits."""
    memories = [predictor.new_memory(PICTURE_HW) for _ in range(2)]
    found = []
    for index, picture in enumerate(pictures):
        features = predictor.encode(picture)
        for x, memory in zip((50, 100), memories, strict=True):
            if index == 0:
                click = Prompt(points_xy=np.array([[x, 40]], np.float32),
                               point_labels=np.ones(1, np.int32))
                predictor.prompt(memory, 0, features, click, clear_previous=False)
        outputs = predictor.track([TrackStep(memory, index, features) for memory in memories])
        found.append(torch.cat([output.logits[0] for output in outputs]))
    return torch.stack(found)


def test_a_published_file_of_a_model_with_the_same_shapes_is_refused(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / 'efficienttam.pt'
    model = build_predictor(config_of('efficienttam_ti'), random_weights=True)
    torch.save({'model': model.state_dict()}, path)
    build_predictor(config_of('efficienttam_ti_2', checkpoint=path))
    published = replace(MODELS['efficienttam_ti'], sha256=file_sha256(path))
    monkeypatch.setattr(zoo, 'MODELS', {**MODELS, 'efficienttam_ti': published})
    build_predictor(config_of('efficienttam_ti', checkpoint=path))
    with pytest.raises(ModelError, match='is the published checkpoint of efficienttam_ti; set '
                                         'model to efficienttam_ti, or checkpoint to weights of '
                                         'efficienttam_ti_2'):
        build_predictor(config_of('efficienttam_ti_2', checkpoint=path))


def test_weights_of_the_other_size_are_named(tmp_path: Path) -> None:
    model = build_predictor(config_of('efficienttam_s'), random_weights=True)
    torch.save({'model': model.state_dict()}, tmp_path / 's.pt')
    with pytest.raises(ModelError, match='it looks like efficienttam_s or efficienttam_s_512x512 '
                                         'or efficienttam_s_1 or efficienttam_s_2; set model '
                                         'to the one that it is, or checkpoint to weights of'):
        build_predictor(config_of('efficienttam_ti_1', checkpoint=tmp_path / 's.pt'))
