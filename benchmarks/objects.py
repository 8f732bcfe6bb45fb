# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Frames a second against the number of objects: stock SAM 2, and this engine looped and batched.

    python -m benchmarks.objects [--model nano] [--objects 1 2 4 8] [--random-weights]
    python -m benchmarks.objects --model sam2.1_hiera_tiny --random-weights --device cuda

All ways track the same objects through the same 640x480 frames, with the same weights, in the same
run. A row is refused unless its masks agree with those of stock SAM 2 on the finished clip.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
import itertools
from pathlib import Path
import sys
import tempfile

from benchmarks import stock, ways
from benchmarks.clips import (
    boxes,
    covered_share,
    HW,
    lowest_overlap,
    SHORTEST_CLIP,
    write_clip,
)
from benchmarks.external import ExternalCommand, ExternalError, JobSettings, run_external
from benchmarks.machine import parser_for, prepare
from benchmarks.racing import Course, gain, Lap, race
from benchmarks.results import markdown, Result, save
from benchmarks.spread import spread
from sam2_tracker.core.command_line import positive_int
from sam2_tracker.core.config import ModelConfig

# Batching changes the order of sums: single pixels on a border may differ. In bfloat16 the sums
# themselves are rounded to 3 digits, and borders move.
TOLERATED_PX = 4
AGREED = {'float32': 0.999, 'bfloat16': 0.98}
NOTE = (
    'A frame ends when its masks are on the host. Stock on the finished clip begins with a tensor:'
    ' `init_state` has decoded, resized and normalised all frames beforehand; all others begin '
    'with RGB pixels. "from RGB" and "from JPEG" add what is missing, measured in the same run, '
    'so there all ways do the same. A gain is the median of the ratios on single frames, to '
    'stock on the finished clip as it is, and from RGB. IoU: the lowest of all frames and objects '
    "with that row's masks; below {agreed} a row is refused, unless by masks that "
    'differ in {tolerated} pixels or fewer.')


@dataclass(frozen=True)
class Row:
    """
    One way to track so many objects; times are milliseconds a frame.

    :param begins_with: what `p50_ms` begins with: a tensor, RGB pixels or a JPEG
    :param gain: against stock on the finished clip, without stock's preprocessing
    :param gain_from_rgb: with it
    :param iou: lowest IoU of any mask with stock's
    :param judged_iou: the same without masks that differ in single pixels
    :param covered: mean share of the picture that a mask covers
    """

    objects: int
    way: str
    p50_ms: float
    p95_ms: float
    begins_with: str
    from_rgb_ms: float
    from_jpeg_ms: float
    gain: float
    gain_from_rgb: float
    iou: float
    judged_iou: float
    covered: float
    device_mib: float


@dataclass(frozen=True)
class Preparation:
    """What lies before a frame's tensor, in milliseconds."""

    decoding_ms: float
    loading_ms: float

    def missing_ms(self, begins_with: str, wanted: str) -> float:
        """Return what to add to a time for it to begin with 'rgb' or 'jpeg'."""
        since_jpeg = {'jpeg': 0.0, 'rgb': self.decoding_ms, 'tensor': self.loading_ms}
        return since_jpeg[begins_with] - since_jpeg[wanted]


def to_rows(laps: Sequence[Lap], preparation: Preparation) -> list[Row]:
    """Compare laps of the same objects with the first, stock's on the finished clip."""
    reference = laps[0]
    found = []
    for lap in laps:
        begins_with = lap.begins_with
        times = spread([1000 * second for second in lap.seconds])
        to_rgb = preparation.missing_ms(begins_with, 'rgb')
        stock_rgb_s = (preparation.missing_ms(reference.begins_with, 'rgb') - to_rgb) / 1000
        found.append(Row(
            lap.objects, lap.name, times.p50, times.p95, begins_with,
            times.p50 + to_rgb, times.p50 + preparation.missing_ms(begins_with, 'jpeg'),
            gain(lap, reference), gain(lap, reference, stock_rgb_s),
            lowest_overlap(lap.masks, reference.masks),
            lowest_overlap(lap.masks, reference.masks, TOLERATED_PX),
            covered_share(lap.masks), lap.device_mib))
    return found


def refusal(row: Row, agreed: float) -> str:
    """Say why a row does not count, empty if it does."""
    if row.judged_iou < agreed:
        return (f"{row.way} with {row.objects} object(s): its masks are other than stock's, "
                f'lowest IoU {row.judged_iou:.4f}')
    if not 0 < row.covered < 1:
        return f'{row.way} with {row.objects} object(s): masks cover {row.covered:.0%}'
    return ''


def table(rows: Sequence[Row], agreed: float) -> str:
    """Return the figures as Markdown."""
    headers = ['objects', 'way', 'ms a frame, p50 / p95', 'begins with', 'from RGB', 'from JPEG',
               'frames a second, from RGB', 'gain', 'gain from RGB', 'IoU']
    weighed = any(row.device_mib for row in rows)
    lines = []
    for row in rows:
        gains = ('refused', 'refused') if refusal(row, agreed) else (
            f'{row.gain:.2f}x', f'{row.gain_from_rgb:.2f}x')
        more = [f'{row.device_mib:.0f}'] if weighed else []
        lines.append([str(row.objects), row.way, f'{row.p50_ms:.1f} / {row.p95_ms:.1f}',
                      row.begins_with, f'{row.from_rgb_ms:.1f}', f'{row.from_jpeg_ms:.1f}',
                      f'{1000 / row.from_rgb_ms:.1f}', *gains, f'{row.iou:.6f}', *more])
    if weighed:
        headers.append('device memory beside the weights, MiB')
    return markdown(headers, lines) + '\n\n' + NOTE.format(agreed=agreed, tolerated=TOLERATED_PX)


def best_of_ours(rows: Sequence[Row], agreed: float) -> dict[int, Row]:
    """Return for each number of objects this engine's fastest row that counts."""
    found: dict[int, Row] = {}
    for row in rows:
        if row.way.startswith('ours') and not refusal(row, agreed):
            found[row.objects] = max(row, found.get(row.objects, row), key=lambda one: one.gain)
    return found


def figures_of(rows: Sequence[Row], agreed: float) -> dict[str, float]:
    """Return the gains of rows that count: way, objects -> gain over stock on the clip."""
    found = {f'{row.way}, {row.objects}': row.gain for row in rows if not refusal(row, agreed)}
    for count, best in best_of_ours(rows, agreed).items():
        found[f'ours, {count}'] = best.gain
        rival = found.get(f'{ways.VOS_OPTIMIZED}, {count}')
        if rival:
            found[f'ours over vos_optimized, {count}'] = best.gain / rival
    return found


def remarks_of(rows: Sequence[Row], agreed: float) -> dict[str, str]:
    """Say which way is the fastest, and its gain with stock's preprocessing."""
    return {f'ours, {count}': f'{best.way}; from RGB {best.gain_from_rgb:.2f}x'
            for count, best in best_of_ours(rows, agreed).items()}


@dataclass(frozen=True)
class Measured:
    """Rows, and why external commands have none."""

    rows: tuple[Row, ...]
    broken: tuple[str, ...]


def measure(setting: ways.Setting, counts: Sequence[int], course: Course, folder: Path,
            external: Sequence[ExternalCommand], threads: int, hw: tuple[int, int] = HW
            ) -> Measured:
    """Measure all ways with so many objects each."""
    frames = max(SHORTEST_CLIP, course.warm_up + course.frames)
    clip = write_clip(folder / 'clip', frames, hw)
    contenders = ways.all_ways(setting)
    preparation = Preparation(stock.decoding_ms(clip.folder),
                              stock.loading_ms(setting.size, setting.model.device, clip.folder))
    job = JobSettings(course.warm_up, setting.model.name, setting.size, setting.precision,
                      setting.model.device, threads)
    rows: list[Row] = []
    broken = []
    for count in counts:
        prompts = boxes(count, hw)
        laps = race(contenders, clip, prompts, course)
        for command in external:
            try:
                laps.append(_cut(run_external(
                    command, clip, prompts, folder / f'{command.name}_{count}', job), course))
            except ExternalError as error:
                broken.append(f'{count} object(s): {error}')
        rows += to_rows(laps, preparation)
        print(f'{count} object(s) done', file=sys.stderr, flush=True)
    return Measured(tuple(rows), tuple(broken))


def _cut(lap: Lap, course: Course) -> Lap:
    """Leave out the frames that only fill a short clip up, and repeat the rest."""
    found = Lap(lap.name, lap.begins_with, lap.seconds[:course.frames] * course.rounds)
    for masks in itertools.islice(lap.masks, course.warm_up + course.frames):
        found.keep(masks)
    return found


def _frame_size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition('x')
    if not cross:
        raise argparse.ArgumentTypeError(f'{text!r} is not a size as 640x480')
    return positive_int(height), positive_int(width)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; those not given are chosen by the device."""
    parser = parser_for(__doc__)
    parser.add_argument('--model', default='nano')
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--precision', choices=sorted(AGREED),
                        help='of stock (by autocast) and ours; float32 on a CPU, else bfloat16')
    parser.add_argument('--objects', type=positive_int, nargs='+', default=[1, 2, 4, 8, 16, 32])
    parser.add_argument('--warm-up', type=positive_int, help='frames before the first that counts')
    parser.add_argument('--frames', type=positive_int, help='frames that count')
    parser.add_argument('--rounds', type=positive_int, help='how often all of it')
    parser.add_argument('--frame-size', type=_frame_size, default=HW, metavar='WIDTHxHEIGHT')
    parser.add_argument('--random-weights', action='store_true',
                        help='speed does not depend on them, and no checkpoint is needed')
    parser.add_argument('--external', action='append', default=[], metavar='NAME=COMMAND',
                        help='one more column: see benchmarks/external.py')
    options = parser.parse_args(arguments)
    cuda = options.device.startswith('cuda')
    options.precision = options.precision or ('bfloat16' if cuda else 'float32')
    # Memory is full after 6 frames; pointers, a hundredth of it, after 16.
    options.warm_up = options.warm_up or (50 if cuda else 17)
    options.frames = options.frames or (100 if cuda else 8)
    options.rounds = options.rounds or (3 if cuda else 1)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures; 1 if a row had to be refused."""
    options = parse(arguments)
    machine = prepare(options)
    config = ModelConfig(options.model, device=options.device, image_size=options.image_size)
    setting = ways.Setting(config, options.random_weights, options.precision)
    course = Course(options.device, options.warm_up, options.frames, options.rounds,
                    by_frame=not setting.is_cuda)
    external = [ExternalCommand.parse(text) for text in options.external]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(setting, options.objects, course, Path(folder), external,
                        options.threads, options.frame_size)
    ways.forget_models()
    agreed = AGREED[options.precision]
    refused = (*filter(None, (refusal(row, agreed) for row in found.rows)), *found.broken)
    return save(Result(
        f'objects_{setting.key}', 'objects', f'Objects: {setting.title}', machine,
        tuple(asdict(row) for row in found.rows), table(found.rows, agreed),
        figures_of(found.rows, agreed), remarks_of(found.rows, agreed), refused), options.results)


if __name__ == '__main__':
    raise SystemExit(main())
