# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What a person at a terminal sees: a progress bar, log lines, a summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import sys

from tqdm import tqdm

from sam2_tracker.core.log import Level
from sam2_tracker.offline.run.job import Job
from sam2_tracker.offline.run.report import counted
from sam2_tracker.offline.run.run_job import Outcome
from sam2_tracker.offline.run.run_source import Progress


class Terminal:
    """
    Writes to standard error; only the summary goes to standard output.

    :param is_quiet: errors and warnings only
    """

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet

    def log(self, level: Level, sentence: str) -> None:
        """Write a line above the progress bar."""
        if level is Level.INFO and self._is_quiet:
            return
        prefix = '' if level is Level.INFO else f'{level.value}: '
        tqdm.write(f'{prefix}{sentence}', file=sys.stderr)

    def progress(self, name: str) -> Progress:
        """Return what shows a recording's progress: frames, frames a second, time left."""

        def begin(frame_count: int | None) -> Callable[[], None]:
            # None leaves the bar out where standard error is no terminal.
            bar = tqdm(
                total=frame_count,
                desc=name,
                unit=' frames',
                file=sys.stderr,
                disable=True if self._is_quiet else None,
                dynamic_ncols=True,
            )
            return lambda: self._advance(bar, frame_count)

        return begin

    @staticmethod
    def _advance(bar: tqdm[object], frame_count: int | None) -> None:
        bar.update()
        if bar.n == frame_count:
            bar.close()

    def summary(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        """Say what became of every recording and where its outputs are."""
        if self._is_quiet:
            return
        places = {source.name: source.outputs.targets() for source in job.sources}
        for outcome in outcomes:
            for line in _lines(outcome):
                print(line)
            if outcome.error is None:
                for target in places[outcome.name]:
                    print(f'  {target.path}')


def _lines(outcome: Outcome) -> list[str]:
    if outcome.error is not None:
        return [f'{outcome.name}: failed: {outcome.error}']
    if outcome.report is None:
        return [f'{outcome.name}: complete already']
    report = outcome.report
    earlier = report.frames - report.computed
    resumed = f' ({earlier} of them by an earlier run)' if earlier else ''
    lines = [
        f'{report.name}: {counted(report.frames, "frame")}{resumed} in {report.seconds:.1f} s '
        f'({report.fps:.1f} a second), {counted(len(report.visible), "object")}'
    ]
    for name, frames in report.visible:
        lines.append(f'  object {name}: visible on {counted(frames, "frame")}')
    return lines
