# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Memory as stock SAM 2 has it: prompted frames, and what was tracked within fixed windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2.modeling.sam2_utils import select_closest_cond_frames
from sam2_tracker.core.engine.memory.entry import Entry, Lesson, without
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory, Reading

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base


@dataclass(frozen=True)
class StockMemory:
    """
    Read what stock SAM 2 reads, and forget what it can read no more: results stay bit-identical.

    Batches are read here; one object at a time is tracked by SAM 2's own code, which reads the
    same of `ObjectMemory.state`.

    :param maps: frames back to the oldest memory map read
    :param pointers: frames back to the oldest object pointer read
    :param max_cond_frames: prompted frames that are read, -1 for all
    """

    maps: int
    pointers: int
    max_cond_frames: int

    @classmethod
    def of(cls, model: SAM2Base) -> StockMemory:
        """Return the policy with the windows that a model's own settings make exact."""
        stride = int(model.memory_temporal_stride_for_eval)
        maps = (int(model.num_maskmem) - 2) * stride + 1
        pointers = int(model.max_obj_ptrs_in_encoder) - 1
        return cls(maps, pointers, int(model.max_cond_frames_in_attn))

    @property
    def longest(self) -> int:
        """Return how many frames back of a frame anything tracked is read."""
        return max(self.maps, self.pointers)

    @property
    def learnt(self) -> tuple[str, ...]:
        """Return nothing: SAM 2 reads whatever came before."""
        return ()

    def read(self, model: SAM2Base, memory: ObjectMemory, frame_index: int) -> Reading:
        """Gather what stock SAM 2 would read to track an object forward onto a frame."""
        selected, left_out = select_closest_cond_frames(frame_index, memory.cond,
                                                        model.max_cond_frames_in_attn)
        tracked = {**left_out, **memory.tracked}
        reading = reading_of_prompted(model, selected)
        for back, index in _map_frames(model, frame_index):
            if index in tracked:
                reading.maps.append(tracked[index]['maskmem_features'])
                reading.map_times.append(back - 1)
        if model.use_obj_ptrs_in_encoder:
            _read_pointers(model, selected, tracked, frame_index, reading)
        return reading

    def forget(self, memory: ObjectMemory, oldest_index: int) -> None:
        """Drop the results that no frame from this one on can read any more."""
        self._forget_tracked(memory, oldest_index)
        # Those that SAM 2 leaves out still serve as plain memories within the windows.
        forget_prompted(memory, oldest_index, self.max_cond_frames, oldest_index - self.longest)

    def learn(self, memory: ObjectMemory, frame_index: int, lesson: Lesson) -> None:
        """Learn nothing."""

    def _forget_tracked(self, memory: ObjectMemory, oldest_index: int) -> None:
        for index, entry in list(memory.tracked.items()):
            if index >= oldest_index:
                continue
            if index < oldest_index - self.longest:
                del memory.tracked[index]
            elif index < oldest_index - self.maps:
                memory.tracked[index] = without(entry, 'pred_masks', 'maskmem_features')
            else:
                memory.tracked[index] = without(entry, 'pred_masks')


def forget_prompted(memory: ObjectMemory, oldest_index: int, max_cond_frames: int,
                    reach: int) -> None:
    """
    Keep the prompted frames that any frame from `oldest_index` on can select.

    SAM 2 selects K by distance, hence the K newest of the old ones. One more than K is kept
    because SAM 2 orders its memories differently once there is something to leave out.

    :param max_cond_frames: K, -1 for all
    :param reach: frames from this one on are kept whether they can be selected or not
    """
    old = sorted(index for index in memory.cond if index < oldest_index)
    surplus = old[:-(max_cond_frames + 1)] if max_cond_frames > 0 else []
    for index in surplus:
        if index < reach:
            del memory.cond[index]
    for index in old:
        if index in memory.cond:
            memory.cond[index] = without(memory.cond[index], 'pred_masks')


def reading_of_prompted(model: SAM2Base, selected: dict[int, Entry]) -> Reading:
    """
    Begin a reading with the memory maps of prompted frames.

    :param selected: those that are read, or what is to be read as such
    """
    return Reading([entry['maskmem_features'] for entry in selected.values()],
                   [model.num_maskmem - 1] * len(selected), [], [])


def _map_frames(model: SAM2Base, frame_index: int) -> Iterator[tuple[int, int]]:
    """Yield (how many steps back, frame) of the plain memory maps, oldest first."""
    stride = model.memory_temporal_stride_for_eval
    for back in range(model.num_maskmem - 1, 1, -1):
        yield back, ((frame_index - 2) // stride) * stride - (back - 2) * stride
    yield 1, frame_index - 1


def _read_pointers(model: SAM2Base, selected: dict[int, Entry], tracked: dict[int, Entry],
                   frame_index: int, reading: Reading) -> None:
    read_prompted_pointers(model, selected, frame_index, reading)
    for age in range(1, min(model.max_obj_ptrs_in_encoder, frame_index + 1)):
        if frame_index - age in tracked:
            reading.ages.append(age)
            reading.pointers.append(tracked[frame_index - age]['obj_ptr'])


def read_prompted_pointers(model: SAM2Base, selected: dict[int, Entry], frame_index: int,
                           reading: Reading) -> None:
    """
    Add the pointers of the prompted frames that are read, at their true ages.

    :param selected: these frames
    """
    for index, entry in selected.items():
        if index <= frame_index or not model.only_obj_ptrs_in_the_past_for_eval:
            age = frame_index - index
            reading.ages.append(age if model.use_signed_tpos_enc_to_obj_ptrs else abs(age))
            reading.pointers.append(entry['obj_ptr'])
