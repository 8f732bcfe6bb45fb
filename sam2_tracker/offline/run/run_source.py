# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Take one recording from its first frame to its finished outputs, and say what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
import shutil
import time
from typing import TYPE_CHECKING

from sam2_tracker.core.errors import ModelError, TrackerError
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.types import ObjectState, Wanted
from sam2_tracker.offline.run.both_ways import BothWays
from sam2_tracker.offline.run.clip import Clip
from sam2_tracker.offline.run.clip_detections import ClipDetections
from sam2_tracker.offline.run.clip_prompts import ClipPrompts
from sam2_tracker.offline.run.job import Direction, Settings, SourceJob
from sam2_tracker.offline.run.saved_progress import SavedProgress
from sam2_tracker.offline.run.threads import ReadAhead, WriteBehind
from sam2_tracker.offline.sinks.outputs import Recording
from sam2_tracker.offline.sinks.sink import Failure, Result, SinkSet
from sam2_tracker.offline.sources.open_source import open_source
from sam2_tracker.offline.sources.timeline import TimedFrame, Timeline

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor

# Frames in memory at a time: so many read ahead, so many waiting to be written.
_DEPTH = 4
# Prompts come with their frames, so that no frame is gone back to.
_LOOK_BACK_FRAMES = 1

# Given the number of frames, if it is known: what is called after each.
Progress = Callable[[int | None], Callable[[], None]]
_Track = Callable[[Iterable[TimedFrame], Wanted], Iterator[Result]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """
    What became of one recording.

    :param report: None if it could not be tracked, or was finished by an earlier run
    :param error: None if it is complete
    :param learnt: what its prompts taught, also where outputs failed
    :param failed: the outputs that could not be written, where the others are complete
    :param damage: what of the recording could not be read, as a sentence; empty if nothing
    """

    name: str
    report: SourceReport | None = None
    error: TrackerError | None = None
    learnt: tuple[SavedObject, ...] = ()
    failed: tuple[Failure, ...] = ()
    damage: str = ''

    @property
    def taught(self) -> bool:
        """Return whether what its prompts teach is known."""
        return self.error is None or self.report is not None


@dataclass(frozen=True)
class SourceReport:
    """
    What became of one recording.

    :param frames: in all outputs
    :param computed: those of them that an earlier, interrupted run had not done
    :param visible: frames on which each object was visible, by 'id label'
    :param cuts: to other shots, 0 where none are looked for
    """

    name: str
    frames: int
    computed: int
    seconds: float
    visible: tuple[tuple[str, int], ...]
    cuts: int = 0

    @property
    def fps(self) -> float:
        """Return frames computed a second."""
        return self.computed / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class RunContext:
    """
    What a run gives to each of its recordings.

    :param folder: for what has to wait on disk, and for what an interrupted run has found
    :param save_every_s: seconds between two states that a resumed run can go on from, 0 for none
    :param progress: given the number of frames, returns what is called after each
    """

    folder: Path
    save_every_s: float
    log: Log
    progress: Progress


def run_source(
    job: SourceJob,
    settings: Settings,
    predictor: Predictor,
    memories: Sequence[SavedObject],
    context: RunContext,
) -> Outcome:
    """
    Process one recording, whatever comes of it; where it cannot be tracked, no output is left.

    :param memories: objects known from elsewhere, tracked from the first frame on
    """
    from sam2_tracker.models.device import is_out_of_memory

    try:
        return _process(job, settings, predictor, memories, context)
    except TrackerError as error:
        return Outcome(job.name, error=error)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return Outcome(
            job.name,
            error=ModelError(
                f'{job.path}: the device is out of memory; choose a smaller model, a smaller '
                '--image-size or --device cpu'
            ),
        )


def _process(
    job: SourceJob,
    settings: Settings,
    predictor: Predictor,
    memories: Sequence[SavedObject],
    context: RunContext,
) -> Outcome:
    """
    Process one recording to its finished outputs, or to those that can be written.

    :raises TrackerError: the recording or a prompt is at fault, or what is asked of an output
    """
    begun_s = time.monotonic()
    config = replace(settings.tracking, look_back_frames=_LOOK_BACK_FRAMES)
    # What a detector's objects and candidates are is not among what can be gone on with.
    save_every_s = 0.0 if job.detections is not None else context.save_every_s
    saved = SavedProgress(context.folder, save_every_s, context.log)
    with closing(open_source(job.path, settings.source, context.log)) as source:
        prompts = ClipPrompts(job.prompts)
        if source.frame_count is not None:
            prompts.check_frames(source.frame_count)
        detections = None if job.detections is None else ClipDetections(
            job.detections, settings.detections, context.log)
        clip = Clip(predictor, prompts, memories, config, context.log, detections)
        frames = Timeline(job.path, settings.clock, context.log).frames(source.frames())
        with _sinks(job, source.rate_hz, context.log) as sinks, ExitStack() as stack:
            if saved.resumed is not None:
                context.log(Level.INFO, f'{job.name}: going on after frame {saved.resumed.index}')
            track = _tracking(clip, settings, predictor, context, saved, stack)
            results = _results(frames, track, sinks.wanted, saved, clip)
            done = context.progress(source.frame_count)
            counts = _write_all(results, sinks, lambda: bool(clip.pending_ids), done)
            learnt = clip.remembered()
            failed = sinks.finish()
    if not failed:
        saved.clear()
    report = replace(counts.report(job.name, saved.replayed_frames, time.monotonic() - begun_s),
                     cuts=clip.tracker.cuts.count)
    error = failed[0].error if failed else None
    return Outcome(job.name, report, error, learnt, failed, source.damage)


@contextmanager
def _sinks(job: SourceJob, rate_hz: float | None, log: Log) -> Iterator[SinkSet]:
    outputs = job.outputs
    recording = Recording(
        job.name, rate_hz, job.classes, outputs.content, log, outputs.has_polygons
    )
    sinks = SinkSet(outputs.plans(recording), log)
    with ExitStack() as if_it_fails:
        if_it_fails.callback(sinks.abort)
        yield sinks
        if_it_fails.pop_all()


def _tracking(
    clip: Clip,
    settings: Settings,
    predictor: Predictor,
    context: RunContext,
    saved: SavedProgress,
    stack: ExitStack,
) -> _Track:
    """Return the way in which the clip is to be tracked."""
    if saved.resumed is not None:
        return partial(saved.track_on, clip)
    if settings.direction is Direction.FORWARD:
        return clip.track
    head = context.folder / 'head'
    shutil.rmtree(head, ignore_errors=True)
    stack.callback(shutil.rmtree, head, ignore_errors=True)
    return BothWays(clip, predictor, settings.tracking, head, context.progress).track


def _results(
    frames: Iterable[TimedFrame], track: _Track, wanted: Wanted, saved: SavedProgress, clip: Clip
) -> Generator[Result, None, None]:
    """Read ahead, track, and keep what an interruption must not cost."""
    with ReadAhead(frames, _DEPTH) as ahead, WriteBehind(saved.keep, _DEPTH) as kept:
        for result in track(ahead, wanted):
            yield result
            kept.put(result)
            state = saved.due_state(clip, result)
            if state is not None:
                kept.put(state)


def _write_all(
    results: Generator[Result, None, None],
    sinks: SinkSet,
    teaches: Callable[[], bool],
    done: Callable[[], None],
) -> _Counts:
    """
    Hand all results to the outputs, for as long as anybody wants them.

    :param teaches: whether there is still something to be learnt for other recordings
    :param done: called after each
    """
    counts = _Counts()
    with closing(results):
        for result in results:
            sinks.write(result)
            counts.add(result)
            done()
            if sinks.have_all_failed and not teaches():
                break
    return counts


class _Counts:
    """Frames and objects seen so far."""

    def __init__(self) -> None:
        self._frames = 0
        self._visible: Counter[int] = Counter()
        self._labels: dict[int, str] = {}

    def add(self, result: Result) -> None:
        """Take in a result."""
        self._frames += 1
        for item in result.tracked.objects:
            self._labels[item.id] = item.label
            self._visible[item.id] += item.state is ObjectState.VISIBLE

    def report(self, name: str, replayed: int, seconds: float) -> SourceReport:
        """
        Return what came of a recording.

        :param replayed: frames that an earlier run had done
        """
        visible = tuple(
            (f'{object_id} {self._labels[object_id]}'.strip(), self._visible[object_id])
            for object_id in sorted(self._labels)
        )
        computed = self._frames - replayed
        return SourceReport(name, self._frames, computed, seconds, visible)
