# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
Track a recording forward and, from each object's first prompt, back to its beginning.

As with stock SAM 2: forward first, then `reverse=True` from the object's first prompted frame, in
the same session. Results are written in the order of the frames, so the recording's head, up to
the last prompt of such an object, waits on disk until the pass back is done; the rest streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.protocols import MaskOutput, TrackStep
from sam2_tracker.core.tracking.results import summaries_of, summarised, tracked_frame
from sam2_tracker.core.tracking.track import shown_object
from sam2_tracker.core.tracking.visibility import next_visibility, Visibility
from sam2_tracker.core.types import ObjectState, TrackedFrame, Wanted
from sam2_tracker.offline.run.clip import Clip, result_of
from sam2_tracker.offline.run.spool import BACKWARD, FORWARD, Spool, StoredObject
from sam2_tracker.offline.run.threads import ReadAhead
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sources.timeline import Shot

if TYPE_CHECKING:
    from sam2_tracker.core.engine.backward import ForwardTrace
    from sam2_tracker.core.engine.memory.object_memory import ObjectMemory
    from sam2_tracker.core.engine.predictor import Predictor

_READ_AHEAD = 4
_NUMBERS = Wanted(label_image=False, masks=False)


class BothWays:
    """
    Tracks a clip in both directions.

    :param spool: where the head of the recording waits
    :param progress: given the number of frames of the pass back, returns what is called after
        each
    """

    def __init__(
        self,
        clip: Clip,
        predictor: Predictor,
        config: TrackingConfig,
        spool: Spool,
        progress: Callable[[int], Callable[[], None]],
    ) -> None:
        self._clip = clip
        self._predictor = predictor
        self._config = config
        self._spool = spool
        self._progress = progress
        self._traces: dict[int, ForwardTrace] = {}
        self._labels: dict[int, str] = {}
        self._head = 0

    def track(self, shots: Iterable[Shot], wanted: Wanted) -> Iterator[Result]:
        """
        Yield the result of every frame, in the order of the frames.

        :raises TrackerError: if a frame or a prompt is at fault
        """
        remaining = iter(shots)
        for shot in remaining:
            self._clip.step(shot)
            if shot.frame.index == 0 and self._is_head_complete(0):
                yield result_of(shot, self._clip.tracker.result(wanted))
                break
            self._keep(shot)
            if self._is_head_complete(shot.frame.index):
                break
        else:
            self._clip.finish()
        yield from self._head_results(wanted)
        for shot in remaining:
            self._clip.step(shot)
            yield result_of(shot, self._clip.tracker.result(wanted))
        self._clip.finish()

    def _is_head_complete(self, index: int) -> bool:
        """Return whether all that the pass back reads has been tracked."""
        pending = self._clip.pending_ids - self._clip.ids_from_start
        return not pending and all(trace.reaches(index) for trace in self._traces.values())

    def _keep(self, shot: Shot) -> None:
        """Let a frame and its raw results wait, and gather what the pass back reads."""
        from sam2_tracker.core.engine.backward import ForwardTrace, StoredMask

        tracker, index = self._clip.tracker, shot.frame.index
        tracked, stored = tracker.result(_NUMBERS), []
        for item in tracked.objects:
            memory = tracker.memory(item.id)
            stored.append(
                StoredObject(item.id, item.label, item.state, StoredMask.of(memory.output(index)))
            )
            if item.id not in self._clip.ids_from_start:
                trace = self._traces.setdefault(item.id, ForwardTrace(index))
                trace.observe(memory)
            self._labels[item.id] = item.label
        self._spool.put_shot(shot)
        self._spool.put_objects(FORWARD, index, stored)
        self._head = index + 1

    def _head_results(self, wanted: Wanted) -> Iterator[Result]:
        if self._head == 0:
            return
        self._track_back()
        for index in range(self._head):
            shot = self._spool.shot(index)
            yield result_of(shot, self._joined(shot, wanted))

    def _track_back(self) -> None:
        """Track every object from the frame before its first prompt to frame 0."""
        first = {object_id: trace.first_index for object_id, trace in self._traces.items()}
        start = max(first.values(), default=0)
        done = self._progress(start)
        memories = {object_id: trace.mirrored() for object_id, trace in self._traces.items()}
        seen: dict[int, Visibility] = {}
        shots = (self._spool.shot(index) for index in range(start - 1, -1, -1))
        with ReadAhead(shots, _READ_AHEAD) as ahead:
            for shot in ahead:
                under_way = {
                    object_id: memory
                    for object_id, memory in memories.items()
                    if shot.frame.index < first[object_id]
                }
                self._step_back(shot, under_way, seen)
                done()

    def _step_back(
        self, shot: Shot, memories: dict[int, ObjectMemory], seen: dict[int, Visibility]
    ) -> None:
        from sam2_tracker.core.engine.backward import mirrored_index, StoredMask

        index, frame = mirrored_index(shot.frame.index), shot.frame
        features = self._predictor.encode(frame.image_rgb)
        outputs = self._predictor.track(
            [TrackStep(memory, index, features) for memory in memories.values()]
        )
        summaries = summaries_of(
            self._predictor, outputs, list(memories), frame.source_hw, self._config
        )
        stored = []
        for object_id, output, summary in zip(memories, outputs, summaries, strict=True):
            # Time runs back here, and so does the clock after which an object is lost.
            seen[object_id] = next_visibility(
                seen.get(object_id), summary.visible, -frame.stamp_ns, self._config.lost_after_s
            )
            stored.append(
                StoredObject(
                    object_id,
                    self._labels[object_id],
                    seen[object_id].state,
                    StoredMask.of(output),
                )
            )
            memories[object_id].prune(index, 0)
        self._spool.put_objects(BACKWARD, shot.frame.index, stored)

    def _joined(self, shot: Shot, wanted: Wanted) -> TrackedFrame:
        """Make one result of what both passes found on a frame."""
        index, frame = shot.frame.index, shot.frame
        stored = sorted(
            (*self._spool.objects(FORWARD, index), *self._spool.objects(BACKWARD, index)),
            key=lambda each: each.object_id,
        )
        ids = [each.object_id for each in stored]
        outputs: list[MaskOutput] = [each.mask.output() for each in stored]
        masks = summarised(self._predictor, outputs, ids, frame.source_hw, wanted, self._config)
        objects = [
            shown_object(each.object_id, each.label, summary, _as_visibility(each.state))
            for each, summary in zip(stored, masks.objects, strict=True)
        ]
        by_id = dict(zip(ids, masks.masks, strict=True)) if masks.masks else {}
        return tracked_frame(frame, objects, by_id, masks, wanted)


def _as_visibility(state: ObjectState) -> Visibility:
    return Visibility(state)
