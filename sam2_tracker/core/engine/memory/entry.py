# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What is remembered of an object on one frame, and what was seen of it there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import math
from typing import Any, Protocol

import numpy as np
from sam2_tracker.core.types import BoolArray
import torch

# What the model remembers of one frame, as SAM 2 keeps it; what policies learn is ours.
Entry = dict[str, Any]
# What later frames read of a frame; how its mask looked is not among it.
READ_LATER = ('maskmem_features', 'obj_ptr', 'object_score_logits')
# What policies add to the entry of a tracked frame: a `Seen`, and a bool.
SEEN, RELIED_ON = 'seen', 'relied_on'


@dataclass(frozen=True)
class Seen:
    """
    What the model thought of an object on a frame on which it was tracked.

    :param score_logit: the object score before the sigmoid
    :param iou: the IoU that the model predicts of its mask with the true one
    :param area: pixels of that mask, as the model gives it: side / 4 squared in all
    :param box: its left, top, right and bottom pixels; means nothing without an area
    """

    score_logit: float
    iou: float
    area: int
    box: tuple[float, ...] = ()

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return all of it as plain numbers, in this order."""
        return self.score_logit, self.iou, self.area, *self.box

    @classmethod
    def of_numbers(cls, numbers: Iterable[float]) -> Seen:
        """Return what `numbers` gave."""
        score_logit, iou, area, *box = (float(each) for each in numbers)
        return cls(score_logit, iou, int(area), tuple(box))

    @property
    def visible(self) -> bool:
        """Return whether the object was there, and had a mask."""
        return self.score_logit > 0 and self.area > 0

    @property
    def certainty(self) -> float:
        """Return how surely the object was seen: from 0, not at all, to 1."""
        # 2 * sigmoid(s) - 1, where it can't overflow.
        return max(0.0, math.tanh(self.score_logit / 2)) * self.iou


@dataclass(frozen=True)
class Trust:
    """
    How sure a model has to be of a frame before a policy that learns relies on it.

    Models differ in how their scores and predicted IoUs are distributed, so each may have its own.

    :param read: `distractor` relies on frames on which `Seen.certainty` is above this,
    :param read_share: or, where less is usual, above this share of the usual certainty
    :param sure: the same of `selective`; .01 is SAM 3's threshold for the same product
    :param anchor_iou: a frame becomes an anchor if the predicted IoU is above this
    """

    read: float = 0.0
    read_share: float = 0.6
    sure: float = 0.01
    anchor_iou: float = 0.8


class Lesson(Protocol):
    """What one object's result on one frame can teach; waits for the device when it is asked."""

    @property
    def seen(self) -> Seen:
        """Return the result in numbers."""

    def masks(self) -> BoolArray:
        """Return the mask, and what else it might have been: (1 + candidates, h, w) bool."""


class Lessons:
    """
    The results of a batch on their way to the host: numbers at once, masks only if asked for.

    :param numbers: (B, 7) float32, as `numbers_of` gives them
    :param masks: (B, 1 + candidates, h, w) bool
    """

    def __init__(self, numbers: torch.Tensor, masks: torch.Tensor) -> None:
        self._numbers = numbers
        self._masks = masks
        self._copied: torch.cuda.Event | None = None
        self._seen: tuple[Seen, ...] | None = None
        if numbers.is_cuda:
            pinned = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            self._numbers = pinned.copy_(numbers, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record(torch.cuda.current_stream(numbers.device))

    def of(self, row: int) -> Lesson:
        """Return what one of the objects can learn."""
        return _OneOf(self, row)

    def seen(self, row: int) -> Seen:
        """Return one object's result in numbers."""
        if self._seen is None:
            if self._copied is not None:
                self._copied.synchronize()
            self._seen = tuple(map(Seen.of_numbers, self._numbers.numpy()))
        return self._seen[row]

    def masks(self, row: int) -> BoolArray:
        """Copy one object's masks to the host."""
        return np.asarray(self._masks[row].cpu().numpy(), np.bool_)


@dataclass(frozen=True, eq=False)
class _OneOf:
    lessons: Lessons
    row: int

    @property
    def seen(self) -> Seen:
        return self.lessons.seen(self.row)

    def masks(self) -> BoolArray:
        return self.lessons.masks(self.row)


def numbers_of(score_logits: torch.Tensor, ious: torch.Tensor, mask: torch.Tensor
               ) -> torch.Tensor:
    """
    Return results in numbers, (B, 7) float32: those of a `Seen`.

    :param score_logits: (B, 1)
    :param ious: (B, candidates), those predicted
    :param mask: (B, 1, h, w) bool
    """
    columns, rows = (mask[:, 0].any(axis).to(torch.uint8) for axis in (1, 2))
    sides = [places.argmax(1) for places in (columns, rows)]
    sides += [places.shape[1] - 1 - places.flip(1).argmax(1) for places in (columns, rows)]
    return torch.stack([score_logits[:, 0].float(), ious.amax(1).float(),
                        mask.sum((1, 2, 3)).float(), *(side.float() for side in sides)], dim=1)


def lesson_of(entry: Entry, ious: torch.Tensor | None) -> Lesson:
    """
    Return what the result of one object alone can teach.

    :param ious: (1, candidates), those predicted
    """
    mask = entry['pred_masks'] > 0
    scores = entry['object_score_logits']
    found = torch.ones_like(scores) if ious is None else ious
    return Lessons(numbers_of(scores, found, mask), mask).of(0)


def without(entry: Entry, *names: str) -> Entry:
    """Return an entry that has None for some names: entries are shared between forks."""
    if all(entry[name] is None for name in names):
        return entry
    return {**entry, **dict.fromkeys(names)}


def owned(entry: Entry) -> Entry:
    """
    Return an entry whose tensors are all that their memory holds.

    A batch's row is a view: whoever keeps it keeps what all objects of the batch had.
    """
    rows = {name: entry[name] for name in READ_LATER
            if entry[name] is not None
            and entry[name].untyped_storage().nbytes() > entry[name].nbytes}
    return {**entry, **{name: tensor.clone() for name, tensor in rows.items()}} if rows else entry
