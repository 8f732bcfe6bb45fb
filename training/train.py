# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Train ``nano``: ``python -m training.train --minutes 100 --output DIR``."""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
import math
import os
from pathlib import Path
import re
import signal
import sys
import time

import numpy as np
from sam2.modeling.sam2_base import SAM2Base
import torch
from training.attention import plain_attention
from training.feed import Feed, FeedRecipe
from training.model import build_nano
from training.tracking import Outcome, Practice, track

EMA_STEPS = 200
LOG_STEPS = 25
SAVE_SECONDS = 240.0
STILLS = 8
# What places are compared by: ImageNet's features match better in real video than what 600
# pictures teach, so these weights may only drift.
SLOW = re.compile(r'neck\.convs\.[01]\.|memory_encoder\.(pix|fuser|out_proj)|'
                  r'cross_attn_image\.[qk]_proj')
SLOW_PACE = 0.1
STILL_OBJECTS = 4


@dataclass(frozen=True)
class Recipe:
    """
    How a run trains.

    :ivar rate: learning rate at its start; it falls to ``end_rate`` along a half cosine
    :ivar teach: share of steps that remember true masks, at the start; none from half-way on
    :ivar stills: share of steps on single frames, which are prompted only
    :ivar damage: share of remembered masks that get a wrong patch
    :ivar correct: share of steps with a correction on a later frame
    """

    minutes: float
    rate: float
    end_rate: float
    teach: float
    correct: float
    stills: float = 0.5
    damage: float = 0.0
    prompts: tuple[tuple[str, float], ...] = (
        ('mask', 0.35), ('box', 0.25), ('click', 0.2), ('clicks', 0.1), ('box and clicks', 0.1))


class Trainer:
    """A model, its running average and its optimiser."""

    def __init__(self, model: SAM2Base, rate: float) -> None:
        self.model = model
        model.train()
        model.image_encoder.trunk.requires_grad_(False).eval()
        # its last layer was fitted to what these make of masks, and they cost a tenth of a step
        model.memory_encoder.mask_downsampler.encoder[:-1].requires_grad_(False)
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        self.weights = [p for _, p in named]
        slow = [p for n, p in named if SLOW.search(n)]
        quick = [p for n, p in named if not SLOW.search(n)]
        self.optimizer = torch.optim.AdamW(
            [{'params': quick, 'pace': 1.0}, {'params': slow, 'pace': SLOW_PACE}], lr=rate,
            weight_decay=0.01, betas=(0.9, 0.98))
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.step_number = 0

    def learn(self, outcome: Outcome, rate: float) -> None:
        """Take one step down the loss."""
        for group in self.optimizer.param_groups:
            group['lr'] = rate * group['pace']
        self.optimizer.zero_grad(set_to_none=True)
        outcome.loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.step_number += 1
        keep = min(1 - 1 / EMA_STEPS, self.step_number / (self.step_number + 10))
        mine = dict(self.model.named_parameters())
        with torch.no_grad():
            torch._foreach_lerp_([p for n, p in self.average.named_parameters()
                                  if mine[n].requires_grad], self.weights, 1 - keep)

    def save(self, path: Path) -> None:
        """Write everything that resuming needs, never leaving half a file."""
        partial = path.with_suffix('.partial')
        torch.save({'model': self.model.state_dict(), 'average': self.average.state_dict(),
                    'optimizer': self.optimizer.state_dict(), 'step': self.step_number}, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a file that :meth:`save` wrote, or start from a bare state dict."""
        saved = torch.load(path, map_location='cpu', weights_only=True)
        if 'optimizer' not in saved:
            self.model.load_state_dict(saved)
            self.average.load_state_dict(saved)
            return
        self.model.load_state_dict(saved['model'])
        self.average.load_state_dict(saved['average'])
        self.optimizer.load_state_dict(saved['optimizer'])
        self.step_number = saved['step']


def choose_practice(rng: np.random.Generator, recipe: Recipe, done: float,
                    frames: int) -> Practice:
    """
    Draw how a batch is prompted and remembered.

    :param done: share of the run that is over
    """
    # a given mask is not predicted: there is nothing to learn from it on a single frame
    offered = [pair for pair in recipe.prompts if frames > 1 or pair[0] != 'mask']
    names = [name for name, _ in offered]
    shares = np.array([share for _, share in offered])
    corrected = frames > 2 and rng.random() < recipe.correct
    return Practice(
        prompt=str(rng.choice(names, p=shares / shares.sum())),
        true_memory=bool(rng.random() < recipe.teach * max(0.0, 1 - 2 * done)),
        true_presence=bool(rng.random() < max(0.3, 1 - 2 * done)),
        correct_on=int(rng.integers(1, frames - 1)) if corrected else None,
        damage=recipe.damage)


def run(trainer: Trainer, feed: Feed, recipe: Recipe, seed: int, output: Path) -> None:
    """Train for the recipe's minutes, printing figures and saving now and then."""
    rng = np.random.default_rng(seed + trainer.step_number)
    start = saved = time.monotonic()
    recent: list[tuple[str, list[float]]] = []
    while (done := (time.monotonic() - start) / (60 * recipe.minutes)) < 1:
        rate = recipe.end_rate + (recipe.rate - recipe.end_rate) * (
            0.5 + 0.5 * math.cos(math.pi * done))
        rate *= min(1.0, (len(recent) + 1) / 60)
        stills = bool(rng.random() < recipe.stills)
        batch = feed.draw_stills(rng, STILLS, STILL_OBJECTS) if stills else feed.draw(rng)
        practice = choose_practice(rng, recipe, done, batch.masks.shape[0])
        with torch.autocast('cpu', torch.bfloat16), plain_attention():
            outcome = track(trainer.model, batch, practice, rng)
        trainer.learn(outcome, rate)
        name = ('still ' if stills else '') + practice.prompt
        recent.append((name, [outcome.loss.item(), *outcome.ious.tolist(),
                              outcome.states_right.mean().item()]))
        if len(recent) % LOG_STEPS == 0:
            print(report(trainer.step_number, time.monotonic() - start, recent), flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            trainer.save(output / 'last.pt')
            saved = time.monotonic()


def report(step: int, seconds: float, recent: list[tuple[str, list[float]]]) -> str:
    """Describe the last steps in a line: mean loss, IoU by frame, and by first prompt."""
    last = recent[-4 * LOG_STEPS:]
    parts = [f'step {step} {seconds:.0f} s']
    for name in sorted({name for name, _ in last}):
        rows = [figures for prompt, figures in last if prompt == name]
        if rows:
            mean = np.mean(rows, 0)
            ious = ' '.join(f'{value:.2f}' for value in mean[1:-1])
            parts.append(f'{name} {mean[0]:.2f} [{ious}] {mean[-1]:.2f}')
    return ' | '.join(parts)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='python -m training.train', description=__doc__)
    parser.add_argument('--minutes', type=float, default=100)
    parser.add_argument('--resume', type=Path, help='a last.pt, or a bare state dict')
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument('--data', type=Path, default=Path('../shared/data/train'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--length', type=int, default=8)
    parser.add_argument('--frames', type=int, default=4)
    parser.add_argument('--clips', type=int, default=4)
    parser.add_argument('--objects', type=int, default=3)
    parser.add_argument('--rate', type=float, default=6e-4)
    parser.add_argument('--end-rate', type=float, default=2e-5)
    parser.add_argument('--teach', type=float, default=0.0)
    parser.add_argument('--correct', type=float, default=0.0)
    parser.add_argument('--damage', type=float, default=0.0)
    parser.add_argument('--stills', type=float, default=0.5)
    return parser.parse_args()


def main() -> None:
    """Train as the command line says."""
    arguments = parse_arguments()
    torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '1')))
    torch.manual_seed(arguments.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(build_nano(arguments.size), arguments.rate)
    if arguments.resume:
        trainer.resume(arguments.resume)
    feed = Feed(arguments.data, FeedRecipe(
        size=arguments.size, length=arguments.length, frames=arguments.frames,
        clips=arguments.clips, objects=arguments.objects), arguments.seed + trainer.step_number)
    recipe = Recipe(arguments.minutes, arguments.rate, arguments.end_rate, arguments.teach,
                    arguments.correct, arguments.stills, arguments.damage)
    # a stop from outside ends like any other: saved, and with the worker gone
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run(trainer, feed, recipe, arguments.seed, arguments.output)
    finally:
        trainer.save(arguments.output / 'last.pt')
        feed.close()


if __name__ == '__main__':
    main()
