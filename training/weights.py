# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Weights as the package carries them: half precision, masks sharpened."""

from __future__ import annotations

import io
from pathlib import Path
import pickle
from typing import Any

from sam2_tracker.core.text import shown
from sam2_tracker.models.weights import load_weights
import torch
from torch import nn
from training.tracking import SHARPENING

MASKS = 4
MAX_BYTES = 15_000_000
TIMES = 'maskmem_tpos_enc'
PARTS = ('weight', 'bias')
State = dict[str, torch.Tensor]


def half_precision(state: State) -> State:
    """
    Convert a state dict's floating point tensors to half precision.

    :raises ValueError: if a value does not fit
    """
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor
              for name, tensor in state.items()}
    for name, tensor in halved.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f'{name} has values beyond half precision')
    return halved


def fit_memory_times(state: State, frames: int) -> State:
    """
    Keep the time codes of as many remembered frames as the configuration has.

    The last one is the prompted frames'; those before it count back from the newest frame.

    :raises ValueError: if the configuration remembers more frames than there are codes
    """
    times = state[TIMES]
    if frames > len(times):
        raise ValueError(f'{frames} remembered frames, but time codes of {len(times)}')
    return {**state, TIMES: torch.cat([times[:frames - 1], times[-1:]])}


def scale_logits(state: State, factor: float, masks: int = MASKS) -> State:
    """Make the logits of the single mask and of candidates steeper, the first so many masks."""
    scaled = dict(state)
    for mask in range(masks):
        for part in PARTS:
            last = _last_layer(mask, part)
            scaled[last] = state[last] * factor
    return scaled


def _last_layer(mask: int, part: str) -> str:
    return f'sam_mask_decoder.output_hypernetworks_mlps.{mask}.layers.2.{part}'


def save_exported(path: Path, state: State) -> int:
    """
    Write a file of the package's form, in half precision; what was there stays if that fails.

    :returns: size of the file in bytes
    :raises ValueError: if it is larger than 15 MB, or a value does not fit
    :raises OSError: if it cannot be written
    """
    packed = io.BytesIO()
    torch.save({'model': half_precision(state)}, packed)
    size = packed.tell()
    if size > MAX_BYTES:
        raise ValueError(f'{path} would have {size} bytes, more than {MAX_BYTES}')
    partial = path.with_suffix('.partial')
    try:
        partial.write_bytes(packed.getvalue())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(f'{path} cannot be written: {error.strerror}') from error
    return size


def read_saved(path: Path) -> dict[str, Any]:
    """
    Read a dictionary that torch.save wrote: a run's checkpoint, an exported file or bare weights.

    :raises ValueError: if it is not there, or nothing of that kind can be read from it
    """
    if not path.is_file():
        raise ValueError(f'there is no file {path}')
    try:
        saved = torch.load(path, map_location='cpu', weights_only=True)
    except (RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise ValueError(f'{path} is damaged, or no file of weights') from error
    if not isinstance(saved, dict):
        raise ValueError(f'{path} holds no weights, but a {type(saved).__name__}')
    return saved


def weights_under(saved: dict[str, Any], name: str, path: Path) -> State:
    """
    Take the weights of nano out of what was read from a file.

    :raises ValueError: if they are not there, or some another model's
    """
    state = saved.get(name)
    if not isinstance(state, dict):
        there = shown(', '.join(map(str, saved)))
        raise ValueError(f'{path} has no {name!r} weights, only {there}')
    needed = (TIMES, *(_last_layer(mask, part) for mask in range(MASKS) for part in PARTS))
    missing = [each for each in needed if each not in state]
    if missing:
        raise ValueError(f'{path} has weights of another model than nano: {missing[0]} is not '
                         'among them')
    return state


def load_exported(path: Path) -> State:
    """
    Read a file of the package's form in full precision, its masks as sharp as they are.

    :raises ValueError: if it is damaged, another model's, or a run's checkpoint, whose masks are
        not sharpened
    """
    saved = read_saved(path)
    if 'optimizer' in saved:
        raise ValueError(f"{path} is a run's checkpoint: write its averaged weights to a file "
                         'by training.export, and name that')
    state = weights_under(saved, 'model', path)
    return {name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in state.items()}


def load_start(path: Path, sharpened: int) -> State:
    """
    Read weights to train on: of the package's form, or a bare state dict.

    :param sharpened: how many of the four masks are sharpened in a file of the package's form
    :raises ValueError: if it is a run's checkpoint, or damaged
    """
    saved = read_saved(path)
    if 'model' not in saved:
        return saved
    return scale_logits(load_exported(path), 1 / SHARPENING, sharpened)


def load_start_into(model: nn.Module, path: Path, sharpened: int) -> None:
    """
    Put weights that were read by :func:`load_start` into a nano.

    :raises ValueError: if the file is of no use
    :raises ModelError: if they are another model's
    """
    load_weights(model, load_start(path, sharpened), 'nano', str(path))
