# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Tracking many objects in one forward pass, each with what its memory holds for the frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sam2.modeling.sam2_utils import get_1d_sine_pe
from sam2_tracker.core.engine.attention_kernels import AttentionKernels
from sam2_tracker.core.engine.features import EncodedFrame, to_device
from sam2_tracker.core.engine.graphs.recorder import Tensors
from sam2_tracker.core.engine.graphs.replays import Replays, Work
from sam2_tracker.core.engine.memory.entry import Lessons, numbers_of
from sam2_tracker.core.engine.memory.object_memory import LowResMask, ObjectMemory, Reading
from sam2_tracker.core.engine.memory_attention import BatchAttention
from sam2_tracker.core.engine.stream_predictor import Decoded, StreamPredictor
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.protocols import ONE_SHOT
import torch

# What is recorded before it comes: so many objects, each with so many prompted frames.
_USUAL_OBJECTS = (4, 3, 2, 1)
_USUAL_COND_FRAMES = (2, 1)


@dataclass(frozen=True, eq=False)
class Job:
    """One object to be tracked on one frame."""

    memory: ObjectMemory
    frame_index: int
    features: EncodedFrame
    shots: tuple[int, int] = ONE_SHOT

    def finished(self) -> LowResMask:
        """
        Mark the frame as passed and return the result on it.

        :raises FrameError: it was prompted too long ago
        """
        self.memory.mark_passed(self.frame_index)
        output = self.memory.output(self.frame_index)
        if output is None:
            raise FrameError(
                f'frame {self.frame_index} was prompted too long ago to be shown again')
        return output


@dataclass(frozen=True, eq=False)
class StepInputs:
    """
    One batch for the model, all (tokens, B, channels) as SAM 2 has it.

    :param maps: the frames' feature maps, finest first, (B, C, H, W)
    :param position: position encoding of the last one, (1, C, H, W)
    :param memory: memory maps and pointers as tokens
    :param memory_position: their encoding in space and time
    :param pointer_tokens: how many of the tokens, the last ones, are pointers
    """

    maps: list[torch.Tensor]
    position: torch.Tensor
    memory: torch.Tensor
    memory_position: torch.Tensor
    pointer_tokens: int

    @property
    def is_one_frame(self) -> bool:
        """Tell whether all objects are on the same frame."""
        maps = self.maps[-1]
        return len(maps) == 1 or maps.stride(0) == 0


@dataclass(frozen=True, eq=False)
class StepOutputs:
    """
    What the model makes of a batch, (B, ...) each.

    :param numbers: what can be learnt of it, see `Lessons`; (B, 0) where nothing is
    :param masks: the same
    """

    logits: torch.Tensor
    score_logits: torch.Tensor
    pointers: torch.Tensor
    memory_maps: torch.Tensor
    numbers: torch.Tensor
    masks: torch.Tensor


class BatchTracker:
    """
    Track jobs of different objects, frames and cameras in as few forward passes as possible.

    Jobs whose memories have equally many maps and pointers go together; 16 frames after their
    last prompts that is all objects with as many prompted frames. Nothing is padded, since a mask
    would turn the fast attention kernels off.

    :param max_batch: largest number of objects in one pass
    :param replays: where batches are recorded
    :param kernels: what attends to memory on a GPU
    :param learns: whether memories learn from results
    :ivar attention: how `forward` attends to memory
    """

    def __init__(self, model: StreamPredictor, max_batch: int, replays: Replays,
                 kernels: AttentionKernels, learns: bool = False) -> None:
        self._model = model
        self._learns = learns
        self.attention = BatchAttention(model.memory_attention, model.device.type == 'cpu',
                                        kernels)
        self.max_batch = max_batch
        self._replays = replays

    def track(self, jobs: Sequence[Job]) -> None:
        """Track all jobs and store the results in their memories."""
        groups = defaultdict(list)
        for job in jobs:
            reading = self._reading(job)
            groups[reading.layout].append((job, reading))
        for group in groups.values():
            for start in range(0, len(group), self.max_batch):
                batch = group[start:start + self.max_batch]
                together = [job for job, _ in batch]
                inputs = self._inputs(together, [reading for _, reading in batch])
                self._store(together, self.step(inputs))

    def prepare(self, job: Job) -> None:
        """
        Record the batches that are usual.

        :param job: of an object with one prompted frame, all windows full
        """
        one = self._inputs([job], [self._reading(job)])
        # The largest first: the others share its inputs' memory.
        for count in _USUAL_OBJECTS:
            for cond_frames in _USUAL_COND_FRAMES:
                if count <= self.max_batch:
                    inputs = _repeated(_with_cond_frames(one, cond_frames), count)
                    self._replays.prepare(*self._work(inputs))

    def step(self, inputs: StepInputs) -> StepOutputs:
        """Run a batch, from a recording where there is one for exactly this layout."""
        return StepOutputs(*self._replays(*self._work(inputs)))

    def _work(self, inputs: StepInputs) -> tuple[str, Work, Tensors]:
        """Return a batch as work on plain tensors; one frame is there once for all objects."""
        pointer_tokens = inputs.pointer_tokens

        def forward(tensors: Tensors) -> Tensors:
            *maps, position, memory, memory_position = tensors
            count = memory.shape[1]
            found = self.forward(StepInputs(
                [each.expand(count, -1, -1, -1) for each in maps], position, memory,
                memory_position, pointer_tokens))
            return (found.logits, found.score_logits, found.pointers, found.memory_maps,
                    found.numbers, found.masks)

        frames = 1 if inputs.is_one_frame else None
        tensors = (*(each[:frames] for each in inputs.maps), inputs.position, inputs.memory,
                   inputs.memory_position)
        return f'step, {pointer_tokens} pointer tokens', forward, tensors

    def _reading(self, job: Job) -> Reading:
        return job.memory.policy.read(self._model, job.memory, job.frame_index)

    def _inputs(self, jobs: Sequence[Job], readings: Sequence[Reading]) -> StepInputs:
        memory, tokens = self._memory_tokens(readings)
        return StepInputs(_batch_features(jobs), jobs[0].features.position, memory,
                          self._memory_position(jobs[0], readings), tokens)

    def _memory_tokens(self, readings: Sequence[Reading]) -> tuple[torch.Tensor, int]:
        """Return memory as (tokens, B, mem_dim), and how many of them are pointers."""
        width = self._model.mem_dim
        count = len(readings)
        columns = list(zip(*(reading.maps for reading in readings), strict=True))
        maps = torch.cat([tensor for column in columns for tensor in column])
        maps = maps.view(len(columns), count, width, -1).permute(0, 3, 1, 2)
        maps = maps.reshape(-1, count, width)
        columns = list(zip(*(reading.pointers for reading in readings), strict=True))
        if not columns:
            return maps, 0
        pointers = torch.cat([tensor for column in columns for tensor in column])
        pointers = pointers.view(len(columns), count, -1, width).transpose(1, 2)
        pointers = pointers.reshape(-1, count, width)
        return torch.cat([maps, pointers]), len(pointers)

    def _memory_position(self, job: Job, readings: Sequence[Reading]) -> torch.Tensor:
        """Return the encoding of each token in space and time, (tokens, B, mem_dim)."""
        model, count = self._model, len(readings)
        numbers = [reading.map_times + reading.ages for reading in readings]
        times = to_device(torch.tensor(numbers), job.features.position.device).T
        n_maps = len(readings[0].maps)
        space = _map_position(job.memory)[-1].flatten(2).permute(2, 0, 1)
        maps = space + model.maskmem_tpos_enc[:, 0, 0][times[:n_maps]][:, None]
        maps = maps.reshape(-1, count, model.mem_dim)
        pointers = self._pointer_position(times[n_maps:])
        return torch.cat([maps, pointers]) if len(pointers) else maps

    def _pointer_position(self, ages: torch.Tensor) -> torch.Tensor:
        """Encode the ages (pointers, B) of pointers, once for each token of one."""
        model = self._model
        split = model.hidden_dim // model.mem_dim
        if not model.add_tpos_enc_to_obj_ptrs:
            return model.maskmem_tpos_enc.new_zeros(len(ages) * split, ages.shape[1],
                                                    model.mem_dim)
        width = model.hidden_dim if model.proj_tpos_enc_in_obj_ptrs else model.mem_dim
        encoded = get_1d_sine_pe(ages / (model.max_obj_ptrs_in_encoder - 1), dim=width)
        return model.obj_ptr_tpos_proj(encoded).repeat_interleave(split, dim=0)

    def condition(self, job: Job) -> torch.Tensor:
        """Return a frame's features conditioned on one object's memory, (1, C, h, w)."""
        return self._condition(self._inputs([job], [self._reading(job)]))

    def _condition(self, inputs: StepInputs) -> torch.Tensor:
        tokens = inputs.maps[-1].flatten(2).transpose(1, 2)
        attended = self.attention.condition(
            tokens[:1] if inputs.is_one_frame else tokens,
            inputs.position.flatten(2).transpose(1, 2), inputs.memory, inputs.memory_position,
            inputs.pointer_tokens)
        return attended.transpose(1, 2).view_as(inputs.maps[-1])

    def forward(self, inputs: StepInputs) -> StepOutputs:
        """Attend to memory, decode the masks, encode them as memories."""
        model, last = self._model, inputs.maps[-1]
        found = model.decode(self._condition(inputs), None, None, inputs.maps[:-1] or None,
                             model._use_multimask(False, None))
        memory_maps, _ = model._encode_new_memory(
            current_vision_feats=[last.flatten(2).permute(2, 0, 1)],
            feat_sizes=[(last.shape[-2], last.shape[-1])], pred_masks_high_res=found.large,
            object_score_logits=found.score_logits, is_mask_from_pts=False)
        return StepOutputs(found.chosen, found.score_logits, found.pointers,
                           memory_maps.to(torch.bfloat16), *self._to_learn(found))

    def _to_learn(self, found: Decoded) -> tuple[torch.Tensor, torch.Tensor]:
        if not self._learns:
            nothing = found.chosen.new_empty(len(found.chosen), 0)
            return nothing, nothing
        mask = found.chosen > 0
        numbers = numbers_of(found.score_logits, found.ious, mask)
        return numbers, torch.cat([mask, found.candidates > 0], dim=1)

    def _store(self, jobs: Sequence[Job], found: StepOutputs) -> None:
        lessons = Lessons(found.numbers, found.masks) if self._learns else None
        for row, job in enumerate(jobs):
            one = slice(row, row + 1)
            job.memory.remember(job.frame_index, {
                'maskmem_features': found.memory_maps[one],
                'maskmem_pos_enc': _map_position(job.memory),
                'pred_masks': found.logits[one], 'obj_ptr': found.pointers[one],
                'object_score_logits': found.score_logits[one]},
                None if lessons is None else lessons.of(row), job.shots)


def _batch_features(jobs: Sequence[Job]) -> list[torch.Tensor]:
    """Return the frames' maps, (B, C, H, W) each: a view if it is one frame for all."""
    first = jobs[0].features
    if all(job.features is first for job in jobs):
        return [tensor.expand(len(jobs), -1, -1, -1) for tensor in first.maps]
    return [torch.cat(tensors) for tensors in zip(*(job.features.maps for job in jobs),
                                                  strict=True)]


def _repeated(one: StepInputs, count: int) -> StepInputs:
    """Make a batch as of so many objects on one frame."""
    return replace(one, maps=[each.expand(count, -1, -1, -1) for each in one.maps],
                   memory=one.memory.expand(-1, count, -1).contiguous(),
                   memory_position=one.memory_position.expand(-1, count, -1).contiguous())


def _with_cond_frames(one: StepInputs, count: int) -> StepInputs:
    """Make a batch as of an object with more prompted frames: what is in it does not matter."""
    place = one.maps[-1].shape[-2] * one.maps[-1].shape[-1]
    maps = len(one.memory) - one.pointer_tokens
    pointer = one.maps[-1].shape[1] // one.memory.shape[-1]

    def more(tokens: torch.Tensor) -> torch.Tensor:
        return torch.cat([*[tokens[:place]] * (count - 1), tokens[:maps],
                          *[tokens[maps:maps + pointer]] * (count - 1), tokens[maps:]])

    return replace(one, memory=more(one.memory), memory_position=more(one.memory_position),
                   pointer_tokens=one.pointer_tokens + (count - 1) * pointer)


def _map_position(memory: ObjectMemory) -> list[torch.Tensor]:
    """Return the memory maps' position encoding, which is the same for all."""
    position: list[torch.Tensor] = next(iter(memory.cond.values()))['maskmem_pos_enc']
    return position
