# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Take one recording from its first frame to its finished outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
import time
from typing import TYPE_CHECKING

from sam2_tracker.core.log import Log
from sam2_tracker.core.types import ObjectState
from sam2_tracker.offline.clip import Clip
from sam2_tracker.offline.clip_prompts import ClipPrompts
from sam2_tracker.offline.flow import ReadAhead, WriteBehind
from sam2_tracker.offline.job import Settings, SourceJob
from sam2_tracker.offline.open_source import open_source
from sam2_tracker.offline.outputs import Recording, sink_plans
from sam2_tracker.offline.sink import Result, SinkSet
from sam2_tracker.offline.source import Source
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


def run_source(job: SourceJob, settings: Settings, predictor: Predictor,
               memories: Sequence[SavedObject], log: Log, progress: Progress) -> Teaching:
    """
    Process one recording.

    :param memories: objects known from elsewhere, tracked from the first frame on
    :param progress: given the number of frames, returns what is called after each
    :raises TrackerError: the recording, a prompt or an output is at fault; nothing is left then
    """
    begun_s = time.monotonic()
    config = replace(settings.tracking, look_back_frames=LOOK_BACK_FRAMES)
    with closing(open_source(job.path, settings.source)) as source:
        prompts = ClipPrompts(job.prompts)
        if source.frame_count is not None:
            prompts.check_frames(source.frame_count)
        clip = Clip(predictor, prompts, memories, config, log)
        sinks = SinkSet(sink_plans(job.outputs, _recording(job, source, log)))
        try:
            counts = _pump(source, clip, sinks, Timeline(job.path, settings.clock, log),
                           progress(source.frame_count))
            learnt = clip.remembered()
            sinks.finish()
            if job.outputs.yolo:
                write_names(job.outputs.yolo.parents[1], job.classes)
        except BaseException:
            sinks.abort()
            raise
    seconds = time.monotonic() - begun_s
    return Teaching(counts.report(job.name, seconds), learnt)


def _pump(source: Source, clip: Clip, sinks: SinkSet, timeline: Timeline,
          done: Callable[[], None]) -> _Counts:
    """Read, track and write, all three at a time."""
    counts = _Counts()
    with ReadAhead(_shots(timeline, source), DEPTH) as shots, WriteBehind(
            sinks.write, DEPTH) as writer:
        for result in clip.track(shots, sinks.wanted):
            writer.put(result)
            counts.add(result)
            done()
    return counts


def _recording(job: SourceJob, source: Source, log: Log) -> Recording:
    return Recording(job.name, source.rate_hz, job.classes, log)


def _shots(timeline: Timeline, source: Source) -> Iterator[Shot]:
    yield from timeline.shots(source.frames())


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
        visible = tuple((f'{object_id} {self._labels[object_id]}'.strip(),
                         self._visible[object_id]) for object_id in sorted(self._labels))
        return SourceReport(name, self._frames, seconds, visible)

