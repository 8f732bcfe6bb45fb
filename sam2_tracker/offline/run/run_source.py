# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Take one recording from its first frame to its finished outputs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
import shutil
import time
from typing import TYPE_CHECKING

from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.types import Wanted
from sam2_tracker.offline.run.both_ways import BothWays
from sam2_tracker.offline.run.clip import Clip
from sam2_tracker.offline.run.clip_prompts import ClipPrompts
from sam2_tracker.offline.run.job import Direction, Settings, SourceJob
from sam2_tracker.offline.run.report import Counts, SourceReport
from sam2_tracker.offline.run.saved_progress import ProgressKeeper
from sam2_tracker.offline.run.spool import Spool
from sam2_tracker.offline.run.threads import ReadAhead, WriteBehind
from sam2_tracker.offline.sinks.outputs import Recording
from sam2_tracker.offline.sinks.sink import Result, SinkSet
from sam2_tracker.offline.sources.open_source import open_source
from sam2_tracker.offline.sources.timeline import Shot, Timeline

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor

# Frames in memory at a time: so many read ahead, so many waiting to be written.
DEPTH = 4
# Prompts come with their frames, so that no frame is gone back to.
LOOK_BACK_FRAMES = 1


@dataclass(frozen=True, eq=False)
class Teaching:
    """A report, and what was learnt of the objects prompted."""

    report: SourceReport
    learnt: tuple[SavedObject, ...]


Progress = Callable[[int | None], Callable[[], None]]


Track = Callable[[Iterable[Shot], Wanted], Iterator[Result]]


@dataclass(frozen=True)
class Surroundings:
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
    around: Surroundings,
) -> Teaching:
    """
    Process one recording.

    :param memories: objects known from elsewhere, tracked from the first frame on
    :raises TrackerError: the recording, a prompt or an output is at fault; no output is left then
    """
    begun_s = time.monotonic()
    config = replace(settings.tracking, look_back_frames=LOOK_BACK_FRAMES)
    keeper = ProgressKeeper(around.folder, around.save_every_s)
    with closing(open_source(job.path, settings.source)) as source:
        prompts = ClipPrompts(job.prompts)
        if source.frame_count is not None:
            prompts.check_frames(source.frame_count)
        clip = Clip(predictor, prompts, memories, config, around.log)
        shots = Timeline(job.path, settings.clock, around.log).shots(source.frames())
        recording = Recording(
            job.name, source.rate_hz, job.classes, job.outputs.content, around.log
        )
        with _sinks(job, recording) as sinks, ExitStack() as stack:
            if keeper.resumed is not None:
                around.log(Level.INFO, f'{job.name}: going on after frame {keeper.resumed.index}')
            track = _way(clip, settings, predictor, around, keeper, stack)
            results = _results(shots, track, sinks.wanted, keeper, clip)
            counts = _pump(results, sinks, around.progress(source.frame_count))
            learnt = clip.remembered()
            sinks.finish()
    keeper.clear()
    seconds = time.monotonic() - begun_s
    return Teaching(counts.report(job.name, keeper.replayed_frames, seconds), learnt)


@contextmanager
def _sinks(job: SourceJob, recording: Recording) -> Iterator[SinkSet]:
    sinks = SinkSet(job.outputs.plans(recording))
    try:
        yield sinks
    except BaseException:
        sinks.abort()
        raise


def _way(
    clip: Clip,
    settings: Settings,
    predictor: Predictor,
    around: Surroundings,
    keeper: ProgressKeeper,
    stack: ExitStack,
) -> Track:
    """Return the way in which the clip is to be tracked."""
    if keeper.resumed is not None:
        return partial(keeper.track_on, clip)
    if settings.direction is Direction.FORWARD:
        return clip.track
    head = around.folder / 'head'
    shutil.rmtree(head, ignore_errors=True)
    stack.callback(shutil.rmtree, head, ignore_errors=True)
    return BothWays(clip, predictor, settings.tracking, Spool(head), around.progress).track


def _results(
    shots: Iterable[Shot], track: Track, wanted: Wanted, keeper: ProgressKeeper, clip: Clip
) -> Generator[Result, None, None]:
    """Read ahead, track, and keep what an interruption must not cost."""
    with ReadAhead(shots, DEPTH) as ahead, WriteBehind(keeper.keep, DEPTH) as kept:
        for result in track(ahead, wanted):
            yield result
            kept.put(result)
            state = keeper.due_state(clip, result)
            if state is not None:
                kept.put(state)


def _pump(
    results: Generator[Result, None, None], sinks: SinkSet, done: Callable[[], None]
) -> Counts:
    counts = Counts()
    with closing(results):
        for result in results:
            sinks.write(result)
            counts.add(result)
            done()
    return counts
