# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Weights as the package carries them: half precision, masks sharpened."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from training.tracking import SHARPENING

MASKS = 4
MAX_BYTES = 15_000_000
TIMES = 'maskmem_tpos_enc'
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
        for name in ('weight', 'bias'):
            last = f'sam_mask_decoder.output_hypernetworks_mlps.{mask}.layers.2.{name}'
            scaled[last] = state[last] * factor
    return scaled


def save_exported(path: Path, state: State) -> int:
    """
    Write a file of the package's form, in half precision; what was there stays if that fails.

    :returns: size of the file in bytes
    :raises ValueError: if it is larger than 15 MB, or a value does not fit
    """
    packed = io.BytesIO()
    torch.save({'model': half_precision(state)}, packed)
    size = packed.tell()
    if size > MAX_BYTES:
        raise ValueError(f'{path} would have {size} bytes, more than {MAX_BYTES}')
    partial = path.with_suffix('.partial')
    partial.write_bytes(packed.getvalue())
    partial.replace(path)
    return size


def load_exported(path: Path) -> State:
    """
    Read a file of the package's form in full precision, its masks as sharp as they are.

    :raises ValueError: if it is a run's checkpoint, whose masks are not sharpened
    """
    saved = torch.load(path, map_location='cpu', weights_only=True)
    if 'optimizer' in saved:
        raise ValueError(f"{path} is a run's checkpoint: write its averaged weights to a file "
                         'by training.export, and name that')
    state = saved['model']
    return {name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in state.items()}


def load_start(path: Path, sharpened: int) -> State:
    """
    Read weights to train on: of the package's form, or a bare state dict.

    :param sharpened: how many of the four masks are sharpened in a file of the package's form
    :raises ValueError: if it is a run's checkpoint
    """
    saved: State = torch.load(path, map_location='cpu', weights_only=True)
    if 'model' not in saved:
        return saved
    return scale_logits(load_exported(path), 1 / SHARPENING, sharpened)
