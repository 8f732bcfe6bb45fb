# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Track one recording: every frame, prompts as they come, objects of other recordings too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING

from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.log import Log
from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.tracking.cuts import Cuts
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.tracking.visibility import Visibility
from sam2_tracker.core.types import IdAllocator, TrackedFrame, UInt8Array, Wanted
from sam2_tracker.offline.run.clip_detections import ClipDetections
from sam2_tracker.offline.run.clip_prompts import ClipPrompts
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sources.timeline import TimedFrame

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor


@dataclass(frozen=True, eq=False)
class KnownObject:
    """
    One object and all that is remembered of it.

    :param memory: tensors by the names that `core.engine.memory.transfer.state_of` gives them
    """

    object_id: int
    label: str
    visibility: Visibility
    memory: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ClipState:
    """
    The objects after a frame.

    :param index: the frame's number
    """

    index: int
    objects: tuple[KnownObject, ...]


class Clip:
    """
    The objects of one recording.

    :param prompts: each with the id of its object
    :param memories: objects that are known from elsewhere, tracked from the first frame on
    :param config: `look_back_frames` is how far `memory` forks reach back
    :param detections: what a detector found, None if none was asked
    """

    def __init__(
        self,
        predictor: Predictor,
        prompts: ClipPrompts,
        memories: Sequence[SavedObject],
        config: TrackingConfig,
        log: Log,
        detections: ClipDetections | None = None,
    ) -> None:
        self._predictor = predictor
        self._prompts = prompts
        self._memories = tuple(memories)
        self._config = config
        self._log = log
        self._detections = detections
        self._introduced: set[int] = set()
        self._ids_from_start: frozenset[int] = frozenset()
        self.tracker = self._new_tracker(0)

    def _new_tracker(self, first_index: int, cuts: Cuts | None = None) -> Tracker:
        ids = IdAllocator()
        if self._detections is not None:
            # What is detected first must not take the ids of prompts that are still to come.
            known = {each.object_id for each in self._memories}
            for object_id in self._prompts.object_ids - known:
                ids.claim(object_id)
        return Tracker(self._predictor, NoFrames(), self._config, ids, self._log,
                       first_index=first_index, cuts=cuts)

    def track(self, frames: Iterable[TimedFrame], wanted: Wanted) -> Iterator[Result]:
        """
        Yield the result of every frame.

        :raises TrackerError: if a frame or a prompt is at fault
        """
        for timed in frames:
            self.step(timed)
            yield result_of(timed, self.tracker.result(wanted))
        self.finish()

    def step(self, timed: TimedFrame) -> None:
        """Track the next frame and apply its prompts."""
        if timed.frame.index == 0:
            self._prompts.check_pixels(timed.frame.source_hw)
            self._adopt(timed.frame.source_hw)
        if self._detections is not None:
            self._detections.before(self.tracker)
        following = timed.following
        self.tracker.advance(
            timed.frame, lambda: None if following is None else following.image_rgb)
        for each in self._prompts.due(timed.frame.stamp_ns, timed.next_stamp_ns):
            self._apply(each, PromptTarget(timed.frame.index, timed.frame))
        if self._detections is not None:
            self._detections.step(self.tracker, timed)
        if timed.frame.index == 0:
            self._ids_from_start = frozenset(self._introduced)

    @property
    def ids_from_start(self) -> frozenset[int]:
        """Return the objects that are tracked from the first frame on."""
        return self._ids_from_start

    @property
    def pending_ids(self) -> frozenset[int]:
        """Return the objects with prompts still to come."""
        return self._prompts.pending_ids

    def _adopt(self, source_hw: tuple[int, int]) -> None:
        for each in self._memories:
            memory = self._predictor.new_memory(source_hw)
            self._predictor.import_cond(memory, each.bank)
            self.tracker.adopt(memory, each.label, each.object_id)
            self._introduced.add(each.object_id)

    def _apply(self, each: FilePrompt, target: PromptTarget) -> None:
        object_id = each.prompt.object_id
        nameable = () if object_id in self._introduced else (object_id,)
        try:
            self.tracker.commit(self.tracker.draft(target, [each.prompt], nameable_ids=nameable))
        except PromptError as error:
            raise PromptError(f'{each.where}: {error}') from error
        self._introduced.add(object_id)

    def finish(self) -> None:
        """
        Take in that there is no frame any more.

        :raises PromptError: if a prompt found no frame
        """
        self._prompts.check_all_used()
        if self._detections is not None:
            self._detections.finish()

    def state(self, visibility: Mapping[int, Visibility]) -> ClipState | None:
        """
        Return all that a later run needs to go on after the newest frame.

        :param visibility: of every object on that frame
        :returns: None where that is not possible: after a frame with a prompt
        """
        from sam2_tracker.core.engine.memory.transfer import state_of

        objects = []
        for item in self.tracker.objects():
            memory = state_of(self.tracker.memory(item.id))
            if memory is None:
                return None
            objects.append(KnownObject(item.id, item.label, visibility[item.id], memory))
        return ClipState(self.tracker.next_index - 1, tuple(objects))

    def pass_over(self, timed: TimedFrame) -> None:
        """Take in a frame that another run has tracked."""
        if self._config.cuts:
            self.tracker.cuts.look_at(timed.frame.index, timed.frame.image_rgb)
        self._prompts.due(timed.frame.stamp_ns, timed.next_stamp_ns)

    def restore(self, state: ClipState, source_hw: tuple[int, int]) -> None:
        """
        Go on where another run was; the frames up to there were passed over.

        :raises ModelError: if the state is damaged
        """
        self.tracker = self._new_tracker(state.index + 1, self.tracker.cuts)
        for each in state.objects:
            memory = self._predictor.restored(source_hw, each.memory)
            self.tracker.adopt(memory, each.label, each.object_id, each.visibility)
            self._introduced.add(each.object_id)

    def remembered(self) -> tuple[SavedObject, ...]:
        """Return what was learnt of the objects that were prompted here."""
        from sam2_tracker.core.engine.memory.file import SavedObject

        labels = {item.id: item.label for item in self.tracker.objects()}
        return tuple(
            SavedObject(
                object_id,
                labels[object_id],
                self._predictor.export_cond(self.tracker.memory(object_id)),
            )
            for object_id in sorted(self._prompts.object_ids)
        )


def result_of(timed: TimedFrame, tracked: TrackedFrame) -> Result:
    """Return what is written of a frame."""
    source = timed.source
    return Result(
        timed.frame.index, source.recorded_ns, tracked, source.payload, source.file_name
    )


class NoFrames:
    """Stands for past frames: prompts come with their frames here, so none is asked for."""

    def image(self, index: int) -> UInt8Array:
        """Refuse."""
        raise FrameError(f'frame {index} is past')

    def stamp_ns(self, index: int) -> int:
        """Refuse."""
        raise FrameError(f'frame {index} is past')

    def keep_from(self, index: int | None) -> None:
        """Do nothing."""
