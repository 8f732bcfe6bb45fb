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
from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path
import sys

from benchmarks.covered import (
    AWAY,
    away_clip,
    COVERED,
    covered_clip,
    CoveredScore,
    Plan,
    score_covered,
)
from benchmarks.davis import Score, score_frames
from benchmarks.figures import committed_figures, fallen_behind, RESULTS, target_table
from benchmarks.lookalikes import look_alike_clip
from benchmarks.overlays import write_sheet
from benchmarks.sequences import DAVIS, load_sequence, make_prompt, Mask, Picture, Sequence
from benchmarks.speed_of_engine import measure_fps
from benchmarks.tracking import read_rgb, run_engine, Track
import numpy as np
from sam2_tracker.core.command_line import positive_int, refusing
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.models.checkpoints import find_checkpoint
from sam2_tracker.models.loader import build_tracking_predictor
import torch

PROG = 'python -m benchmarks.accuracy'
KINDS = ('mask', 'box', 'click')
EXTRA = ('dogs-jump', 'chair')
LEAST_FRAMES = 3
COVERS = ('lens', 'board')
LOOK_ALIKES = 'beside look-alikes (made clips of the six)'


@dataclass(frozen=True)
class Measured:
    """Score of one sequence with one kind of prompt, the mean over its objects."""

    sequence: str
    kind: str
    score: Score


def measure_sequence(predictor: Predictor, sequence: Sequence, kind: str,
                     sheets: Path | None) -> Measured:
    """Track all objects of a sequence from prompts on its first frame, and score them."""
    pictures = [read_rgb(path) for path in sequence.frames]
    run = run_engine(predictor, pictures,
                     [make_prompt(masks[0], kind) for masks in sequence.masks])
    if sheets is not None:
        write_sheet(sheets / f'{sequence.name}_{kind}.jpg', pictures, run.tracks, sequence.masks)
    scores = [score_frames(list(track.masks), list(masks))
              for track, masks in zip(run.tracks, sequence.masks, strict=True)]
    return Measured(sequence.name, kind, mean_score(scores))


def mean_score(scores: Several[Score]) -> Score:
    """Average J and F, each by itself."""
    return Score(float(np.mean([score.region for score in scores])),
                 float(np.mean([score.contour for score in scores])))


def track_made(predictor: Predictor, clip: tuple[list[Picture], list[Mask]], kind: str,
               sheet: Path | None) -> Track:
    """Track the object of a made clip from a prompt on its first frame."""
    pictures, masks = clip
    run = run_engine(predictor, pictures, [make_prompt(masks[0], kind)])
    if sheet is not None:
        write_sheet(sheet, pictures, run.tracks, (tuple(masks),))
    return run.tracks[0]


def measure_look_alikes(predictor: Predictor, sequences: list[Sequence], kind: str,
                        sheets: Path | None) -> Measured:
    """Track each sequence's object while a copy of it passes behind; the mean of all."""
    scores = []
    for sequence in sequences:
        clip = look_alike_clip(sequence)
        track = track_made(predictor, clip, kind,
                           sheets and sheets / f'{sequence.name}_look_alike_{kind}.jpg')
        scores.append(score_frames(list(track.masks), clip[1]))
    return Measured(LOOK_ALIKES, kind, mean_score(scores))


def measure_covered(predictor: Predictor, sequences: list[Sequence],
                    sheets: Path | None) -> CoveredScore:
    """Measure states and returns while the picture or the object is covered for a moment."""
    return _measure_absence(predictor, COVERED, sheets, (
        (f'{sequence.name}_{kind}', covered_clip(sequence, kind))
        for sequence in sequences for kind in COVERS))


def measure_away(predictor: Predictor, sequences: list[Sequence],
                 sheets: Path | None) -> CoveredScore:
    """Measure states and returns with 60 frames of a board, or of the next sequence, between."""
    pairs = zip(sequences, [*sequences[1:], sequences[0]], strict=True)
    return _measure_absence(predictor, AWAY, sheets, (
        (f'{sequence.name}_away_{"board" if elsewhere is None else "elsewhere"}',
         away_clip(sequence, elsewhere))
        for sequence, following in pairs for elsewhere in (None, following)))


def _measure_absence(predictor: Predictor, plan: Plan, sheets: Path | None,
                     clips: Iterator[tuple[str, tuple[list[Picture], list[Mask]]]]
                     ) -> CoveredScore:
    score = CoveredScore(0, 0, 0, 0)
    for name, clip in clips:
        track = track_made(predictor, clip, 'mask', sheets and sheets / f'{name}.jpg')
        one = score_covered(track, clip[1], plan)
        then = f', J then {np.mean(one.overlaps):.3f}' if one.overlaps else ''
        print(f'{name}: states {one.states_right / one.frames:.2f}, found {one.found} of '
              f'{one.returns}{then}', file=sys.stderr, flush=True)
        score += one
    return score


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


def parse_arguments(line: Several[str] | None = None) -> argparse.Namespace:
    """Read the command line, and refuse what would be found out after minutes, or never."""
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__,
        epilog='Example: python -m benchmarks.accuracy --sequences dog,libby --frames 40')
    parser.add_argument('--model', default='nano')
    parser.add_argument('--checkpoint', type=Path)
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threads', type=positive_int, default=2)
    parser.add_argument('--sequences', default=','.join(DAVIS + EXTRA))
    parser.add_argument('--prompts', default=','.join(KINDS))
    parser.add_argument('--frames', type=int, help='only the first so many of each sequence')
    parser.add_argument('--no-made', action='store_true',
                        help='leave out the clips with covers, long absences and look-alikes')
    parser.add_argument('--no-speed', action='store_true')
    parser.add_argument('--sheets', type=Path, help='folder for pictures of the masks')
    parser.add_argument('--check', action='store_true',
                        help='exit 1 if a figure is below the last one in training/RESULTS.md')
    arguments = parser.parse_args(line)
    for kind in arguments.prompts.split(','):
        if kind not in KINDS:
            parser.error(f'--prompts takes some of {",".join(KINDS)}, not {kind!r}')
    if arguments.frames is not None and arguments.frames < LEAST_FRAMES:
        parser.error(f'--frames must be {LEAST_FRAMES} or more, as the first and the last are not '
                     f'scored, not {arguments.frames}')
    if arguments.check and arguments.frames is not None:
        parser.error('--check compares with figures of whole sequences: leave --frames out')
    return arguments


def measure_all(predictor: Predictor, arguments: argparse.Namespace,
                sequences: list[Sequence]) -> Iterator[Measured]:
    """Measure every sequence with every prompt, telling of each on standard error."""
    six = usable_for_made(sequences)
    for kind in arguments.prompts.split(','):
        for sequence in sequences:
            yield _told(measure_sequence(predictor, sequence, kind, arguments.sheets))
        if six and not arguments.no_made:
            yield _told(measure_look_alikes(predictor, six, kind, arguments.sheets))


def _told(measured: Measured) -> Measured:
    print(f'{measured.sequence}, {measured.kind}: J {measured.score.region:.3f} '
          f'F {measured.score.contour:.3f}', file=sys.stderr, flush=True)
    return measured


def usable_for_made(sequences: list[Sequence]) -> list[Sequence]:
    """Pick those of the six that clips can be made of: a clip takes 40 frames."""
    return [sequence for sequence in sequences
            if sequence.name in DAVIS and len(sequence.frames) >= COVERED.length]


def mean_figures(rows: Several[Measured]) -> dict[str, float]:
    """Sum rows up: the six by prompt, and what is harder over all prompts."""
    figures = {}
    for kind in KINDS:
        means = [row.score.mean for row in rows if row.kind == kind and row.sequence in DAVIS]
        if means:
            figures[f'J&F, {kind}'] = float(np.mean(means))
    for name, figure in (*((name, f'J&F, {name}') for name in EXTRA),
                         (LOOK_ALIKES, 'J&F beside a look-alike')):
        means = [row.score.mean for row in rows if row.sequence == name]
        if means:
            figures[figure] = float(np.mean(means))
    return figures


def made_figures(predictor: Predictor, sequences: list[Sequence],
                 sheets: Path | None) -> dict[str, float]:
    """Measure clips in which the object is hidden, for a moment and for long."""
    covered = measure_covered(predictor, sequences, sheets)
    away = measure_away(predictor, sequences, sheets)
    print(f'found again after a cover: {covered.found / covered.returns:.0%} of the returns; '
          f'after 60 frames: {away.found / away.returns:.0%}\n')
    return {'states right in covered clips': covered.states_right / covered.frames,
            'states right with 60 frames away': away.states_right / away.frames,
            'J after 60 frames away': float(np.mean(away.overlaps))}


def speed_figures(predictor: Predictor, threads: int) -> dict[str, float]:
    """Measure frames a second in one thread, and in as many as the run has."""
    torch.set_num_threads(1)
    figures = {'frames a second, one thread': measure_fps(predictor)}
    torch.set_num_threads(threads)
    return {**figures, 'frames a second': measure_fps(predictor)}


def main(line: Several[str] | None = None) -> int:
    """Measure as the command line says; 1 if a figure fell under ``--check``, 2 if it can't."""
    arguments = parse_arguments(line)
    torch.set_num_threads(arguments.threads)
    config = ModelConfig(name=arguments.model, checkpoint=arguments.checkpoint,
                         device=arguments.device, image_size=arguments.image_size)
    with refusing(PROG):
        find_checkpoint(config)
        sequences = [load_sequence(name) for name in arguments.sequences.split(',')]
        predictor = build_tracking_predictor(config)
    if arguments.frames:
        sequences = [sequence.first(arguments.frames) for sequence in sequences]
    rows = list(measure_all(predictor, arguments, sequences))
    figures = {'size of the weights, MB': find_checkpoint(config).stat().st_size / 1e6,
               **mean_figures(rows)}
    print(f'\n{score_table(rows)}\n')
    six = usable_for_made(sequences)
    if six and not arguments.no_made:
        figures |= made_figures(predictor, six, arguments.sheets)
    if not arguments.no_speed:
        figures |= speed_figures(predictor, arguments.threads)
    committed = committed_figures(RESULTS.read_text())
    print(target_table(figures, committed))
    fallen = fallen_behind(figures, committed) if arguments.check else []
    for line in fallen:
        print(f'below the committed figure: {line}')
    return 1 if fallen else 0


if __name__ == '__main__':
    sys.exit(main())
