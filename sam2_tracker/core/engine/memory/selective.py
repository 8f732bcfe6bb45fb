# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Memory of the frames on which the object was surely seen: long absences push nothing out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2.modeling.sam2_utils import select_closest_cond_frames
from sam2_tracker.core.engine.memory.entry import Entry, Lesson, owned, SEEN, without
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory, Reading
from sam2_tracker.core.engine.memory.stock import (
    forget_prompted,
    read_prompted_pointers,
    reading_of_prompted,
    StockMemory,
)

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base
    from sam2_tracker.core.engine.stream_predictor import StreamPredictor


@dataclass(frozen=True)
class SelectiveMemory:
    """
    Read prompted frames as stock SAM 2, and of the others the newest that surely show the object.

    They are told apart by their rank, not their age. The frame just before is read in any case, so
    that the model sees when the object has gone.

    :param maps: memory maps read beside those of prompted frames
    :param pointers: object pointers read beside those of prompted frames
    :param stride: the maps but the newest are of frames whose numbers this divides
    :param max_cond_frames: prompted frames that are read, -1 for all
    :param longest: as stock SAM 2 would have it
    :param sure: `Seen.certainty` above which a frame surely shows the object
    """

    maps: int
    pointers: int
    stride: int
    max_cond_frames: int
    longest: int
    sure: float

    @classmethod
    def of(cls, model: StreamPredictor) -> SelectiveMemory:
        """Return the policy with as many maps and pointers as the model reads by itself."""
        return cls(int(model.num_maskmem) - 1, int(model.max_obj_ptrs_in_encoder) - 1,
                   int(model.memory_temporal_stride_for_eval),
                   int(model.max_cond_frames_in_attn), StockMemory.of(model).longest,
                   model.trust.sure)

    @property
    def learnt(self) -> tuple[str, ...]:
        """Return what decides what is read: how surely the object was seen."""
        return (SEEN,)

    def read(self, model: SAM2Base, memory: ObjectMemory, frame_index: int) -> Reading:
        """Gather what is read to track an object onto a frame, or to correct it there."""
        prompted, _ = select_closest_cond_frames(frame_index, memory.cond, self.max_cond_frames)
        tracked, before = memory.tracked, frame_index - 1
        found = _sure(tracked, frame_index, self.sure)
        if before in tracked and before not in found:
            found.insert(0, before)
        reading = reading_of_prompted(model, prompted)
        for rank, index in enumerate(spaced(found, self.stride)[:self.maps]):
            reading.maps.append(tracked[index]['maskmem_features'])
            reading.map_times.append(rank)
        if model.use_obj_ptrs_in_encoder:
            read_prompted_pointers(model, prompted, frame_index, reading)
            for rank, index in enumerate(found[:self.pointers], 1):
                reading.pointers.append(tracked[index]['obj_ptr'])
                reading.ages.append(rank)
        return reading

    def forget(self, memory: ObjectMemory, oldest_index: int) -> None:
        """
        Drop the results that no frame from this one on can read any more.

        What is kept of older frames is a bounded number, however old they are.
        """
        sure = _sure(memory.tracked, oldest_index, self.sure)
        before = oldest_index - 1
        spaced_out = [index for index in sure if index % self.stride == 0]
        maps = {before, *sure[:1], *spaced_out[:self.maps]}
        forget_tracked(memory, oldest_index, maps, {before, *sure[:self.pointers]})
        forget_prompted(memory, oldest_index, self.max_cond_frames, oldest_index)

    def learn(self, memory: ObjectMemory, frame_index: int, lesson: Lesson) -> None:
        """Remember how the object was seen on a frame."""
        memory.tracked[frame_index] = {**memory.tracked[frame_index], SEEN: lesson.seen}


def _sure(tracked: Mapping[int, Entry], frame_index: int, least: float) -> list[int]:
    """Return the frames before one that surely show the object, the newest first."""
    return sorted((index for index, entry in tracked.items() if index < frame_index
                   and entry[SEEN].certainty > least), reverse=True)


def spaced(newest_first: list[int], stride: int) -> list[int]:
    """Return the newest frame, and those older ones whose numbers a stride divides."""
    return [index for number, index in enumerate(newest_first)
            if number == 0 or index % stride == 0]


def forget_tracked(memory: ObjectMemory, oldest_index: int, maps: set[int],
                   pointers: set[int]) -> None:
    """
    Drop what was tracked before a frame, but for what is named.

    :param maps: frames whose memory maps are kept, and all else of them but their masks
    :param pointers: frames whose object pointers are kept
    """
    for index, entry in list(memory.tracked.items()):
        if index >= oldest_index:
            continue
        if index in maps:
            memory.tracked[index] = owned(without(entry, 'pred_masks'))
        elif index in pointers:
            memory.tracked[index] = owned(without(entry, 'pred_masks', 'maskmem_features'))
        else:
            del memory.tracked[index]
