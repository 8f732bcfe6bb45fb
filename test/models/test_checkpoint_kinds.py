# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever wrote a checkpoint: it is loaded, or said to be something else in one sentence."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import pickle
from typing import Any

import pytest
from references import tracked, write_pictures
from safetensors.torch import save_file
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.memory.tensor_file import tensor_file_bytes
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.types import UInt8Array
from sam2_tracker.models.checkpoints import find_checkpoint
from sam2_tracker.models.kinds import recognise
from sam2_tracker.models.loader import build_predictor
from sam2_tracker.models.weights import load_weights, read_weights
import torch
from torch import nn

Weights = dict[str, torch.Tensor]
NAME = 'sam2.1_hiera_tiny'

pytestmark = pytest.mark.usefixtures('with_one_thread')


@pytest.fixture(scope='module')
def model() -> nn.Module:
    return build_predictor(ModelConfig(NAME, device='cpu', image_size=128), random_weights=True)


@pytest.fixture(scope='module')
def weights(model: nn.Module) -> Weights:
    return dict(model.state_dict())


@pytest.fixture(scope='module')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[UInt8Array]:
    return write_pictures(tmp_path_factory.mktemp('pictures'), 4)


def as_sam2_s_own(weights: Weights) -> Any:
    return {'model': weights}


def as_meta_s_trainer_has_it(weights: Weights) -> Any:
    """Do what its `save_checkpoint` does, after a step of its kind of optimizer."""
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return {'model': weights, 'optimizer': optimizer.state_dict(), 'epoch': 39,
            'loss': nn.CrossEntropyLoss().state_dict(), 'steps': {'train': 1200, 'val': 0},
            'time_elapsed': 812, 'best_meter_values': {},
            'scaler': torch.amp.GradScaler('cpu').state_dict()}


def as_lightning_has_it(weights: Weights) -> Any:
    return {'epoch': 3, 'global_step': 17,
            'state_dict': {f'model.{name}': value for name, value in weights.items()}}


def from_many_gpus_and_a_compiler(weights: Weights) -> Any:
    return {'model': {'model': {f'module._orig_mod.{name}': value
                                for name, value in weights.items()}, 'ema': 0.999}}


def nothing_but_weights(weights: Weights) -> Any:
    return weights


@pytest.mark.parametrize('written', [
    as_sam2_s_own, as_meta_s_trainer_has_it, as_lightning_has_it, from_many_gpus_and_a_compiler,
    nothing_but_weights])
@pytest.mark.parametrize('archive', [True, False])
def test_fine_tuned_weights_are_found_wherever_trainers_put_them(
        written: Callable[[Weights], Any], archive: bool, weights: Weights,
        tmp_path: Path) -> None:
    path = tmp_path / 'checkpoint.pt'
    torch.save(written(weights), path, _use_new_zipfile_serialization=archive)
    found = read_weights(path)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_a_trainer_s_checkpoint_tracks_as_its_weights_do(
        model: nn.Module, weights: Weights, pictures: list[UInt8Array], tmp_path: Path) -> None:
    path = tmp_path / 'checkpoint_40.pt'
    torch.save(as_meta_s_trainer_has_it(weights), path)
    loaded = build_predictor(ModelConfig(NAME, checkpoint=path, device='cpu', image_size=128))
    assert torch.equal(tracked(Predictor(loaded), pictures), tracked(Predictor(model), pictures))


def test_what_a_file_is_called_says_nothing(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / 'archive.safetensors'
    torch.save({'model': weights}, path)
    assert read_weights(path).keys() == weights.keys()


def test_safetensors_in_meta_s_naming_are_loaded_too(model: nn.Module, weights: Weights,
                                                     tmp_path: Path) -> None:
    path = tmp_path / 'whatever it is called'
    save_file({name: value.half().contiguous() for name, value in weights.items()}, path)
    load_weights(model, weights, NAME, 'before')
    loaded = build_predictor(ModelConfig(NAME, checkpoint=path, device='cpu', image_size=128))
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, weights[name].half().to(value.dtype))


def refusal_of(path: Path) -> str:
    with pytest.raises(ModelError) as refusal:
        read_weights(path)
    assert '\n' not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(('content', 'said'), [
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'a pointer of Git LFS'),
    (b'<!doctype html><title>Sign in</title>', 'a web page, not the file'),
    (b'', 'not a PyTorch checkpoint'),
    (b'a letter', 'not a PyTorch checkpoint'),
    (b'\x80\x02', 'damaged and cannot be read'),
    (b'\x20\0\0\0\0\0\0\0{"a":{"dtype":"F32"}}', 'damaged and cannot be read'),
    (b'\xff\xff\xff\xff\xff\0\0\0{"a":1}', 'damaged and cannot be read'),
])
def test_what_is_no_checkpoint_is_said_to_be_what_it_is(content: bytes, said: str,
                                                        tmp_path: Path) -> None:
    path = tmp_path / 'model.pt'
    path.write_bytes(content)
    assert said in refusal_of(path)


class RunsCode:
    """What makes a folder wherever it is unpickled without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize('archive', [True, False])
def test_code_in_a_checkpoint_is_not_run(archive: bool, tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    torch.save({'model': RunsCode(mark)}, tmp_path / 'evil.pt',
               _use_new_zipfile_serialization=archive)
    assert 'holds objects other than tensors' in refusal_of(tmp_path / 'evil.pt')
    (tmp_path / 'evil.pt').write_bytes(pickle.dumps(RunsCode(mark), protocol=2))
    refusal_of(tmp_path / 'evil.pt')
    assert not mark.exists()


def test_a_checkpoint_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    assert 'cannot be read: Is a directory' in refusal_of(tmp_path)


def test_half_a_safetensors_file_is_refused(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / 'model.safetensors'
    save_file({'no_obj_ptr': weights['no_obj_ptr'].contiguous()}, path)
    path.write_bytes(path.read_bytes()[:-10])
    assert 'damaged and cannot be read' in refusal_of(path)


def test_safetensors_of_nothing_or_of_another_framework_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'model.safetensors'
    path.write_bytes(tensor_file_bytes({'weight': torch.zeros(1)}, {'format': 'mlx'}))
    assert "its head says 'mlx', not 'pt'" in refusal_of(path)
    path.write_bytes(tensor_file_bytes({}, {'format': 'pt'}))
    assert 'holds no weights' in refusal_of(path)


def test_a_checkpoint_within_itself_is_refused(tmp_path: Path) -> None:
    inside: dict[str, Any] = {}
    inside['model'] = inside
    torch.save(inside, tmp_path / 'ring.pt')
    assert 'it has no weights' in refusal_of(tmp_path / 'ring.pt')


def test_of_a_folder_that_transformers_saved_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"leave the parameter empty for nano's own"):
        find_checkpoint(ModelConfig('nano', checkpoint=tmp_path))
    (tmp_path / 'model.safetensors').write_bytes(b'')
    with pytest.raises(ModelError, match=r'is not a file; set it to .*/model\.safetensors$'):
        find_checkpoint(ModelConfig('nano', checkpoint=tmp_path))


@pytest.mark.parametrize(('name', 'said'), [
    ('spatial_perceiver.latents', 'looks like weights of EdgeTAM'),
    ('image_encoder.patch_embed.proj.weight', 'looks like weights of SAM 1'),
    ('detector.backbone.vision_backbone.trunk.pos_embed', 'looks like weights of SAM 3'),
    ('fc.weight', 'looks like no SAM 2 at all (first weight: fc.weight)'),
])
def test_weights_of_other_projects_are_named(name: str, said: str, model: nn.Module) -> None:
    with pytest.raises(ModelError, match=r'mine\.pt does not fit model') as refusal:
        load_weights(model, {name: torch.zeros(1)}, NAME, 'mine.pt')
    assert said in str(refusal.value)
    assert str(refusal.value).endswith(f'set checkpoint to weights of {NAME}')


def test_weights_of_another_size_name_the_model_that_they_are_for(model: nn.Module) -> None:
    small = build_predictor(ModelConfig('sam2.1_hiera_small', device='cpu', image_size=128),
                            random_weights=True)
    with pytest.raises(ModelError, match=r'it looks like sam2\.1_hiera_small; set model to '
                                         r'sam2\.1_hiera_small, or checkpoint to weights of'):
        load_weights(model, small.state_dict(), NAME, 'small.pt')


@pytest.mark.parametrize(('change', 'said'), [
    (lambda weight: weight.to_sparse(), 'no plain tensor of floating-point numbers'),
    (lambda weight: weight.to('meta'), 'no plain tensor of floating-point numbers'),
    (lambda weight: (100 * weight).to(torch.int8), 'no plain tensor of floating-point numbers'),
    (lambda weight: weight.to(torch.complex64), 'no plain tensor of floating-point numbers'),
    (lambda weight: torch.full_like(weight, float('nan')), 'not finite'),
    (lambda weight: torch.full_like(weight, 1e300, dtype=torch.float64), 'not finite'),
])
def test_weights_that_are_no_finite_numbers_are_refused(
        change: Callable[[torch.Tensor], torch.Tensor], said: str, model: nn.Module,
        weights: Weights) -> None:
    before = weights['no_mem_embed'].clone()
    changed = weights | {'no_mem_embed': change(before)}
    with pytest.raises(ModelError, match=f'^x.pt cannot be used: no_mem_embed .*{said}'):
        load_weights(model, changed, NAME, 'x.pt')
    assert torch.equal(model.state_dict()['no_mem_embed'], before)


def test_nano_is_recognised(model: nn.Module) -> None:
    weights = read_weights(find_checkpoint(ModelConfig('nano')))
    assert recognise(weights) == 'nano'
    with pytest.raises(ModelError, match='it looks like nano; set model to nano'):
        load_weights(model, weights, NAME, 'nano.pt')


def test_weights_that_a_trainer_left_out_are_counted(model: nn.Module, weights: Weights) -> None:
    part = {name: value for name, value in weights.items() if 'mask_downsample.' not in name}
    with pytest.raises(ModelError, match='2 weights are missing, 0 unexpected and 0 of another '
                                         r'shape \(first: mask_downsample.bias\)'):
        load_weights(model, part, NAME, 'part.pt')
