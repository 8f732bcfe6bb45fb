# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What was asked for, what was measured: met, not met, or not measured here.

    python -m benchmarks.targets

Reads the tables' JSON in `benchmarks/results/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Target
from benchmarks.machine import parser_of_results
from benchmarks.results import load_some, markdown, Result
from sam2_tracker.core.command_line import refusing

_TINY = 'sam2.1_hiera_tiny'
_CUDA = f'objects_{_TINY}_1024_bfloat16_cuda'
_CUDA_NOTE = 'needs `python -m benchmarks --device cuda` on a GPU'


@dataclass(frozen=True)
class SpeedTarget:
    """
    A target and where its figure is.

    :param result: file of the table that measures it
    :param figure: its name there
    :param limit: result and figure of the most that is possible, which is shown beside it
    """

    target: Target
    result: str
    figure: str
    unit: str = ''
    remark: str = ''
    limit: tuple[str, str] | None = None


def _difference(objects: int) -> list[SpeedTarget]:
    what = f'batched against looped, {objects} objects'
    return [
        SpeedTarget(Target(f'{what}: difference of logits, one pass', 1e-4, at_most=True),
                    'exactness_cpu', f'one pass, {objects}'),
        SpeedTarget(Target(f'{what}: difference of logits, whole run', 1e-4, at_most=True),
                    'exactness_cpu', f'difference, {objects}'),
        SpeedTarget(Target(f'{what}: lowest IoU, whole run', 1.0), 'exactness_cpu',
                    f'iou, {objects}')]


def _gain(objects: int, wanted: float, precision: str) -> SpeedTarget:
    key = f'{_TINY}_512_{precision}_cpu'
    return SpeedTarget(
        Target(f'CPU, tiny at 512, {precision}, {objects} object(s): gain over stock on the clip',
               wanted), f'objects_{key}', f'ours, {objects}', 'x',
        limit=(f'stages_{key}', f'limit, {objects}'))


def _cuda_gain(what: str, figure: str, wanted: float) -> SpeedTarget:
    return SpeedTarget(Target(f'CUDA, tiny at 1024, bfloat16, {what}', wanted), _CUDA, figure,
                       'x', _CUDA_NOTE)


TARGETS: tuple[SpeedTarget, ...] = (
    *(each for objects in (2, 5, 16) for each in _difference(objects)),
    *(_gain(objects, wanted, precision) for precision in ('float32', 'bfloat16')
      for objects, wanted in ((1, 1.15), (8, 1.8))),
    _cuda_gain('1 object: gain over stock on the clip', 'ours, 1', 2.5),
    _cuda_gain('1 object: gain over vos_optimized', 'ours over vos_optimized, 1', 1.0),
    _cuda_gain('16 objects: gain over stock on the clip', 'ours, 16', 12.0),
    SpeedTarget(Target('nano in the running node, 640x480, one object, label image: frames a '
                       'second', 15.0), 'node_cpu', 'fps'),
    SpeedTarget(Target('node overhead at 640x480, p95, ms', 10.0, at_most=True), 'node_cpu',
                'overhead p95'),
    SpeedTarget(Target('memory slope, KiB a frame', 1.0, at_most=True), 'memory_cpu', 'slope'),
    SpeedTarget(Target("offline command, share of the engine's own frames a second", 0.9),
                'offline', 'share'),
)


@dataclass(frozen=True)
class Verdict:
    """One line of the table; `figure` is None where nothing was measured."""

    target: SpeedTarget
    figure: float | None
    remark: str

    @property
    def word(self) -> str:
        """Return met, not met or not measured here."""
        if self.figure is None:
            return 'not measured here'
        return 'met' if self.target.target.met(self.figure) else '**not met**'


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Hold all results against all targets."""
    by_name = {result.name: result for result in results}
    return [_judge(target, by_name) for target in TARGETS]


def _judge(target: SpeedTarget, by_name: dict[str, Result]) -> Verdict:
    result = by_name.get(target.result)
    figure = result.figures.get(target.figure) if result else None
    remarks = []
    if result is None or figure is None:
        remarks.append(target.remark or f'no figure in results/{target.result}.json')
    else:
        remarks += filter(None, [result.remarks.get(target.figure, '')])
    limit = target.limit and by_name.get(target.limit[0])
    if target.limit and limit and target.limit[1] in limit.figures:
        remarks.append('the arithmetic allows at most '
                       f'{limit.figures[target.limit[1]]:.2f}x on this machine')
    if result is not None:
        remarks.append(result.conditions.date)
    return Verdict(target, figure, '; '.join(remarks))


def table(results: Sequence[Result]) -> str:
    """Return all targets as Markdown."""
    lines = []
    for verdict in judge(results):
        target = verdict.target.target
        unit = verdict.target.unit
        sign = 'at most' if target.at_most else 'at least'
        figure = '' if verdict.figure is None else f'{_short(verdict.figure)}{unit}'
        lines.append([target.name, f'{sign} {target.wanted:g}{unit}', figure, verdict.word,
                      verdict.remark])
    return markdown(['target', 'wanted', 'measured', '', 'remark'], lines)


def _short(figure: float) -> str:
    if figure and abs(figure) < 0.01:
        return f'{figure:.1e}'
    return f'{figure:.6f}' if 0.99 < figure < 1 else f'{figure:.2f}'


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = parser_of_results(__doc__)
    options = parser.parse_args(arguments)
    with refusing(parser.prog):
        results = load_some(options.results)
    print('### Targets\n\n' + table(results))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
