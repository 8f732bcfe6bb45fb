# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Read the weights out of a checkpoint, whatever wrote it, and put them into a model.

Or say in a sentence what the file is, or whose the weights are, instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import pickle
from typing import Any

from sam2_tracker.core.engine.memory.tensor_file import DamagedFileError, read_tensor_file
from sam2_tracker.core.errors import ModelError, reason
from sam2_tracker.models.checkpoints import check_archive
from sam2_tracker.models.kinds import (
    foreign_project,
    in_meta_s_naming,
    naming_of,
    recognise,
    TRANSFORMERS,
)
from sam2_tracker.models.zoo import model_spec
import torch
from torch import nn

# Where trainers put the weights, beside the optimizer's state, the epoch and what else they keep.
_WEIGHTS_UNDER = ('model', 'state_dict', 'model_state_dict')
# What DistributedDataParallel, torch.compile and classes that hold the model put before each name.
_WRAPPERS = ('module.', '_orig_mod.', 'model.')
_PICKLE = b'\x80'
# How a safetensors file goes on after the eight bytes of its head's length.
_HEAD_BEGINS = b'{"'
_MISTAKEN = (
    (b'version https://git-lfs', 'a pointer of Git LFS, not the file: get it with git lfs pull'),
    (b'<', 'a web page, not the file: download it from where that page leads'),
)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """
    Read a checkpoint of PyTorch (.pt, .pth, .bin) or of safetensors, told by its content.

    Of PyTorch's: the weights themselves, or a dictionary with them under ``model``,
    ``state_dict`` or ``model_state_dict``, as SAM 2's own and Meta's trainer have it. Nothing in
    the file is executed.

    :returns: weights by name, on the CPU, without the prefixes of what was wrapped around them
    :raises ModelError: the file is damaged, is no checkpoint, or holds more than plain values
    """
    begin = _beginning(path)
    if begin[8:10] == _HEAD_BEGINS:
        return _read_safetensors(path)
    for content, what in _MISTAKEN:
        if begin.startswith(content):
            raise ModelError(f'{path} is {what}')
    return _read_pytorch(path, is_archive=not begin.startswith(_PICKLE))


def load_weights(
    model: nn.Module, weights: Mapping[str, torch.Tensor], name: str, source: str
) -> None:
    """
    Copy weights into a model; half precision becomes what the model has.

    :param weights: in Meta's naming, or in that of Transformers
    :param name: the model's name, for the error
    :param source: where the weights come from, for the error
    :raises ModelError: they belong to another model, which the message names if it is a known
        one, or are no finite floating-point numbers
    """
    expected = model.state_dict()
    named = weights
    if naming_of(weights) is TRANSFORMERS:
        named = in_meta_s_naming(weights, expected)
    difference = _difference(expected, named)
    if difference:
        raise ModelError(f'{source} does not fit model {name}: '
                         f'{_mistaken(weights, name) or difference}')
    unusable = _unusable(expected, named)
    if unusable:
        raise ModelError(f'{source} cannot be used: {unusable}')
    model.load_state_dict(named)


def randomise(model: nn.Module) -> None:
    """
    Adjust freshly initialised weights so that tracking has something to compute.

    As they are, half of all objects would count as absent and the memory encoder's residual
    branches would be silent. For tests and benchmarks only: the masks are noise.
    """
    with torch.no_grad():
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(3.0)  # type: ignore
        for key, parameter in model.named_parameters():
            if key.startswith('memory_encoder.fuser') and key.endswith('.gamma'):
                parameter.fill_(0.5)


def _beginning(path: Path) -> bytes:
    try:
        with path.open('rb') as file:
            return file.read(32)
    except OSError as error:
        raise ModelError(f'{path} cannot be read: {reason(error)}') from error


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        file = read_tensor_file(path)
    except (OSError, DamagedFileError) as error:
        raise ModelError(f'{path} is damaged and cannot be read: {_first_line(error)}') from error
    if file.words.get('format', 'pt') != 'pt':
        raise ModelError(f'{path} holds no weights of a model for PyTorch: its head says '
                         f"{file.words['format']!r}, not 'pt'")
    if not file.tensors:
        raise ModelError(f'{path} holds no weights: it has no tensors')
    return _unwrapped(file.tensors)


def _read_pytorch(path: Path, is_archive: bool) -> dict[str, torch.Tensor]:
    # Before 1.6 torch wrote pickles one after the other, and it still can.
    if is_archive:
        check_archive(path)
    try:
        # A file, not its path: torch takes a name that ends in .safetensors for what is in it.
        with path.open('rb') as file:
            content = torch.load(file, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f'{path} holds objects other than tensors, which are not loaded; save '
            "it again as {'model': model.state_dict()}"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ModelError(f'{path} is damaged and cannot be read: {_first_line(error)}') from error
    weights = _weights_in(content)
    if weights is None:
        raise ModelError(f'{path} is not a SAM 2 checkpoint: it has no weights, neither by '
                         f'themselves nor under {", ".join(map(repr, _WEIGHTS_UNDER))}')
    return _unwrapped(weights)


def _weights_in(content: Any) -> Mapping[str, torch.Tensor] | None:
    """Find the weights in what a file holds, as deep as anybody nests them."""
    for _ in range(3):
        if not isinstance(content, dict):
            return None
        if _are_weights(content):
            return content
        content = next((content[key] for key in _WEIGHTS_UNDER if key in content), None)
    return None


def _are_weights(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(key, str) and isinstance(value, torch.Tensor)
                                 for key, value in content.items())


def _unwrapped(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = list(weights)
    while wrapper := next((each for each in _WRAPPERS
                           if all(name.startswith(each) for name in names)), None):
        names = [name.removeprefix(wrapper) for name in names]
    return dict(zip(names, weights.values(), strict=True))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _difference(expected: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> str:
    """Say how weights differ from those that a model has, nothing if they don't."""
    missing = sorted(expected.keys() - weights.keys())
    unexpected = sorted(weights.keys() - expected.keys())
    other_shape = sorted(
        key
        for key in expected.keys() & weights.keys()
        if expected[key].shape != weights[key].shape
    )
    if not (missing or unexpected or other_shape):
        return ''
    return (
        f'{len(missing)} weights are missing, {len(unexpected)} unexpected and '
        f'{len(other_shape)} of another shape (first: {(missing + unexpected + other_shape)[0]})'
    )


def _unusable(expected: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> str:
    """Say which weight could not be copied, or would make every mask noise; nothing if none."""
    for key, weight in weights.items():
        plain = weight.layout is torch.strided and not (weight.is_meta or weight.is_quantized)
        if not plain or weight.is_floating_point() != expected[key].is_floating_point():
            return (f'{key} is no plain tensor of floating-point numbers (quantized, sparse or '
                    'integers?); save the weights in float32 or half precision')
        # As the model will have it: what float32 has no room for is infinite there.
        if not torch.isfinite(weight.to(expected[key].dtype)).all():
            return (f'{key} has values that are not finite, as when a training diverges; take '
                    'an earlier checkpoint')
    return ''


def _mistaken(weights: Mapping[str, torch.Tensor], name: str) -> str:
    """Say what weights are and what would be right, nothing if they are not known."""
    found = recognise(weights)
    models = (found, *model_spec(found).twins) if found else ()
    if found and name not in models:
        right = f'to {found}' if len(models) == 1 else 'to the one that it is'
        return (f'it looks like {" or ".join(models)}; set model {right}, or checkpoint to '
                f'weights of {name}')
    project = foreign_project(weights)
    if project:
        return f'it looks like weights of {project}; set checkpoint to weights of {name}'
    if found and not any(key.startswith('memory_attention.') for key in weights):
        return ('it looks like one for pictures only (Sam2Model of Transformers), without what '
                'tracks; save it as Sam2VideoModel')
    if found is None:
        return (f'it looks like no SAM 2 at all (first weight: {min(weights)}); set checkpoint '
                f'to weights of {name}')
    return ''
