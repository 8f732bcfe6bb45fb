# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Take one recording from its first frame to its finished outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
import shutil
import time
from typing import TYPE_CHECKING

from sam2_tracker.core.log import Log
from sam2_tracker.core.types import ObjectState, Wanted
from sam2_tracker.offline.both_ways import BothWays
from sam2_tracker.offline.clip import Clip
from sam2_tracker.offline.clip_prompts import ClipPrompts
from sam2_tracker.offline.flow import ReadAhead, WriteBehind
from sam2_tracker.offline.job import Direction, Settings, SourceJob
from sam2_tracker.offline.open_source import open_source
from sam2_tracker.offline.outputs import Recording, sink_plans
from sam2_tracker.offline.sink import Result, SinkSet
from sam2_tracker.offline.spool import Spool
from sam2_tracker.offline.timeline import Shot, Timeline
from sam2_tracker.offline.yolo_sink import write_names

if TYPE_CHECKING:
    from sam2_tracker.core.memory_file import SavedObject
    from sam2_tracker.core.predictor import Predictor

# Frames in memory at a time: so many read ahead, so many waiting to be written.
DEPTH = 4
# Prompts come with their frames, so that no frame is gone back to.
LOOK_BACK_FRAMES = 1


@dataclass(frozen=True)
class SourceReport:
    """
    What became of one recording.

    :param visible: frames on which each object was visible, by 'id label'
    """

    name: str
    frames: int
    seconds: float
    visible: tuple[tuple[str, int], ...]

    @property
    def fps(self) -> float:
        """Return frames processed a second."""
        return self.frames / self.seconds if self.seconds else 0.0


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

    :param scratch: a folder that does not exist yet, for what has to wait on disk
    :param progress: given the number of frames, returns what is called after each
    """

    scratch: Path
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
    :raises TrackerError: the recording, a prompt or an output is at fault; nothing is left then
    """
    begun_s = time.monotonic()
    config = replace(settings.tracking, look_back_frames=LOOK_BACK_FRAMES)
    with closing(open_source(job.path, settings.source)) as source:
        prompts = ClipPrompts(job.prompts)
        if source.frame_count is not None:
            prompts.check_frames(source.frame_count)
        clip = Clip(predictor, prompts, memories, config, around.log)
        shots = Timeline(job.path, settings.clock, around.log).shots(source.frames())
        recording = Recording(job.name, source.rate_hz, job.classes, around.log)
        with _sinks(job, recording) as sinks, _track(clip, settings, predictor, around) as track:
            counts = _pump(shots, track, sinks, around.progress(source.frame_count))
            learnt = clip.remembered()
            sinks.finish()
    seconds = time.monotonic() - begun_s
    return Teaching(counts.report(job.name, seconds), learnt)


@contextmanager
def _sinks(job: SourceJob, recording: Recording) -> Iterator[SinkSet]:
    sinks = SinkSet(sink_plans(job.outputs, recording))
    try:
        yield sinks
        if job.outputs.yolo:
            write_names(job.outputs.yolo.parents[1], job.classes)
    except BaseException:
        sinks.abort()
        raise


@contextmanager
def _track(
    clip: Clip, settings: Settings, predictor: Predictor, around: Surroundings
) -> Iterator[Track]:
    """Give the way in which the clip is to be tracked."""
    if settings.direction is Direction.FORWARD:
        yield clip.track
        return
    try:
        shutil.rmtree(around.scratch, ignore_errors=True)
        yield BothWays(
            clip, predictor, settings.tracking, Spool(around.scratch), around.progress
        ).track
    finally:
        shutil.rmtree(around.scratch, ignore_errors=True)


def _pump(
    shots: Iterable[Shot], track: Track, sinks: SinkSet, done: Callable[[], None]
) -> _Counts:
    """Read, track and write, all three at a time."""
    counts = _Counts()
    with ReadAhead(shots, DEPTH) as ahead, WriteBehind(sinks.write, DEPTH) as writer:
        for result in track(ahead, sinks.wanted):
            writer.put(result)
            counts.add(result)
            done()
    return counts


class _Counts:
    """Frames and objects seen so far."""

    def __init__(self) -> None:
        self._frames = 0
        self._visible: Counter[int] = Counter()
        self._labels: dict[int, str] = {}

    def add(self, result: Result) -> None:
        self._frames += 1
        for item in result.tracked.objects:
            self._labels[item.id] = item.label
            self._visible[item.id] += item.state is ObjectState.VISIBLE

    def report(self, name: str, seconds: float) -> SourceReport:
        visible = tuple(
            (f'{object_id} {self._labels[object_id]}'.strip(), self._visible[object_id])
            for object_id in sorted(self._labels)
        )
        return SourceReport(name, self._frames, seconds, visible)
