# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure how well a model tracks: ``python -m benchmarks.accuracy``.

Prompts each object of the development sequences on the first frame, tracks it through the
engine and scores the masks as DAVIS does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import sys

from benchmarks.covered import cover, COVERED, LENGTH, score_covered
from benchmarks.davis import Score, score_frames
from benchmarks.figures import committed_figures, fallen_behind, RESULTS, target_table
from benchmarks.overlays import write_sheet
from benchmarks.sequences import DAVIS, load_sequence, make_prompt, Sequence
from benchmarks.speed_of_engine import measure_fps
from benchmarks.tracking import read_rgb, Run, run_engine
import numpy as np
from numpy.typing import NDArray
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.types import Prompt
from sam2_tracker.models.checkpoints import find_checkpoint
from sam2_tracker.models.loader import build_tracking_predictor
import torch

KINDS = ('mask', 'box', 'click')
EXTRA = ('dogs-jump', 'chair')
COVERS = ('lens', 'board')


@dataclass(frozen=True)
class Measured:
    """Score of one sequence with one kind of prompt, the mean over its objects."""

    sequence: str
    kind: str
    score: Score


def engine_prompt(mask: NDArray[np.bool_], kind: str) -> Prompt:
    """Make a prompt of a (H, W) mask in the engine's own terms."""
    made = make_prompt(mask, kind)
    if made.click_xy is not None:
        return Prompt(points_xy=np.array([made.click_xy], np.float32),
                      point_labels=np.ones(1, np.int32))
    box = None if made.box is None else np.array(made.box, np.float32)
    return Prompt(box_xyxy=box, mask_hw=made.mask)


def measure_sequence(predictor: Predictor, sequence: Sequence, kind: str,
                     sheets: Path | None) -> Measured:
    """Track all objects of a sequence from prompts on its first frame, and score them."""
    pictures = [read_rgb(path) for path in sequence.frames]
    run = run_engine(predictor, pictures,
                     [engine_prompt(masks[0], kind) for masks in sequence.masks])
    if sheets is not None:
        write_sheet(sheets / f'{sequence.name}_{kind}.jpg', pictures, run.tracks, sequence.masks)
    scores = [score_frames(list(track.masks), list(masks))
              for track, masks in zip(run.tracks, sequence.masks, strict=True)]
    return Measured(sequence.name, kind, Score(
        float(np.mean([score.region for score in scores])),
        float(np.mean([score.contour for score in scores]))))


def measure_covered(predictor: Predictor, sequences: list[Sequence],
                    sheets: Path | None) -> tuple[float, float]:
    """Measure the share of right states, and of returns after which the object is found."""
    scores = []
    for sequence in (sequence.first(LENGTH) for sequence in sequences):
        for kind in COVERS:
            masks = sequence.masks[0]
            pictures = [read_rgb(path) for path in sequence.frames]
            pictures = [cover(picture, mask, kind) if frame in COVERED else picture
                        for frame, (picture, mask) in enumerate(zip(pictures, masks,
                                                                    strict=True))]
            run: Run = run_engine(predictor, pictures, [engine_prompt(masks[0], 'mask')])
            if sheets is not None:
                write_sheet(sheets / f'{sequence.name}_{kind}.jpg', pictures, run.tracks, ())
            scores.append(score_covered(run.tracks[0], masks))
    return (sum(score.states_right for score in scores) / sum(score.frames for score in scores),
            sum(score.found for score in scores) / sum(score.returns for score in scores))


def score_table(rows: list[Measured]) -> str:
    """Lay scores out as a Markdown table, a line a sequence."""
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in rows)]
    lines = ['| sequence | ' + ' | '.join(f'{kind} J / F' for kind in kinds) + ' |',
             '|---' * (len(kinds) + 1) + '|']
    names = list(dict.fromkeys(row.sequence for row in rows))
    by_place = {(row.sequence, row.kind): row.score for row in rows}
    for name in names:
        cells = [by_place[name, kind] for kind in kinds]
        lines.append(f'| {name} | ' + ' | '.join(
            f'{score.region:.3f} / {score.contour:.3f}' for score in cells) + ' |')
    return '\n'.join(lines)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.accuracy', description=__doc__,
        epilog='Example: python -m benchmarks.accuracy --sequences dog,libby --frames 40')
    parser.add_argument('--model', default='nano')
    parser.add_argument('--checkpoint', type=Path)
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--sequences', default=','.join(DAVIS + EXTRA))
    parser.add_argument('--prompts', default=','.join(KINDS))
    parser.add_argument('--frames', type=int, help='only the first so many of each sequence')
    parser.add_argument('--no-covered', action='store_true')
    parser.add_argument('--no-speed', action='store_true')
    parser.add_argument('--sheets', type=Path, help='folder for pictures of the masks')
    parser.add_argument('--check', action='store_true',
                        help='exit 1 if a figure is below the last one in training/RESULTS.md')
    return parser.parse_args()


def measure_all(predictor: Predictor, arguments: argparse.Namespace,
                sequences: list[Sequence]) -> Iterator[Measured]:
    """Measure every sequence with every prompt, telling of each on standard error."""
    for sequence in sequences:
        for kind in arguments.prompts.split(','):
            measured = measure_sequence(predictor, sequence, kind, arguments.sheets)
            print(f'{sequence.name}, {kind}: J {measured.score.region:.3f} '
                  f'F {measured.score.contour:.3f}', file=sys.stderr, flush=True)
            yield measured


def main() -> int:
    """Measure as the command line says; 1 if ``--check`` finds a figure that fell."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    config = ModelConfig(name=arguments.model, checkpoint=arguments.checkpoint,
                         device=arguments.device, image_size=arguments.image_size)
    predictor = build_tracking_predictor(config)
    sequences = [load_sequence(name) for name in arguments.sequences.split(',')]
    if arguments.frames:
        sequences = [sequence.first(arguments.frames) for sequence in sequences]
    rows = list(measure_all(predictor, arguments, sequences))
    figures = {'size of the weights, MB': find_checkpoint(config).stat().st_size / 1e6}
    for kind in arguments.prompts.split(','):
        means = [row.score.mean for row in rows if row.kind == kind and row.sequence in DAVIS]
        if means:
            figures[f'J&F, {kind}'] = float(np.mean(means))
    davis = [sequence for sequence in sequences if sequence.name in DAVIS]
    print(f'\n{score_table(rows)}\n')
    if davis and not arguments.no_covered:
        states, found = measure_covered(predictor, davis, arguments.sheets)
        figures['states right in covered clips'] = states
        print(f'found again after a cover: {found:.0%} of the returns\n')
    if not arguments.no_speed:
        figures['frames a second'] = measure_fps(predictor)
    committed = committed_figures(RESULTS.read_text())
    print(target_table(figures, committed))
    fallen = fallen_behind(figures, committed) if arguments.check else []
    for line in fallen:
        print(f'below the committed figure: {line}')
    return 1 if fallen else 0


if __name__ == '__main__':
    sys.exit(main())
