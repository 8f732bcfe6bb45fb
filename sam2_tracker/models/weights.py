# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Read a checkpoint's weights and put them into a model, with errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import pickle

from sam2_tracker.core.errors import ModelError
from sam2_tracker.models.checkpoints import check_archive
import torch
from torch import nn

# Width of the first layer and number of blocks tell the sizes of Hiera apart.
_TRUNKS = {(96, 12): 'tiny', (96, 16): 'small', (112, 24): 'base_plus', (144, 48): 'large'}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """
    Read the state dict under the key ``model``, as SAM 2's checkpoints have it.

    :raises ModelError: the file is damaged, is no checkpoint, or holds more than plain tensors
    """
    check_archive(path)
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f'{path} holds objects other than tensors, which are not loaded; save '
            "it again as {'model': model.state_dict()}"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ModelError(f'{path} is damaged and cannot be read: {_first_line(error)}') from error
    weights = content.get('model') if isinstance(content, dict) else None
    if (
        not isinstance(weights, dict)
        or not weights
        or not all(isinstance(value, torch.Tensor) for value in weights.values())
    ):
        raise ModelError(f"{path} is not a SAM 2 checkpoint: it has no tensors under 'model'")
    return weights


def load_weights(
    model: nn.Module, weights: Mapping[str, torch.Tensor], name: str, source: str
) -> None:
    """
    Copy weights into a model; half precision becomes what the model has.

    :param name: the model's name, for the error
    :param source: where the weights come from, for the error
    :raises ModelError: they belong to another model; the message names it if it is a known one
    """
    expected = model.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    unexpected = sorted(weights.keys() - expected.keys())
    other_shape = sorted(
        key
        for key in expected.keys() & weights.keys()
        if expected[key].shape != weights[key].shape
    )
    if missing or unexpected or other_shape:
        raise ModelError(
            f'{source} does not fit model {name}: {len(missing)} weights are missing, '
            f'{len(unexpected)} unexpected and {len(other_shape)} of another shape '
            f'(first: {(missing + unexpected + other_shape)[0]}){_looks_like(weights)}'
        )
    model.load_state_dict(weights)


def recognise(weights: Mapping[str, torch.Tensor]) -> str | None:
    """Name the official model that weights belong to, None if it is none of them."""
    patch = weights.get('image_encoder.trunk.patch_embed.proj.weight')
    blocks = {key.split('.')[3] for key in weights if key.startswith('image_encoder.trunk.blocks')}
    size = _TRUNKS.get((patch.shape[0], len(blocks))) if patch is not None else None
    if size is None:
        return None
    generation = 'sam2.1' if 'no_obj_embed_spatial' in weights else 'sam2'
    return f'{generation}_hiera_{size}'


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


def _looks_like(weights: Mapping[str, torch.Tensor]) -> str:
    name = recognise(weights)
    return f'; it looks like {name}' if name else ''


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
