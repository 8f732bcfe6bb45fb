# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure a model on clips of films that it was not trained on, whole pictures, no changes.

``python -m training.heldback --data pack.zip --checkpoint nano.pt`` measures an exported file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sam2.modeling.sam2_base import SAM2Base
from sam2_tracker.core.command_line import refusing
import torch
from training.attention import arithmetic
from training.compose import normalise
from training.model import build_nano, CONFIG, size_refusal
from training.pool import load_pool, Pool, Source
from training.prompts import prompt
from training.tracking import Batch, Draws, Features, Outcome, picture_features, Practice, track
from training.weights import load_start_into, MASKS

KINDS = ('mask', 'box', 'click')
FRAMES = 10
LARGEST_STEP = 3
MOST_OBJECTS = 3
SMALLEST = 0.001        # share of the picture


@dataclass(frozen=True)
class HeldBack:
    """
    What the held-back clips gave, by kind of prompt.

    :ivar ious: kind to (T,) mean over clips
    :ivar misjudged: mean |estimated IoU - IoU| over tracked frames
    :ivar clips: name to the mean IoU of its later frames with each kind
    """

    ious: dict[str, np.ndarray]
    misjudged: dict[str, float]
    clips: dict[str, tuple[float, ...]]

    @property
    def score(self) -> float:
        """Mean over kinds of the IoU on the frames after the first."""
        return float(np.mean([ious[1:].mean() for ious in self.ious.values()]))

    def line(self) -> str:
        """Tell the figures in one line."""
        parts = [f'{kind} [{" ".join(f"{iou:.2f}" for iou in ious)}] {ious[1:].mean():.3f} '
                 f'|u-J| {self.misjudged[kind]:.3f}' for kind, ious in self.ious.items()]
        return f'held back {self.score:.4f} | ' + ' | '.join(parts)

    def table(self) -> str:
        """Lay the later frames' mean IoU of each clip out, a line a clip."""
        return '\n'.join(f'  {name}: ' + ', '.join(
            f'{kind} {iou:.3f}' for kind, iou in zip(self.ious, ious, strict=True))
            for name, ious in self.clips.items())


@torch.no_grad()
def measure(model: SAM2Base, pool: Pool, size: int, seed: int = 0) -> HeldBack:
    """
    Prompt objects of each clip on its first frame and track them, as in use.

    :param size: side of the input in pixels
    """
    noise = torch.Generator(pool.device).manual_seed(seed)
    outcomes: dict[str, list[Outcome]] = {kind: [] for kind in KINDS}
    names = []
    for source in pool.sources:
        batch = clip_batch(pool, source, size)
        if batch is None:
            continue
        names.append(source.name)
        features = _features(model, batch)
        for kind in KINDS:
            points = prompt(kind, batch.masks[0], noise)
            outcomes[kind].append(track(model, features, batch, points,
                                        Practice(kind, tuple(range(len(batch.masks)))),
                                        _as_in_use(model, batch)))
    if not names:
        raise ValueError('no object of a fair size on the first frame of any held-back clip')
    ious = {kind: np.stack([outcome.ious.float().cpu().numpy() for outcome in several])
            for kind, several in outcomes.items()}
    return HeldBack(
        {kind: values.mean(0) for kind, values in ious.items()},
        {kind: float(np.mean([outcome.misjudged[1:].mean().item() for outcome in several]))
         for kind, several in outcomes.items()},
        {name: tuple(float(ious[kind][row, 1:].mean()) for kind in KINDS)
         for row, name in enumerate(names)})


def clip_batch(pool: Pool, source: Source, size: int) -> Batch | None:
    """Take a clip's largest objects on evenly spaced frames; None if there is no object."""
    step = max(1, min(LARGEST_STEP, source.stride, (source.frames - 1) // (FRAMES - 1)))
    last = source.frames - 1
    frames = source.start + np.minimum(np.arange(FRAMES) * step, last)
    areas = pool.areas[frames[0], 1:]
    order = [label for label in np.argsort(-areas)[:MOST_OBJECTS] if areas[label] > SMALLEST]
    if not order:
        return None
    place = torch.as_tensor(frames, device=pool.device)
    rgb = pool.clips.rgb[place].permute(0, 3, 1, 2).float()
    rgb = torch.nn.functional.interpolate(rgb, size=(size, size), mode='bilinear')
    labels = torch.nn.functional.interpolate(pool.clips.labels[place][:, None].float(),
                                             size=(size, size))
    masks = torch.cat([labels == int(label) + 1 for label in order], 1)
    return Batch(normalise(rgb), masks, torch.ones(len(order), device=pool.device), 1)


def _features(model: SAM2Base, batch: Batch) -> Features:
    return picture_features(model, batch.images, train_trunk=False)


def _as_in_use(model: SAM2Base, batch: Batch) -> Draws:
    never = torch.zeros(len(batch.weights), dtype=torch.bool, device=batch.weights.device)
    return Draws(never, never, never | bool(model.multimask_output_for_tracking),
                 torch.empty(0, device=never.device))


def main(line: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m training.heldback')
    parser.add_argument('--data', type=Path, required=True, help='what training.pack wrote')
    parser.add_argument('--checkpoint', type=Path, default=CONFIG.with_suffix('.pt'))
    parser.add_argument('--sharpened', type=int, default=4, help='masks that are sharpened in it')
    parser.add_argument('--size', type=int, default=384)
    arguments = parser.parse_args(line)
    if wrong := size_refusal(arguments.size):
        parser.error(wrong)
    if not 0 <= arguments.sharpened <= MASKS:
        parser.error(f'--sharpened must be from 0 to {MASKS}, not {arguments.sharpened}')
    torch.set_num_threads(1)
    with refusing(parser.prog):
        model = build_nano(arguments.size)
        load_start_into(model, arguments.checkpoint, arguments.sharpened)
        pool = load_pool(arguments.data, torch.device('cpu'), held_back=True)
        with arithmetic(pool.device):
            result = measure(model.eval(), pool, arguments.size)
    print(result.line())
    print(result.table())


if __name__ == '__main__':
    main()
