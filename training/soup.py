# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Average the weights of several exported runs: ``python -m training.soup A B --output C``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import math
from pathlib import Path

from sam2_tracker.core.command_line import refusing, writing
import torch
from training.tracking import SHARPENING
from training.weights import load_exported, MASKS, save_exported, scale_logits, State


def soup(states: Sequence[State], shares: Sequence[float]) -> State:
    """
    Average state dicts; tensors that are no floating point numbers are the first one's.

    :raises ValueError: if shares are not one a state, or the states do not fit each other
    """
    if len(states) != len(shares) or not math.isfinite(sum(shares)) or not sum(shares):
        raise ValueError(f'{len(states)} files need as many shares that sum up to more or less '
                         f'than 0, not {list(shares)}')
    for state in states[1:]:
        strange = {name for name in {*state, *states[0]} if name not in state
                   or name not in states[0] or state[name].shape != states[0][name].shape}
        if strange:
            raise ValueError(f'weights that do not fit each other: {", ".join(sorted(strange))}')
    return {name: torch.stack([state[name] * share / sum(shares) for state, share
                               in zip(states, shares, strict=True)]).sum(0)
            if value.is_floating_point() else value for name, value in states[0].items()}


def main(line: Sequence[str] | None = None) -> None:
    """Average as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m training.soup', description=__doc__)
    parser.add_argument('files', type=Path, nargs='+')
    parser.add_argument('--weights', type=float, nargs='+', help='shares; equal without')
    parser.add_argument('--sharpened', type=int, nargs='+',
                        help='masks that are sharpened in each file; 4 without')
    parser.add_argument('--output', type=Path, required=True)
    arguments = parser.parse_args(line)
    count = len(arguments.files)
    sharpened = arguments.sharpened or [MASKS] * count
    if len(sharpened) != count or not all(0 <= masks <= MASKS for masks in sharpened):
        parser.error(f'--sharpened takes a number from 0 to {MASKS} for each of {count} files, '
                     f'not {sharpened}')
    with refusing(parser.prog):
        # masks that one file has sharpened and another has not must meet at one steepness
        states = [scale_logits(scale_logits(load_exported(path), 1 / SHARPENING, masks),
                               SHARPENING)
                  for path, masks in zip(arguments.files, sharpened, strict=True)]
        mixed = soup(states, arguments.weights or [1.0] * count)
        with writing(parser.prog):
            size = save_exported(arguments.output, mixed)
    print(f'{arguments.output}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
