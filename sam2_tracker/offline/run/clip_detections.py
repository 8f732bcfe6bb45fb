# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A recording's detections, frame by frame: the same decisions as live, none of them late."""

from __future__ import annotations

from sam2_tracker.core.config import DetectionsConfig
from sam2_tracker.core.detections.detected_objects import DetectedObjects
from sam2_tracker.core.detections.detection import Detection, is_of_image, Refusals
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.text import counted, shown
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import Wanted
from sam2_tracker.core.worker.detection_prompts import remove_outstayed, scene_on, take_in
from sam2_tracker.offline.run.clip_prompts import STAMP_TOLERANCE_NS
from sam2_tracker.offline.sources.coco import name_without_suffix
from sam2_tracker.offline.sources.detections import RecordedDetections
from sam2_tracker.offline.sources.timeline import TimedFrame

_NUMBERS_ONLY = Wanted(label_image=False, masks=False)


class ClipDetections:
    """Makes objects of what a detector found in a recording, on the very frames."""

    def __init__(self, recorded: RecordedDetections, config: DetectionsConfig, log: Log) -> None:
        self._recorded = recorded
        self._log = log
        self._refusals = Refusals(log)
        self._objects = DetectedObjects(config, self._refusals)
        self._next_array = 0
        self._unmatched = 0
        self._used: set[int | str] = set()

    def before(self, tracker: Tracker) -> None:
        """Let objects go, before the next frame is tracked."""
        if tracker.newest is None:
            tracker.sightings.want()
        else:
            remove_outstayed(tracker, self._objects, tracker.newest.stamp_ns, self._log)

    def step(self, tracker: Tracker, timed: TimedFrame) -> None:
        """
        Prompt what was found on the frame that was tracked just now.

        :raises PromptError: if the ids run out
        """
        frame = timed.frame
        for detections in self._due(timed):
            if not self._objects.is_due(frame.stamp_ns):
                continue
            # The result says where all objects are on this frame.
            tracker.result(_NUMBERS_ONLY)
            scene = scene_on(
                tracker, frame.index, frame.stamp_ns, frame.stamp_ns, frame.source_hw)
            prompts = self._objects.consider(detections, scene)
            if not prompts:
                continue
            draft = tracker.draft(PromptTarget(frame.index, frame), prompts)
            tracker.commit(draft)
            take_in(self._objects, prompts, draft.result.objects, str(frame.index), self._log)

    def _due(self, timed: TimedFrame) -> list[tuple[Detection, ...]]:
        names = (timed.frame.index, name_without_suffix(timed.source.file_name))
        due = []
        for name in names:
            if name in self._recorded.by_number:
                self._used.add(name)
                due.append(self._recorded.by_number[name])
        return due + self._due_by_stamp(timed)

    def _due_by_stamp(self, timed: TimedFrame) -> list[tuple[Detection, ...]]:
        stamp_ns = _camera_stamp_ns(timed)
        arrays, due = self._recorded.by_stamp, []
        while self._next_array < len(arrays):
            array = arrays[self._next_array]
            distance_ns = abs(array.stamp_ns - stamp_ns)
            following_ns = _following_stamp_ns(timed)
            if following_ns is not None and abs(array.stamp_ns - following_ns) < distance_ns:
                break
            self._next_array += 1
            if distance_ns > STAMP_TOLERANCE_NS:
                self._unmatched += 1
            elif is_of_image(array, timed.frame.header.frame_id, self._refusals):
                due.append(array.detections)
        return due

    def finish(self) -> None:
        """Say, at the end of the recording, what was refused and what found no frame."""
        if self._refusals.count:
            self._log(Level.WARN, f'{self._recorded.name}: refused on its frames, in all: '
                                  f'{self._refusals.count}')
        unused = self._recorded.by_number.keys() - self._used
        count = self._unmatched + len(unused) + len(self._recorded.by_stamp) - self._next_array
        if count:
            which = f', as {shown(sorted(unused, key=str)[0])}' if unused else (
                f': none is within {STAMP_TOLERANCE_NS / 1e9:g} s of their stamps')
            self._log(
                Level.WARN, f'{self._recorded.name}: detections of {counted(count, "frame")} are '
                f'for none of this recording{which}')


def _camera_stamp_ns(timed: TimedFrame) -> int:
    """Return the stamp that a detector copied, also where frames go by the bag's clock."""
    return timed.frame.header.stamp_ns or timed.frame.stamp_ns


def _following_stamp_ns(timed: TimedFrame) -> int | None:
    following = timed.following
    return None if following is None else following.header.stamp_ns or following.stamp_ns
