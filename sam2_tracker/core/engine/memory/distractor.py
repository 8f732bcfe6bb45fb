# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Memory that tells look-alikes apart: anchors, and recent frames that are relied on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import statistics
from typing import TYPE_CHECKING

import cv2
import numpy as np
from sam2_tracker.core.engine.memory.entry import (
    Entry,
    Lesson,
    owned,
    RELIED_ON,
    SEEN,
    Seen,
    Trust,
    without,
)
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory, Reading
from sam2_tracker.core.engine.memory.selective import forget_tracked, spaced
from sam2_tracker.core.engine.memory.stock import (
    forget_prompted,
    reading_of_prompted,
    StockMemory,
)
from sam2_tracker.core.types import BoolArray

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base
    from sam2_tracker.core.engine.stream_predictor import StreamPredictor

_STRIDE = 5
_MOST_ANCHORS = 4
# Smaller masks have boxes that say nothing.
_LEAST_AREA = 16
# What is usual of an object is the median of so many frames that were relied on.
_LATELY = 10
# Older ones say nothing of its size.
_AREA_AGE = 300
# Fewer say nothing of how sure the model is of it: until then whatever is visible counts.
_FEW = 5
# A tracked frame becomes an anchor if its mask is taken for right: the model is sure of it, and
# its area differs from the usual one by no more than this share of that.
_AREA_CHANGE = 0.2
# More frames have to lie between two anchors than that.
_APART = 5
# A look-alike is there if the mask's box and that of mask and look-alike overlap no more (IoU).
_BOX_OVERLAP = 0.7


@dataclass(frozen=True)
class DistractorMemory:
    """
    Read anchors, and of the other frames recent ones on which the object was surely visible.

    Anchors are the newest prompted frames, then the newest on which a look-alike was told apart:
    where the model was sure of its mask, and another candidate of its decoder was elsewhere.
    Whatever their number, an object that was visible long enough has as many maps and pointers as
    any other, so that all go in one batch.

    :param maps: memory maps read in all
    :param pointers: object pointers read in all
    :param anchors: anchors among them at most
    :param max_cond_frames: prompted frames that are kept, -1 for all
    :param longest: as stock SAM 2 would have it
    :param trust: which frames are relied on
    """

    maps: int
    pointers: int
    anchors: int
    max_cond_frames: int
    longest: int
    trust: Trust

    @classmethod
    def of(cls, model: StreamPredictor) -> DistractorMemory:
        """Return the policy with as many maps and pointers as the model was trained with."""
        maps, kept = int(model.num_maskmem), int(model.max_cond_frames_in_attn)
        most = _MOST_ANCHORS if kept < 0 else min(kept, _MOST_ANCHORS)
        return cls(maps, int(model.max_obj_ptrs_in_encoder), min(most, (maps + 1) // 2), kept,
                   StockMemory.of(model).longest, model.trust)

    @property
    def learnt(self) -> tuple[str, ...]:
        """Return what decides what is read: how the object was seen, and whether that is right."""
        return SEEN, RELIED_ON

    def read(self, model: SAM2Base, memory: ObjectMemory, frame_index: int) -> Reading:
        """Gather what is read to track an object onto a frame, or to correct it there."""
        anchors = self._anchors(memory, frame_index)
        recent = [index for index in _relied_on(memory, frame_index) if index not in anchors]
        with_map = spaced(recent, _STRIDE)[:self.maps - len(anchors)]
        reading = reading_of_prompted(model, anchors)
        reading.maps.extend(memory.tracked[index]['maskmem_features'] for index in with_map)
        reading.map_times.extend(range(len(with_map)))
        if model.use_obj_ptrs_in_encoder:
            with_pointer = recent[:self.pointers - len(anchors)]
            reading.pointers.extend(entry['obj_ptr'] for entry in anchors.values())
            reading.pointers.extend(memory.tracked[index]['obj_ptr'] for index in with_pointer)
            reading.ages.extend(frame_index - index for index in anchors)
            # Old ones keep the age of the oldest that the model was trained with.
            reading.ages.extend(min(frame_index - index, self.pointers - 1)
                                for index in with_pointer)
        return reading

    def _anchors(self, memory: ObjectMemory, frame_index: int) -> dict[int, Entry]:
        """Return what is read of every object's anchors by frame, prompted ones first."""
        prompted = _newest(index for index in memory.cond if index <= frame_index)
        learnt = _newest(index for index in memory.anchors if index < frame_index)
        # Many corrections leave room for one.
        most = max(1, self.anchors - 1) if learnt else self.anchors
        found = {index: memory.cond[index] for index in prompted[:most]}
        found.update((index, memory.anchors[index])
                     for index in learnt[:self.anchors - len(found)])
        return found

    def forget(self, memory: ObjectMemory, oldest_index: int) -> None:
        """
        Drop the results that no frame from this one on can read any more.

        As many more are kept as there may be anchors, which are not read twice.
        """
        relied_on = _relied_on(memory, oldest_index)
        spaced_out = [index for index in relied_on if index % _STRIDE == 0]
        maps = {*relied_on[:1 + self.anchors], *spaced_out[:self.maps - 1 + self.anchors]}
        pointers = relied_on[:max(self.pointers + self.anchors, _LATELY)]
        forget_tracked(memory, oldest_index, maps, set(pointers))
        old = _newest(index for index in memory.anchors if index < oldest_index)
        for index in old[self.anchors:]:
            del memory.anchors[index]
        for index in old[:self.anchors]:
            memory.anchors[index] = _shared(memory, index)
        forget_prompted(memory, oldest_index, self.max_cond_frames, oldest_index)

    def learn(self, memory: ObjectMemory, frame_index: int, lesson: Lesson) -> None:
        """Remember how the object was seen on a frame, as an anchor if a look-alike was too."""
        entry = memory.tracked[frame_index] = {
            **memory.tracked[frame_index], SEEN: lesson.seen,
            RELIED_ON: self._relies_on(memory, frame_index, lesson.seen)}
        if (self._is_sure(memory, frame_index, lesson.seen)
                and box_overlap(lesson.masks()) <= _BOX_OVERLAP):
            memory.anchors[frame_index] = entry

    def _is_sure(self, memory: ObjectMemory, frame_index: int, seen: Seen) -> bool:
        """Return whether a mask may be that of an anchor: right as far as the model can tell."""
        if not (seen.visible and seen.iou > self.trust.anchor_iou and seen.area >= _LEAST_AREA):
            return False
        if frame_index - max(memory.anchors, default=-_APART - 1) <= _APART:
            return False
        areas = [memory.tracked[index][SEEN].area
                 for index in _relied_on(memory, frame_index)[:_LATELY]
                 if index >= frame_index - _AREA_AGE]
        usual = statistics.median(areas) if areas else 0
        return abs(seen.area - usual) <= _AREA_CHANGE * usual

    def _relies_on(self, memory: ObjectMemory, frame_index: int, seen: Seen) -> bool:
        """Return whether a frame's result is taken for the object, and may be read."""
        lately = [memory.tracked[index][SEEN].certainty
                  for index in _relied_on(memory, frame_index)[:_LATELY]]
        usual = statistics.median(lately) if len(lately) >= _FEW else 0.0
        return seen.visible and seen.certainty > min(self.trust.read,
                                                     self.trust.read_share * usual)


def _relied_on(memory: ObjectMemory, frame_index: int) -> list[int]:
    """Return the tracked frames before one that are relied on, the newest first."""
    return _newest(index for index, entry in memory.tracked.items()
                   if index < frame_index and entry[RELIED_ON])


def box_overlap(masks: BoolArray) -> float:
    """
    Return the IoU of a mask's box with the box of mask and look-alike, the least of all.

    A look-alike is the largest region of another candidate that is not in the mask.

    :param masks: (1 + candidates, h, w), the mask first
    :returns: 1 where there is no look-alike
    """
    mask = masks[0]
    own = _box_area(mask)
    overlaps = [own / _box_area(mask | _largest_region(candidate & ~mask))
                for candidate in masks[1:] if (candidate & ~mask).any()]
    return min(overlaps, default=1.0)


def _largest_region(mask: BoolArray) -> BoolArray:
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest: BoolArray = regions == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return largest


def _box_area(mask: BoolArray) -> int:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1))


def _newest(indices: Iterable[int]) -> list[int]:
    return sorted(indices, reverse=True)


def _shared(memory: ObjectMemory, index: int) -> Entry:
    """Return an old anchor's entry: what is tracked there has the same tensors, or none."""
    tracked = memory.tracked.get(index)
    if tracked is not None and tracked['maskmem_features'] is not None:
        return tracked
    return owned(without(memory.anchors[index], 'pred_masks'))
