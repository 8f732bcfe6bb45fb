# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A model on its way: pace of its parts, optimiser, running average, and what resuming needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import re
from typing import Any

import numpy as np
from sam2.modeling.sam2_base import SAM2Base
import torch
from training.weights import State

# What is already right: the trunk's first stages are ImageNet's, as are its kernels by channel,
# whose gradients take half of a step on a CPU; and the mask downsampler's output was fitted to
# what its first layers make of masks.
FROZEN = re.compile(r'trunk\.(stem|stages\.[012]\.|.*\.depthwise\.)|'
                    r'mask_downsampler\.encoder\.(?!12)|\.pe_layer\.')
# What places are compared by: these weights may only drift, or real video gets worse.
MATCHED = re.compile(r'neck\.convs\.[01]\.|memory_encoder\.(pix|fuser|out_proj)|'
                     r'cross_attn_image\.[qk]_proj')
MEMORY = re.compile(r'memory_|maskmem|obj_ptr')


@dataclass(frozen=True)
class Pace:
    """Shares of the learning rate, by part; 0 freezes a part."""

    trunk: float = 0.1
    matched: float = 0.2
    memory: float = 0.5

    def of(self, name: str) -> float:
        """Give the pace of a parameter by its name."""
        if FROZEN.search(name):
            return 0.0
        if '.trunk.' in name:
            return self.trunk
        if MATCHED.search(name):
            return self.matched
        return self.memory if MEMORY.search(name) else 1.0


class Trainer:
    """
    A model, its optimiser and the running average of its weights.

    :param average_steps: the average forgets over so many steps; a short run needs few
    """

    def __init__(self, model: SAM2Base, pace: Pace, average_steps: int) -> None:
        self.model, self.average_steps = model, average_steps
        model.train()
        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        self.names: list[str] = []
        self.weights: list[torch.nn.Parameter] = []
        for name, weight in model.named_parameters():
            weight.requires_grad_(pace.of(name) > 0)
            if weight.requires_grad:
                groups.setdefault((pace.of(name), weight.ndim > 1), []).append(weight)
                self.names.append(name)
                self.weights.append(weight)
        cuda = self.weights[0].is_cuda
        self.optimizer = torch.optim.AdamW(
            [{'params': weights, 'pace': share, 'weight_decay': 0.02 if wide else 0.0}
             for (share, wide), weights in groups.items()], betas=(0.9, 0.99), fused=cuda)
        self.trains_trunk = pace.trunk > 0
        # kept from the first step on, so that a recorded step finds them where they were
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight)
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.steps = 0

    def learn(self, rate: float) -> None:
        """Take one step along the gradients that were gathered, and forget them."""
        for group in self.optimizer.param_groups:
            group['lr'] = rate * group['pace']
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0, foreach=True)
        self.optimizer.step()
        torch._foreach_zero_([weight.grad for weight in self.weights])
        self.steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, [weight.detach() for weight in self.weights],
                                 1 / self.average_steps)

    @contextmanager
    def averaged(self) -> Iterator[SAM2Base]:
        """Put the averaged weights into the model for a while."""
        with torch.no_grad():
            own = [weight.detach().clone() for weight in self.weights]
            torch._foreach_copy_(self.weights, self.averages)
            try:
                yield self.model
            finally:
                torch._foreach_copy_(self.weights, own)

    def average(self) -> State:
        """Give the state dict of the averaged weights."""
        state = {name: value.detach() for name, value in self.model.state_dict().items()}
        state.update(zip(self.names, self.averages, strict=True))
        return state

    def state(self) -> dict[str, Any]:
        """Give everything that going on needs."""
        return {'model': self.model.state_dict(), 'average': self.average(),
                'optimizer': self.optimizer.state_dict(), 'steps': self.steps}

    def load(self, saved: dict[str, Any]) -> None:
        """
        Go on from what :meth:`state` gave.

        :raises ValueError: if its parts were trained at other paces
        """
        before, now = ([group['pace'] for group in groups] for groups in (
            saved['optimizer']['param_groups'], self.optimizer.param_groups))
        if before != now:
            raise ValueError(f'the run to resume has parts at paces {before}, not {now}: give '
                             '--trunk, --matched and --memory as they were')
        self.model.load_state_dict(saved['model'])
        self.optimizer.load_state_dict(saved['optimizer'])
        self.steps = saved['steps']
        for name, average in zip(self.names, self.averages, strict=True):
            average.copy_(saved['average'][name])


@dataclass(frozen=True)
class Chance:
    """The two generators of a run: the host's, and the one on its device."""

    host: np.random.Generator
    device: torch.Generator

    @classmethod
    def seeded(cls, seed: int, device: torch.device) -> Chance:
        """Make both from one number."""
        return cls(np.random.default_rng(seed), torch.Generator(device).manual_seed(seed))

    def state(self) -> dict[str, Any]:
        """Give what :meth:`load` takes."""
        return {'host': self.host.bit_generator.state, 'device': self.device.get_state()}

    def load(self, saved: dict[str, Any]) -> None:
        """Go on where another run's generators were."""
        self.host.bit_generator.state = saved['host']
        self.device.set_state(saved['device'])


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, never leaving half a file."""
    partial = path.with_suffix('.partial')
    with partial.open('wb') as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
