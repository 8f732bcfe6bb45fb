# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Figures of the latest steps, by kind of prompt and by frame.

Apart: thread, they stay on the device until a line is printed, so that no step waits for them.
"""

from __future__ import annotations

from collections import defaultdict, deque

import torch
from training.tracking import Outcome, Practice

KEPT = 60       # outcomes of each kind


class Report:
    """Keeps the outcomes of the latest batches."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, int], deque[Outcome]] = defaultdict(
            lambda: deque(maxlen=KEPT))

    def add(self, practice: Practice, outcome: Outcome) -> None:
        """Keep an outcome."""
        self.outcomes[practice.kind, len(practice.numbers)].append(outcome)

    def line(self, step: int, seconds: float) -> str:
        """
        Tell the mean loss of all kinds and, by kind, IoU by frame and |estimated IoU - IoU|.

        Unrolls of different lengths are told apart; a figure is the mean of up to 60 batches.
        """
        parts, losses = [], []
        for (kind, frames), several in sorted(self.outcomes.items(), key=lambda pair: pair[0]):
            losses += [outcome.loss for outcome in several]
            ious = torch.stack([outcome.ious for outcome in several]).float().mean(0).tolist()
            error = torch.stack([outcome.misjudged for outcome in several]).float().mean(0)
            first = 1 if kind == 'mask' else 0
            parts.append(f'{kind} x{frames} [{" ".join(f"{iou:.2f}" for iou in ious)}] '
                         f'|u-J| {error[first:].mean().item():.3f}')
        states = [outcome.states_right for several in self.outcomes.values()
                  for outcome in several]
        return (f'step {step} {seconds:.0f} s loss {torch.stack(losses).mean().item():.3f} '
                f'states {torch.stack(states).mean().item():.3f} | ' + ' | '.join(parts))
