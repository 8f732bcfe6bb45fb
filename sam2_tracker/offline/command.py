# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The offline command: `ros2 run sam2_tracker process`, `python -m sam2_tracker.offline`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
import signal
import sys
from types import FrameType

from sam2_tracker.core.errors import ConfigError, PromptError, TrackerError
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.plain_file import is_there, refuse_irreplaceable
from sam2_tracker.core.process import spin_briefly, take_short_turns
from sam2_tracker.core.text import counted, printable_lines
from sam2_tracker.offline.arguments import parse, Request
from sam2_tracker.offline.errors import exit_code_of, ExitCode, OutputError
from sam2_tracker.offline.run.job import Job, plan_job
from sam2_tracker.offline.run.journal import (
    damage_of_complete,
    fingerprint_of,
    Journal,
    was_interrupted,
)
from sam2_tracker.offline.run.ray_processor import RayProcessor
from sam2_tracker.offline.run.run_job import JobRun, LocalProcessor, names_in
from sam2_tracker.offline.run.run_source import Outcome, Progress
from sam2_tracker.offline.sinks.outputs import OUTPUTS
from sam2_tracker.offline.sources.detections import load_detections, RecordedDetections
from sam2_tracker.offline.sources.open_source import open_source
from tqdm import tqdm


class Terminated(KeyboardInterrupt):
    """SIGTERM came: handled as Ctrl-C is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    take_short_turns()
    spin_briefly()
    terminal = Terminal(is_quiet=False)
    try:
        request = parse(arguments)
        terminal = Terminal(request.quiet)
        with _termination_raised():
            return _run(request, terminal)
    except TrackerError as error:
        terminal.log(Level.ERROR, str(error))
        return exit_code_of(error)
    except KeyboardInterrupt as interruption:
        terminal.log(
            Level.WARN,
            'interrupted: no half output was left; the same command with --resume goes on '
            'from the last state saved',
        )
        is_terminated = isinstance(interruption, Terminated)
        return ExitCode.TERMINATED if is_terminated else ExitCode.INTERRUPTED


def _run(request: Request, terminal: Terminal) -> int:
    job = _plan(request, terminal)
    if request.resume and _is_complete(job):
        return _complete_already(job, terminal)
    _check_outputs(job, request)
    if len(job.sources) == 1:
        # Loading a model takes a while; of several sources, a bad one does not stop the others.
        open_source(job.sources[0].path, request.settings.source).close()
    outcomes = _process(job, request, terminal)
    terminal.summary(job, outcomes)
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if failed:
        return exit_code_of(failed[0])
    is_damaged = any(outcome.damage for outcome in outcomes)
    return ExitCode.DAMAGED if is_damaged else ExitCode.DONE


def _plan(request: Request, terminal: Terminal) -> Job:
    loaded = request.settings.load_memory
    known = names_in(loaded) if loaded else []
    job = plan_job(
        request.sources, request.prompts, request.outputs, request.settings, known,
        _detections(request, terminal.log))
    if not any(source.outputs.targets() for source in job.sources) and (
        request.settings.save_memory is None
    ):
        options = ', '.join(kind.option for kind in OUTPUTS)
        raise PromptError(f'there is nothing to write: give {options} or --save-memory')
    return job


def _detections(request: Request, log: Log) -> dict[Path, RecordedDetections]:
    """
    Read what a detector found in each recording.

    :raises ConfigError: if one file is given for several recordings
    :raises SourceError: if it cannot be read
    """
    what = request.detections
    if not what:
        return {}
    if len(request.sources) > 1 and Path(what).is_file():
        raise ConfigError(
            f'--detections {what} is of one recording and there are {len(request.sources)}: '
            'process each with its own file, or name a topic that all bags have')
    return {
        path: load_detections(what, path, request.settings.detections, log)
        for path in request.sources
    }


def _is_complete(job: Job) -> bool:
    """Return whether every output exists and no run that wrote them was interrupted."""
    places = [target.path for source in job.sources for target in source.outputs.targets()]
    if job.settings.save_memory is not None:
        places.append(job.settings.save_memory)
    return not was_interrupted(job.journal_folder) and all(
        is_there(place) for place in places
    )


def _complete_already(job: Job, terminal: Terminal) -> ExitCode:
    """Say that there is nothing to do, and again what the run that did it could not read."""
    terminal.log(Level.INFO, 'all outputs are complete already')
    damage = damage_of_complete(job.journal_folder)
    for sentence in damage:
        terminal.log(Level.WARN, sentence)
    return ExitCode.DAMAGED if damage else ExitCode.DONE


def _check_outputs(job: Job, request: Request) -> None:
    """Refuse places that are taken, unless an interrupted run of ours took them."""
    may_replace = request.overwrite or (request.resume and was_interrupted(job.journal_folder))
    saved = job.settings.save_memory
    if saved is not None and is_there(saved) and not may_replace:
        raise OutputError(f'output {saved} exists already: name another one or give --overwrite')
    if saved is not None:
        try:
            refuse_irreplaceable(saved)
        except OSError as error:
            raise OutputError(f'output {saved} cannot be written: {error}') from error
    for source in job.sources:
        source.check_outputs(may_replace)


def _process(job: Job, request: Request, terminal: Terminal) -> list[Outcome]:
    from sam2_tracker.models.checkpoints import find_checkpoint

    weights = find_checkpoint(job.settings.model)
    # who asked that nothing be kept need not hear that nothing could be
    log = terminal.log if job.settings.save_every_s else silent
    journal = Journal(job.journal_folder, fingerprint_of(job, weights), log)
    outcomes: list[Outcome] = []
    try:
        journal.begin(request.resume)
        with closing(_processor(job, request, terminal)) as processor:
            outcomes = JobRun(job, journal, processor, terminal.log).run()
    finally:
        is_complete = bool(outcomes) and all(outcome.error is None for outcome in outcomes)
        journal.close(is_complete)
    return outcomes


def _processor(job: Job, request: Request, terminal: Terminal) -> LocalProcessor | RayProcessor:
    if not request.ray:
        return LocalProcessor(job, terminal.log, terminal.progress)
    return RayProcessor(job, terminal.log, request.ray, request.ray_workers, request.ray_gpus)


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: with nothing half-written."""

    def on_terminate(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, on_terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
        tqdm.write(f'{prefix}{printable_lines(sentence)}', file=sys.stderr)

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
            if outcome.taught:
                failed = {failure.path for failure in outcome.failed}
                for target in places[outcome.name]:
                    if target.path not in failed:
                        print(f'  {target.path}')


def _lines(outcome: Outcome) -> list[str]:
    if not outcome.taught:
        return [f'{outcome.name}: failed: {outcome.error}']
    damage = [f'  {outcome.damage}'] if outcome.damage else []
    if outcome.report is None:
        return [f'{outcome.name}: complete already', *damage]
    report = outcome.report
    earlier = report.frames - report.computed
    resumed = f' ({earlier} of them by an earlier run)' if earlier else ''
    cuts = f', {counted(report.cuts, "cut")}' if report.cuts else ''
    lines = [
        f'{report.name}: {counted(report.frames, "frame")}{resumed} in {report.seconds:.1f} s '
        f'({report.fps:.1f} a second), {counted(len(report.visible), "object")}{cuts}',
        *damage,
    ]
    for name, frames in report.visible:
        lines.append(f'  object {name}: visible on {counted(frames, "frame")}')
    return lines + [f'  failed: {failure.error}' for failure in outcome.failed]
