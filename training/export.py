# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write a training run's averaged weights as ``nano.pt``: half precision, one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from omegaconf import OmegaConf
import torch
from training.model import CONFIG
from training.tracking import SHARPENING

MAX_BYTES = 15_000_000
TIMES = 'maskmem_tpos_enc'


def half_precision(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
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


def fit_memory_times(state: dict[str, torch.Tensor], frames: int) -> dict[str, torch.Tensor]:
    """
    Keep the time codes of as many remembered frames as the configuration has.

    The last one is the prompted frames'; those before it count back from the newest frame.

    :raises ValueError: if the configuration remembers more frames than there are codes
    """
    times = state[TIMES]
    if frames > len(times):
        raise ValueError(f'{frames} remembered frames, but time codes of {len(times)}')
    return {**state, TIMES: torch.cat([times[:frames - 1], times[-1:]])}


def sharpen(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Make the logits of the single mask steeper, as training has remembered them."""
    steep = dict(state)
    for name in ('weight', 'bias'):
        last = f'sam_mask_decoder.output_hypernetworks_mlps.0.layers.2.{name}'
        steep[last] = state[last] * SHARPENING
    return steep


def export(checkpoint: Path, output: Path) -> int:
    """
    Write the averaged weights of a ``last.pt`` as ``{'model': state}``.

    :returns: size of the file in bytes
    :raises ValueError: if it is larger than 15 MB
    """
    saved = torch.load(checkpoint, map_location='cpu', weights_only=True)
    state = fit_memory_times(sharpen(saved['average']), OmegaConf.load(CONFIG).model.num_maskmem)
    torch.save({'model': half_precision(state)}, output)
    size = output.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f'{output} has {size} bytes, more than {MAX_BYTES}')
    return size


def main() -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m training.export', description=__doc__)
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--output', type=Path, default=CONFIG.with_suffix('.pt'))
    arguments = parser.parse_args()
    size = export(arguments.checkpoint, arguments.output)
    print(f'{arguments.output}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
