# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Look-alikes, long absences and cuts: what each memory policy makes of them.

    python -m benchmarks.robustness [cuts | doubt] [--quick] [--policies stock] [--write]

Clips are made of the development sequences by a seed; 0 to 9 are for choosing settings, 100 to 129
are reported. Results are kept clip by clip in results/robustness.jsonl, and a run that was
interrupted goes on where it was; --write puts the tables into docs/memory.md, of what there is
with --no-run. `cuts` follows
things through the demo's montage, `doubt` holds what is doubted against the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
import functools
import json
from pathlib import Path
import re
import statistics
import sys

from benchmarks.beliefs import cuts_report, doubt_report
from benchmarks.covered import FOUND_OVERLAP
from benchmarks.davis import region_overlap
from benchmarks.hard_clips import hard_clip, KINDS, Shot
from benchmarks.machine import Conditions, parser_for, prepare, ROOT
from benchmarks.policy_speeds import speed_table, speeds
from benchmarks.results import markdown
from benchmarks.sequences import data_root, DAVIS, load_sequence, Mask
from benchmarks.side_by_side import EncodedPictures, SideBySide
from benchmarks.tracking import read_rgb
import numpy as np
from PIL import Image
from sam2_tracker.core.config import ModelConfig, PARAMETERS
from sam2_tracker.core.engine.memory.entry import Trust
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.types import Wanted
from sam2_tracker.models.loader import build_predictor
from sam2_tracker.offline.sources.video import VideoSource

PAGE = ROOT / 'docs' / 'memory.md'
POLICIES = PARAMETERS['tracking.memory'].choices
REPORTED = range(100, 130)
_REPORTS = {'cuts': cuts_report, 'doubt': doubt_report}
# So many kinds are run for all seeds before the others are.
_IMPORTANT = 4
_QUICK = ('crosses', 'stays beside', 'hidden 10')
# An object counts as found again by then.
FRAMES_TO_RETURN = 20
# Films of which the bundled model learnt nothing, with things that look alike.
_HELD_BACK = ('samlabeler_salmon_*', 'samlabeler_shoal_*', 'pandads_panda_*',
              'genomnimatte-site_five-beagles', 'genomnimatte-site_puppy-walk',
              'cdnet_highway_*', 'groundedsam2_car_*')
_LONGEST_FILM, _MOST_IN_FILM = 50, 3
_MASKS = Wanted(label_image=False, masks=True)


@dataclass(frozen=True)
class Row:
    """
    What became of one object in one clip.

    :ivar key: clip, policy and setting, as `setting_of` names it
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
    """Yield the generated clips, those of one seed after the other."""
    for seed in seeds:
        for kind in kinds:
            yield Case(kind, f'{kind} {seed}', functools.partial(_made, kind, seed))


def _made(kind: str, seed: int) -> Iterator[Sequence[Shot]]:
    return ([shot] for shot in hard_clip(kind, seed))


def _cases(seeds: Sequence[int], kinds: Sequence[str], real: bool) -> Iterator[Case]:
    """Yield all clips, those first that most depends on: a run may be ended early."""
    if real:
        yield from development_cases()
    for few in (kinds[:_IMPORTANT], kinds[_IMPORTANT:]):
        yield from made_cases(seeds, few)
    if real:
        yield from film_cases()


def development_cases() -> Iterator[Case]:
    """Yield the development sequences."""
    for name in (*DAVIS, 'chair', 'dogs-jump'):
        kind = 'development' if name in DAVIS else name
        yield Case(kind, name, functools.partial(_sequence, name))


def film_cases() -> Iterator[Case]:
    """Yield films of look-alikes that the bundled model never saw."""
    films = data_root() / 'train' / 'video'
    for pattern in _HELD_BACK:
        for folder in sorted(films.glob(pattern)):
            yield Case('real look-alikes', folder.name, functools.partial(_film, folder))


def _sequence(name: str) -> Iterator[Sequence[Shot]]:
    sequence = load_sequence(name)
    for path, *masks in zip(sequence.frames, *sequence.masks, strict=True):
        rgb = read_rgb(path)
        anything = np.any(masks, axis=0)
        yield [Shot(rgb, mask, anything & ~mask) for mask in masks]


def _film(folder: Path) -> Iterator[Sequence[Shot]]:
    """
    Yield the frames of a film, with its largest objects.

    All others are what must not be taken for one.
    """
    paths = sorted(folder.glob('*.png'))[:_LONGEST_FILM]
    areas = np.bincount(np.asarray(Image.open(paths[0])).ravel())
    areas[0] = 0
    ids = np.argsort(-areas, kind='stable')[:min(_MOST_IN_FILM, np.count_nonzero(areas))]
    # Where a film is longer, the rest of it is not looked at.
    for path, frame in zip(paths, VideoSource(folder / 'video.mp4').frames(), strict=False):
        labels = np.asarray(Image.open(path))
        yield [Shot(frame.image_rgb, labels == each, (labels > 0) & (labels != each))
               for each in ids]


def run_case(case: Case, pictures: EncodedPictures, side_by_side: SideBySide,
             predictor: Predictor, setting: str) -> dict[str, list[Row]]:
    """
    Prompt every object of a clip on its first frame by its mask, and follow it to the end.

    :param predictor: one of those whose policies are compared
    :returns: for each policy a row an object
    """
    scores: list[dict[str, _Score]] = []
    for index, shots in enumerate(case.shots()):
        rgb = shots[0].rgb
        features = pictures(rgb)
        if index == 0:
            side_by_side.begin(features, [shot.truth for shot in shots])
            scores = [{name: _Score() for name in memories} for memories in side_by_side.memories]
        found = side_by_side.track(index, features)
        shown = predictor.summarise(found.outputs, range(1, len(found.outputs) + 1),
                                    (rgb.shape[0], rgb.shape[1]), _MASKS)
        for shot, own, places in zip(shots, scores, found.places, strict=True):
            for name, place in places.items():
                own[name].add(shot, shown.masks[place], shown.objects[place].visible)
    return {name: [own[name].row(f'{case.name} {name} {setting}', case, name,
                                 len(memories[name].anchors))
                   for own, memories in zip(scores, side_by_side.memories, strict=True)]
            for name in scores[0]}


class _Score:
    """One object's frames so far."""

    def __init__(self) -> None:
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

    def row(self, key: str, case: Case, policy: str, anchors: int) -> Row:
        """Return all figures."""
        # The first frame was given.
        overlap = statistics.fmean(self._overlaps[1:])
        return Row(key, case.kind, case.name, policy, overlap, self._swaps, self._false_visible,
                   self._hidden, self._found, self._returned, anchors)


def setting_of(predictor: Predictor, trust: Trust) -> str:
    """Name what a figure holds for: weights, the input's size and what policies rely on."""
    relied_on = ' '.join(f'{value:g}' for value in astuple(trust))
    return f'{predictor.fingerprint()[:12]} {predictor.image_size} px, trust {relied_on}'


def run_all(cases: Iterable[Case], predictors: dict[str, Predictor], setting: str, journal: Path,
            run: bool = True) -> list[Row]:
    """
    Run what no earlier run has done, and return the rows of all.

    :param setting: what :func:`setting_of` says of the predictors
    :param run: False: return what there is
    """
    known = _read(journal)
    first = next(iter(predictors.values()))
    pictures = EncodedPictures(first)
    rows = []
    for case in cases:
        keys = {policy: f'{case.name} {policy} {setting}' for policy in predictors}
        missing = {policy: predictors[policy] for policy, key in keys.items() if key not in known}
        if missing and run:
            found = run_case(case, pictures, SideBySide(missing), first, setting)
            with journal.open('a') as lines:
                for policy, own in found.items():
                    known[keys[policy]] = own
                    lines.writelines(json.dumps(asdict(row)) + '\n' for row in own)
            print(f'{case.name}: J ' + ', '.join(
                f'{policy} {_mean(known[key], "overlap"):.3f}' for policy, key in keys.items()),
                file=sys.stderr, flush=True)
        rows += [row for key in keys.values() for row in known.get(key, ())]
    return rows


def _read(journal: Path) -> dict[str, list[Row]]:
    known: dict[str, list[Row]] = {}
    if journal.exists():
        for line in journal.read_text().splitlines():
            row = Row(**json.loads(line))
            known.setdefault(row.key, []).append(row)
    return known


def _mean(rows: Sequence[Row], name: str) -> float:
    return statistics.fmean(getattr(row, name) for row in rows)


def table(rows: Sequence[Row]) -> str:
    """Lay the figures of each kind of clip and policy out as Markdown."""
    headers = ['clips', 'policy', 'objects', 'J', 'swaps', 'false visible', 'found again',
               'frames until found', 'anchors']
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
            f'{_mean(rows, "anchors"):.1f}']


def report(rows: Sequence[Row], conditions: Conditions, taken: Mapping[str, float],
           setting: str) -> str:
    """Return the tables, and what has to be said with them."""
    return (f'{conditions.sentence} Weights {setting}.\n\n{table(rows)}\n\n'
            f'J: mean IoU where the object can be seen. Swaps: times that the mask went over to a '
            f'look-alike. False visible: share of the hidden frames, but for the first, on which '
            f'the object was called visible. Found again: IoU of {FOUND_OVERLAP} within '
            f'{FRAMES_TO_RETURN} frames; the frames are the median of those found at all.\n\n'
            f'{speed_table(taken)}\n\nms: tracking one object onto a frame, without the '
            f"picture's encoding, which is the same for all.")


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
    parser.add_argument('--no-run', action='store_true', help='tables of what was run before')
    parser.add_argument('--write', action='store_true', help=f'the tables into {PAGE.name}')
    options = parser.parse_args(arguments)
    if options.seeds[0] > options.seeds[1]:
        parser.error(f'--seeds takes the first and the last, not {options.seeds}')
    return options


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
    cases = list(_cases(seeds[:1], _QUICK, False) if options.quick
                 else _cases(seeds, options.kinds, not options.no_real))
    options.results.mkdir(parents=True, exist_ok=True)
    setting = setting_of(next(iter(predictors.values())), model.trust)
    rows = run_all(cases, predictors, setting, options.results / 'robustness.jsonl',
                   not options.no_run)
    text = report(rows, conditions, speeds(predictors), setting)
    print(text)
    if options.write:
        write(PAGE, text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
