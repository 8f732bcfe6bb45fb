# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write a training run's averaged weights as ``nano.pt``: half precision, one file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from sam2_tracker.core.command_line import refusing, writing
from training.model import CONFIG
from training.tracking import SHARPENING
from training.weights import (
    fit_memory_times,
    read_saved,
    save_exported,
    scale_logits,
    State,
    weights_under,
)


def averaged(checkpoint: Path) -> State:
    """
    Read the averaged weights of a ``last.pt`` or ``best.pt`` as the package has them.

    :raises ValueError: if the checkpoint is no run's
    """
    average = weights_under(read_saved(checkpoint), 'average', checkpoint)
    return fit_memory_times(scale_logits(average, SHARPENING),
                            OmegaConf.load(CONFIG).model.num_maskmem)


def main(line: Sequence[str] | None = None) -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m training.export', description=__doc__)
    parser.add_argument('checkpoint', type=Path, help='last.pt or best.pt of a run')
    parser.add_argument('--output', type=Path, default=CONFIG.with_suffix('.pt'))
    arguments = parser.parse_args(line)
    with refusing(parser.prog):
        state = averaged(arguments.checkpoint)
        with writing(parser.prog):
            size = save_exported(arguments.output, state)
    print(f'{arguments.output}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
