# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""One object's memory: a stock SAM 2 inference state of its own, kept bounded by a policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TYPE_CHECKING

from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.engine.memory.belief import BeliefRule, Beliefs
from sam2_tracker.core.engine.memory.entry import Entry, Lesson
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.protocols import MaskOutput, Memory, ONE_SHOT
from sam2_tracker.core.types import MAX_POINTS
import torch

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base

# SAM 2 names objects within a state; here every state has just the one.
OBJECT_ID = 1
# The pointers' time encoding is scaled by min(num_frames, 16), so a stream must look endless.
_NUM_FRAMES = 2**31


@dataclass(frozen=True, eq=False)
class LowResMask:
    """
    One object's result on one frame.

    :param logits: (1, 1, side / 4, side / 4) float32 on the device
    :param score_logits: (1, 1), the object score before the sigmoid, on the device
    """

    logits: torch.Tensor
    score_logits: torch.Tensor

    @property
    def score(self) -> float:
        """Return the sigmoid of the object score, 0 to 1; waits for the device."""
        return float(self.score_logits.double().sigmoid())


def own_output(output: MaskOutput) -> LowResMask:
    """Return a result as what this predictor makes, or raise TypeError."""
    if not isinstance(output, LowResMask):
        raise TypeError(f'a result of this predictor was expected, not {type(output).__name__}')
    return output


@dataclass(frozen=True, eq=False)
class Reading:
    """
    What one object's memory holds for one frame, in the order in which it is read.

    :param maps: (1, mem_dim, h, w) each
    :param map_times: for each map its row in the model's temporal encoding
    :param pointers: (1, hidden_dim) each
    :param ages: for each pointer how many frames ago it was made
    """

    maps: list[torch.Tensor]
    map_times: list[int]
    pointers: list[torch.Tensor]
    ages: list[int]

    @property
    def layout(self) -> tuple[int, int]:
        """Return the numbers of maps and pointers: equal ones fit into one batch."""
        return len(self.maps), len(self.pointers)


class MemoryPolicy(Protocol):
    """What is read of an object's memory for a frame, forgotten of it, and learnt from results."""

    @property
    def longest(self) -> int:
        """Return how many frames back of a frame SAM 2 itself reads anything tracked."""

    @property
    def learnt(self) -> tuple[str, ...]:
        """Return what `learn` adds to a tracked frame's entry; if nothing, it is never called."""

    def read(self, model: SAM2Base, memory: ObjectMemory, frame_index: int) -> Reading:
        """Gather what is read to track an object onto a frame, or to correct it there."""

    def forget(self, memory: ObjectMemory, oldest_index: int) -> None:
        """Drop the results that no frame from this one on can read any more."""

    def learn(self, memory: ObjectMemory, frame_index: int, lesson: Lesson) -> None:
        """Take in what the result on a frame taught; it is still in `memory.tracked`."""


class ObjectMemory:
    """
    All that SAM 2 knows of one object.

    What a result teaches is taken in when the memory is used next: until then it need not leave
    the device.

    :param state: a stock inference state with this one object
    :param policy: what is read of it, forgotten and learnt
    :param oldest_index: no earlier frame can be prompted or tracked exactly any more
    :param anchors: tracked frames that a policy remembers beside the prompted ones
    :param beliefs: which results are taken for the object; all, if not given
    """

    def __init__(self, state: dict[str, Any], policy: MemoryPolicy, oldest_index: int = 0,
                 anchors: Mapping[int, Entry] | None = None,
                 beliefs: Beliefs | None = None) -> None:
        self.state = state
        self.policy = policy
        self.oldest_index = oldest_index
        self.anchors = dict(anchors or {})
        self.beliefs = beliefs or Beliefs()
        self._lesson: tuple[int, Lesson, tuple[int, int]] | None = None

    @classmethod
    def empty(cls, video_hw: tuple[int, int], device: torch.device, policy: MemoryPolicy,
              constants: dict[str, Any], rule: BeliefRule | None = None) -> ObjectMemory:
        """
        Return the memory of an object that has not been seen yet.

        :param video_hw: height and width of the source images
        :param constants: shared by all memories of a model: SAM 2 keeps its position map there
        """
        height, width = video_hw
        state: dict[str, Any] = {
            'images': (), 'num_frames': _NUM_FRAMES, 'video_height': height, 'video_width': width,
            'offload_video_to_cpu': False, 'offload_state_to_cpu': False, 'device': device,
            'storage_device': device, 'cached_features': {}, 'constants': constants,
            'obj_id_to_idx': {OBJECT_ID: 0}, 'obj_idx_to_id': {0: OBJECT_ID},
            'obj_ids': [OBJECT_ID], 'point_inputs_per_obj': {0: {}},
            'mask_inputs_per_obj': {0: {}}, 'frames_tracked_per_obj': {0: {}},
            'output_dict_per_obj': {0: _no_outputs()},
            'temp_output_dict_per_obj': {0: _no_outputs()},
        }
        return cls(state, policy, beliefs=Beliefs(rule))

    @property
    def outputs(self) -> dict[str, dict[int, Entry]]:
        """Return SAM 2's own store of this object's results."""
        outputs: dict[str, dict[int, Entry]] = self.state['output_dict_per_obj'][0]
        return outputs

    @property
    def cond(self) -> dict[int, Entry]:
        """Return what is remembered of prompted frames."""
        return self.outputs['cond_frame_outputs']

    @property
    def tracked(self) -> dict[int, Entry]:
        """Return what is remembered of frames that were only tracked."""
        return self.outputs['non_cond_frame_outputs']

    @property
    def unsettled(self) -> dict[int, Entry]:
        """Return prompted frames whose memory has not been encoded yet."""
        temporary: dict[str, dict[int, Entry]] = self.state['temp_output_dict_per_obj'][0]
        return temporary['cond_frame_outputs']

    @property
    def frames_tracked(self) -> dict[int, dict[str, bool]]:
        """Return SAM 2's marks: a prompt on such a frame is a correction."""
        marks: dict[int, dict[str, bool]] = self.state['frames_tracked_per_obj'][0]
        return marks

    @property
    def video_hw(self) -> tuple[int, int]:
        """Return height and width of the source images: prompts are in their pixels."""
        return self.state['video_height'], self.state['video_width']

    @property
    def cond_indices(self) -> tuple[int, ...]:
        """Return the remembered prompted frames in ascending order; imported ones are < 0."""
        return tuple(sorted(self.cond.keys() | self.unsettled.keys()))

    @property
    def first_index(self) -> int | None:
        """Return the oldest remembered prompted frame (imported ones excepted), None before."""
        return next((index for index in self.cond_indices if index >= 0), None)

    @property
    def last_index(self) -> int | None:
        """Return the newest frame with a result, None if there is none."""
        seen = (*self.cond_indices, *self.tracked, *self.beliefs.apart)
        return max((index for index in seen if index >= 0), default=None)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all tensors remembered, shared ones (position maps) excepted."""
        shared = {id(tensor) for tensor in _tensors(self.state['constants'])}
        held = {tensor.data_ptr(): tensor.nbytes for tensor in self._held_tensors()
                if id(tensor) not in shared}
        return sum(held.values())

    def _held_tensors(self) -> Iterator[torch.Tensor]:
        for entry in (*self.cond.values(), *self.tracked.values(), *self.unsettled.values(),
                      *self.anchors.values(), *self.beliefs.apart.values()):
            yield from _tensors({key: value for key, value in entry.items()
                                 if key != 'maskmem_pos_enc'})
        yield from _tensors(self.state['point_inputs_per_obj'])
        yield from _tensors(self.state['mask_inputs_per_obj'])
        for image_and_maps in self.state['cached_features'].values():
            yield from _tensors(image_and_maps[1]['backbone_fpn'])

    def output(self, frame_index: int) -> LowResMask | None:
        """Return the result on a frame, None if there is none or it is too old."""
        for outputs in (self.unsettled, self.cond, self.tracked, self.beliefs.apart):
            entry = outputs.get(frame_index)
            if entry is not None and entry['pred_masks'] is not None:
                return LowResMask(entry['pred_masks'], entry['object_score_logits'])
        return None

    def fork(self, video_hw: tuple[int, int] | None = None) -> ObjectMemory:
        """Return an independent copy, for source images of another size if that is given."""
        self.take_in()
        height, width = video_hw or self.video_hw
        state = {**self.state, 'video_height': height, 'video_width': width}
        for key in ('point_inputs_per_obj', 'mask_inputs_per_obj', 'frames_tracked_per_obj'):
            state[key] = {0: dict(self.state[key][0])}
        state['output_dict_per_obj'] = {
            0: {key: dict(entries) for key, entries in self.outputs.items()}}
        temporary = self.state['temp_output_dict_per_obj'][0]
        # SAM 2 completes these entries in place.
        state['temp_output_dict_per_obj'] = {
            0: {key: {index: dict(entry) for index, entry in entries.items()}
                for key, entries in temporary.items()}}
        state['cached_features'] = dict(self.state['cached_features'])
        return ObjectMemory(state, self.policy, self.oldest_index, self.anchors,
                            self.beliefs.fork())

    def remember(self, frame_index: int, entry: Entry, lesson: Lesson | None = None,
                 shots: tuple[int, int] = ONE_SHOT) -> None:
        """
        Store the result on a tracked frame.

        :param lesson: what can be learnt from it
        :param shots: of the frame before and of this one, by their numbers
        """
        self.anchors.pop(frame_index, None)
        self.beliefs.forget(frame_index)
        self.tracked[frame_index] = entry
        self._lesson = None if lesson is None else (frame_index, lesson, shots)

    def take_in(self) -> None:
        """Learn from the newest result, if that has not been done; before anything is read."""
        if self._lesson is not None:
            frame_index, lesson, shots = self._lesson
            if frame_index in self.tracked and self.beliefs.judge(
                    frame_index, lesson, shots, self.tracked):
                self.policy.learn(self, frame_index, lesson)
            self._lesson = None

    def believes(self, frame_index: int) -> bool:
        """Return whether the result on a frame may be called the object."""
        if self.beliefs.rule is None:
            # What the newest frame taught can wait until it was published.
            return True
        self.take_in()
        return self.beliefs.after(frame_index).is_believed

    def beliefs_to_go_on_with(self) -> Beliefs:
        """Return what is believed of the object before frame 0 of another sequence."""
        self.take_in()
        newest = self.last_index
        standings = {} if newest is None else {-1: self.beliefs.after(newest)}
        return Beliefs(self.beliefs.rule, standings)

    def rewind(self, frame_index: int) -> None:
        """Forget what was tracked after a frame; prompts there stay."""
        self.take_in()
        for entries in (self.tracked, self.anchors):
            for index in [index for index in entries if index > frame_index]:
                del entries[index]
        self.beliefs.rewind(frame_index)
        kept = self.cond.keys() | self.unsettled.keys()
        for index in [index for index in self.frames_tracked
                      if index > frame_index and index not in kept]:
            del self.frames_tracked[index]

    def mark_passed(self, frame_index: int) -> None:
        """Mark a frame, and prompted ones before it: prompts there are corrections from now on."""
        self.frames_tracked[frame_index] = {'reverse': False}
        for index in self.cond:
            if 0 <= index < frame_index:
                self.frames_tracked.setdefault(index, {'reverse': False})

    def adopt(self, frame_index: int, other: ObjectMemory) -> None:
        """Take over the tracked result on a frame from another memory of the same object."""
        self.take_in()
        other.take_in()
        if frame_index in other.tracked:
            self.remember(frame_index, other.tracked[frame_index])
            if frame_index in other.anchors:
                self.anchors[frame_index] = other.anchors[frame_index]
        elif frame_index in other.beliefs.apart:
            self.forget_output(frame_index)
        else:
            return
        self.beliefs.adopt(frame_index, other.beliefs)
        self.frames_tracked[frame_index] = {'reverse': False}

    def forget_output(self, frame_index: int) -> None:
        """Forget the result on one frame, so that a prompt there is not hinted at by it."""
        self.tracked.pop(frame_index, None)
        self.anchors.pop(frame_index, None)
        self.beliefs.apart.pop(frame_index, None)

    def forget_prompts(self, frame_index: int) -> None:
        """Forget the prompts on a frame and its result: it is as if no tracking had come to it."""
        by_frame = (self.cond, self.tracked, self.unsettled, self.anchors, self.frames_tracked,
                    self.state['point_inputs_per_obj'][0], self.state['mask_inputs_per_obj'][0],
                    self.state['cached_features'])
        for held in by_frame:
            held.pop(frame_index, None)
        self.beliefs.forget(frame_index)

    def hold_features(self, frame_index: int, features: EncodedFrame) -> None:
        """Let SAM 2 find a frame's features; dropped when its memory is encoded."""
        self.state['cached_features'][frame_index] = features.as_cached()

    def drop_features(self) -> None:
        """Let go of the features of all frames but those whose memory is to be encoded."""
        cached = self.state['cached_features']
        self.state['cached_features'] = {index: cached[index] for index in self.unsettled}

    def drop_prompted_anchors(self) -> None:
        """Let prompted frames be nothing else: they are read as what they are."""
        for index in self.anchors.keys() & self.cond.keys():
            del self.anchors[index]

    def refuse_forgotten(self, frame_index: int) -> None:
        """Raise FrameError if what a prompt or result on a frame would read was pruned."""
        if frame_index < self.oldest_index:
            raise FrameError(f'frame {frame_index} is too old: this object is remembered from '
                             f'frame {self.oldest_index} on')

    def prune(self, newest_index: int, look_back: int) -> None:
        """
        Forget what no frame from `newest_index - look_back` on can read any more.

        Results are then bit-identical to those without pruning, for tracking on from
        `newest_index` and for prompts and replays on any of the last `look_back` frames.
        """
        oldest = self.oldest_index = max(newest_index - look_back, self.oldest_index)
        if self._lesson is not None and self._lesson[0] < oldest:
            self.take_in()
        self.policy.forget(self, oldest)
        self.beliefs.prune(oldest)
        for name in ('point_inputs_per_obj', 'mask_inputs_per_obj', 'frames_tracked_per_obj'):
            by_frame = self.state[name][0]
            for index in [index for index in by_frame if index < oldest]:
                del by_frame[index]


def own_memory(memory: Memory) -> ObjectMemory:
    """Return a memory as what this predictor makes, or raise TypeError."""
    if not isinstance(memory, ObjectMemory):
        raise TypeError(f'a memory of this predictor was expected, not {type(memory).__name__}')
    return memory


def refuse_too_many_points(memory: ObjectMemory, frame_index: int, new_count: int) -> None:
    """Refuse points that would be too many together with those which the frame has already."""
    held = memory.state['point_inputs_per_obj'][0].get(frame_index)
    count = new_count if held is None else new_count + held['point_coords'].shape[1]
    if count > MAX_POINTS:
        raise PromptError(
            f'{count} points on one frame with those of earlier prompts, at most {MAX_POINTS} are '
            'taken: start over with clear_previous, or give a mask')


def _no_outputs() -> dict[str, dict[int, Entry]]:
    return {'cond_frame_outputs': {}, 'non_cond_frame_outputs': {}}


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield all tensors in nested dicts and lists."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
