# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Look-alikes, long absences and cuts: what each memory policy makes of them.

    python -m benchmarks.robustness [cuts | doubt] [--quick] [--policies stock] [--write]

Clips are made of the development sequences by a seed; 0 to 9 are for choosing settings, 100 to 129
are reported. Results are kept clip by clip in results/robustness.jsonl, and a run that was
interrupted goes on where it was; --write puts the tables into docs/memory.md. `cuts` follows
things through the demo's montage, `doubt` holds what is doubted against the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
import functools
import json
from pathlib import Path
import re
import statistics
import sys
import time

from benchmarks.beliefs import cuts_report, doubt_report
from benchmarks.covered import FOUND_OVERLAP
from benchmarks.davis import region_overlap
from benchmarks.hard_clips import hard_clip, KINDS, Shot
from benchmarks.machine import Conditions, parser_for, prepare, ROOT, synchronise
from benchmarks.results import markdown
from benchmarks.sequences import data_root, DAVIS, load_sequence, make_prompt, Mask
from benchmarks.tracking import read_rgb
import numpy as np
from PIL import Image
from sam2_tracker.core.config import ModelConfig, PARAMETERS
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Wanted
from sam2_tracker.models.loader import build_predictor

PAGE = ROOT / 'docs' / 'memory.md'
POLICIES = PARAMETERS['tracking.memory'].choices
REPORTED = range(100, 130)
_REPORTS = {'cuts': cuts_report, 'doubt': doubt_report}
_QUICK = ('crosses', 'stays beside', 'hidden 10')
# An object counts as found again by then.
FRAMES_TO_RETURN = 20
# Films of which the bundled model learnt nothing, with things that look alike.
_HELD_BACK = ('samlabeler_salmon_*', 'samlabeler_shoal_*', 'pandads_panda_*',
              'genomnimatte-site_five-beagles', 'genomnimatte-site_puppy-walk',
              'cdnet_highway_*', 'groundedsam2_car_*')
_LONGEST_FILM = 120
_MASKS = Wanted(label_image=False, masks=True)


@dataclass(frozen=True)
class Row:
    """
    What became of one object in one clip.

    :ivar key: clip, policy and weights
    :ivar overlap: the mean IoU over the frames on which it can be seen
    :ivar swaps: how often the mask went over to the look-alike
    :ivar false_visible: frames on which it was called visible while it could not be seen
    :ivar hidden: frames on which it could not be seen, but for the first of a time
    :ivar frames_to_find: after it was back, None where it was not found or never away
    :ivar returned: whether it was away
    :ivar anchors: tracked frames that were remembered as anchors
    """

    key: str
    kind: str
    clip: str
    policy: str
    overlap: float
    swaps: int
    false_visible: int
    hidden: int
    frames_to_find: int | None
    returned: bool
    ms: float
    anchors: int


@dataclass(frozen=True)
class Case:
    """
    One clip.

    :ivar objects: for each object its shots; all have the same pictures
    """

    kind: str
    name: str
    shots: Callable[[], Iterator[Sequence[Shot]]]


def made_cases(seeds: Iterable[int], kinds: Iterable[str]) -> Iterator[Case]:
    """Yield the generated clips."""
    for seed in seeds:
        for kind in kinds:
            yield Case(kind, f'{kind} {seed}', functools.partial(_made, kind, seed))


def _made(kind: str, seed: int) -> Iterator[Sequence[Shot]]:
    return ([shot] for shot in hard_clip(kind, seed))


def real_cases() -> Iterator[Case]:
    """Yield the development sequences, and look-alikes that the bundled model never saw."""
    for name in (*DAVIS, 'chair', 'dogs-jump'):
        yield Case('development', name, functools.partial(_sequence, name))
    films = data_root() / 'train' / 'video'
    for pattern in _HELD_BACK:
        for folder in sorted(films.glob(pattern)):
            yield Case('real look-alikes', folder.name, functools.partial(_film, folder))


def _sequence(name: str) -> Iterator[Sequence[Shot]]:
    sequence = load_sequence(name)
    for path, *masks in zip(sequence.frames, *sequence.masks, strict=True):
        rgb = read_rgb(path)
        yield [Shot(rgb, mask, np.zeros_like(mask)) for mask in masks]


def _film(folder: Path) -> Iterator[Sequence[Shot]]:
    """Yield the frames of a film; the other objects are what must not be taken for one."""
    paths = sorted(folder.glob('*.png'))[:_LONGEST_FILM]
    ids = [int(each) for each in np.unique(np.asarray(Image.open(paths[0]))) if each]
    for path in paths:
        labels = np.asarray(Image.open(path))
        rgb = read_rgb(path.with_suffix('.jpg'))
        yield [Shot(rgb, labels == each, (labels > 0) & (labels != each)) for each in ids]


def run_case(predictor: Predictor, case: Case, policy: str, weights: str) -> list[Row]:
    """Prompt every object of a clip on its first frame by its mask, and follow it to the end."""
    scores: list[_Score] = []
    memories, seconds = [], []
    for index, shots in enumerate(case.shots()):
        rgb = shots[0].rgb
        size = rgb.shape[0], rgb.shape[1]
        features = predictor.encode(rgb)
        if index == 0:
            memories = [predictor.new_memory(size) for _ in shots]
            scores = [_Score() for _ in shots]
            for memory, shot in zip(memories, shots, strict=True):
                predictor.prompt(memory, 0, features, make_prompt(shot.truth, 'mask'), False)
        synchronise(predictor.device)
        begun_s = time.perf_counter()
        outputs = predictor.track([TrackStep(memory, index, features) for memory in memories])
        for memory in memories:
            memory.prune(index, 0)
        synchronise(predictor.device)
        seconds.append(time.perf_counter() - begun_s)
        shown = predictor.summarise(outputs, range(1, len(shots) + 1), size, _MASKS)
        for score, memory, *found in zip(scores, memories, shots, shown.masks, shown.objects,
                                         strict=True):
            score.anchors |= memory.anchors.keys()
            score.add(found[0], found[1], found[2].visible)
    ms = 1000 * statistics.median(seconds[1:]) / len(memories)
    return [score.row(f'{case.name} {policy} {weights}', case, policy, ms) for score in scores]


class _Score:
    """One object's frames so far."""

    def __init__(self) -> None:
        self.anchors: set[int] = set()
        self._overlaps: list[float] = []
        self._swaps = self._false_visible = self._hidden = 0
        self._is_on_other = self._was_hidden = self._returned = False
        self._back = 0
        self._found: int | None = None

    def add(self, shot: Shot, mask: Mask, visible: bool) -> None:
        """Take in a frame's mask."""
        if shot.truth.any():
            self._seen(region_overlap(mask, shot.truth))
            on_other = bool((mask & shot.look_alike).sum() > (mask & shot.truth).sum())
            self._swaps += on_other and not self._is_on_other
            self._is_on_other = on_other
        else:
            # On the first frame the model can't know better than the frame before.
            self._hidden += self._was_hidden
            self._false_visible += visible and self._was_hidden
            self._back, self._found = 0, None
        self._was_hidden = not shot.truth.any()

    def _seen(self, overlap: float) -> None:
        self._overlaps.append(overlap)
        self._returned |= self._was_hidden
        if self._returned and self._found is None:
            self._back += 1
            if overlap >= FOUND_OVERLAP:
                self._found = self._back

    def row(self, key: str, case: Case, policy: str, ms: float) -> Row:
        """Return all figures."""
        # The first frame was given.
        overlap = statistics.fmean(self._overlaps[1:])
        return Row(key, case.kind, case.name, policy, overlap, self._swaps, self._false_visible,
                   self._hidden, self._found, self._returned, ms, len(self.anchors))


def run_all(cases: Iterable[Case], predictors: dict[str, Predictor], journal: Path) -> list[Row]:
    """Run what no earlier run has done, and return the rows of all."""
    known: dict[str, list[Row]] = {}
    if journal.exists():
        for line in journal.read_text().splitlines():
            row = Row(**json.loads(line))
            known.setdefault(row.key, []).append(row)
    rows = []
    for case in cases:
        for policy, predictor in predictors.items():
            weights = predictor.fingerprint()[:12]
            key = f'{case.name} {policy} {weights}'
            if key not in known:
                known[key] = run_case(predictor, case, policy, weights)
                with journal.open('a') as lines:
                    lines.writelines(json.dumps(asdict(row)) + '\n' for row in known[key])
                print(f'{key}: J {_mean(known[key], "overlap"):.3f}', file=sys.stderr, flush=True)
            rows += known[key]
    return rows


def _mean(rows: Sequence[Row], name: str) -> float:
    return statistics.fmean(getattr(row, name) for row in rows)


def table(rows: Sequence[Row]) -> str:
    """Lay the figures of each kind of clip and policy out as Markdown."""
    headers = ['clips', 'policy', 'objects', 'J', 'swaps', 'false visible', 'found again',
               'frames until found', 'anchors', 'ms']
    cells = []
    for kind in dict.fromkeys(row.kind for row in rows):
        for policy in dict.fromkeys(row.policy for row in rows):
            own = [row for row in rows if (row.kind, row.policy) == (kind, policy)]
            if own:
                cells.append([kind, policy, *_cells(own)])
    return markdown(headers, cells)


def _cells(rows: Sequence[Row]) -> list[str]:
    hidden, returned = sum(row.hidden for row in rows), [row for row in rows if row.returned]
    found = [row.frames_to_find for row in returned if row.frames_to_find is not None]
    in_time = sum(frames <= FRAMES_TO_RETURN for frames in found)
    return [str(len(rows)), f'{_mean(rows, "overlap"):.3f}', str(sum(row.swaps for row in rows)),
            f'{sum(row.false_visible for row in rows) / hidden:.0%}' if hidden else '-',
            f'{in_time / len(returned):.0%}' if returned else '-',
            f'{statistics.median(found):.0f}' if found else '-',
            f'{_mean(rows, "anchors"):.1f}', f'{statistics.median(row.ms for row in rows):.1f}']


def report(rows: Sequence[Row], conditions: Conditions) -> str:
    """Return the table, and what has to be said with it."""
    return (f'{conditions.sentence}\n\n{table(rows)}\n\n'
            f'J: mean IoU where the object can be seen. Swaps: times that the mask went over to a '
            f'look-alike. False visible: share of the hidden frames, but for the first, on which '
            f'the object was called visible. Found again: IoU of {FOUND_OVERLAP} within '
            f'{FRAMES_TO_RETURN} frames; the frames are the median of those found at all. ms: '
            f'tracking of one object a frame, the median.')


def write(page: Path, text: str, what: str = 'robustness') -> None:
    """
    Put the tables into a page, between its markers.

    :raises ValueError: if it has none
    """
    before = page.read_text()
    after, places = re.subn(rf'(<!-- figures: {what} -->\n).*?(<!-- end of figures -->)',
                            lambda match: f'{match[1]}\n{text}\n\n{match[2]}', before,
                            flags=re.DOTALL)
    if not places:
        raise ValueError(f'{page} has no place for the table')
    page.write_text(after)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_for(__doc__)
    parser.add_argument('what', nargs='?', choices=('policies', *_REPORTS), default='policies')
    parser.add_argument('--model', default='nano')
    parser.add_argument('--checkpoint', type=Path)
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--policies', nargs='+', choices=POLICIES, default=POLICIES)
    parser.add_argument('--kinds', nargs='+', choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument('--seeds', type=int, nargs=2, metavar=('FIRST', 'LAST'),
                        default=(REPORTED[0], REPORTED[-1]))
    parser.add_argument('--no-real', action='store_true', help='generated clips only')
    parser.add_argument('--quick', action='store_true', help='one seed of three kinds')
    parser.add_argument('--write', action='store_true', help=f'the tables into {PAGE.name}')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says."""
    options = parse_arguments(arguments)
    conditions = prepare(options)
    if options.what != 'policies':
        text = f'{conditions.sentence}\n\n{_REPORTS[options.what](options.policies[0])}'
        print(text)
        if options.write:
            write(PAGE, text, options.what)
        return 0
    config = ModelConfig(options.model, options.checkpoint, options.device,
                         image_size=options.image_size)
    model = build_predictor(config)
    predictors = {name: Predictor(model, memory=name) for name in options.policies}
    seeds = range(options.seeds[0], options.seeds[1] + 1)
    kinds = _QUICK if options.quick else options.kinds
    cases = list(made_cases(seeds[:1] if options.quick else seeds, kinds))
    if not (options.quick or options.no_real):
        cases += real_cases()
    options.results.mkdir(parents=True, exist_ok=True)
    rows = run_all(cases, predictors, options.results / 'robustness.jsonl')
    text = report(rows, conditions)
    print(text)
    if options.write:
        write(PAGE, text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
