# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write a training run's averaged weights as ``nano.pt``: half precision, one file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from sam2_tracker.core.command_line import refusing
from training.model import CONFIG
from training.tracking import SHARPENING
from training.weights import (
    fit_memory_times,
    read_saved,
    save_exported,
    scale_logits,
    weights_under,
)


def export(checkpoint: Path, output: Path) -> int:
    """
    Write the averaged weights of a ``last.pt`` or ``best.pt`` as ``{'model': state}``.

    :returns: size of the file in bytes
    :raises ValueError: if it is larger than 15 MB, or the checkpoint is no run's
    """
    average = weights_under(read_saved(checkpoint), 'average', checkpoint)
    state = fit_memory_times(scale_logits(average, SHARPENING),
                             OmegaConf.load(CONFIG).model.num_maskmem)
    return save_exported(output, state)


def main(line: Sequence[str] | None = None) -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m training.export', description=__doc__)
    parser.add_argument('checkpoint', type=Path, help='last.pt or best.pt of a run')
    parser.add_argument('--output', type=Path, default=CONFIG.with_suffix('.pt'))
    arguments = parser.parse_args(line)
    with refusing(parser.prog):
        size = export(arguments.checkpoint, arguments.output)
    print(f'{arguments.output}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
