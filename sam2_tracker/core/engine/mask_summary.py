# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""From low-resolution logits to masks, boxes, areas and a label image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sam2_tracker.core.engine.features import to_device
from sam2_tracker.core.engine.graphs.recorder import Tensors
from sam2_tracker.core.engine.graphs.replays import Replay
from sam2_tracker.core.engine.memory.object_memory import LowResMask
from sam2_tracker.core.protocols import FrameMasks, MaskSummary
from sam2_tracker.core.types import BoolArray, Box, MaskRules, PLAIN_MASKS, UInt16Array, Wanted
import torch
from torch.nn import functional

Integers = npt.NDArray[np.int64]
Hw = tuple[int, int]

# Logits of all objects at once; beyond that one object after the other is reduced.
_AT_ONCE_BYTES = 512 * 1024 ** 2
# What `_numbers` counts of a mask.
_NUMBERS = 7


@dataclass(frozen=True, eq=False)
class _Found:
    """
    What is on the host of a frame's objects.

    :param numbers: (N, 7) pixels, left, top, right and bottom, sums of x and of y
    :param scores: (N,) float64, object scores before the sigmoid
    :param masks: (N, height, width) bool, N = 0 if not wanted
    :param labels: (height, width) uint16, None if not wanted
    """

    numbers: Integers
    scores: npt.NDArray[np.float64]
    masks: BoolArray
    labels: UInt16Array | None


@dataclass(frozen=True)
class _Task:
    """What is to be made of each frame's logits: equal ones do the same."""

    hw: Hw
    needs_masks: bool
    needs_labels: bool
    threshold: float


class _LabelMap:
    """The object with the highest logit at each pixel, one object after the other."""

    def __init__(self, hw: Hw, count: int, device: torch.device) -> None:
        # One byte a pixel crosses to the host, unless there are too many objects for it.
        self._dtype = torch.uint8 if count < 256 else torch.int16
        self._count = count
        self.labels = torch.zeros(hw, dtype=self._dtype, device=device)
        self._best = torch.zeros(0)

    def add(self, number: int, logits: torch.Tensor, mask: torch.Tensor) -> None:
        """Give pixels of a mask to an object where it beats all before it."""
        if number == 1:
            self.labels = mask.to(self._dtype)
            if self._count > 1:
                self._best = torch.where(mask, logits, -math.inf)
            return
        wins = mask & (logits > self._best)
        self.labels.masked_fill_(wins, number)
        torch.where(wins, logits, self._best, out=self._best)


def summarise_masks(outputs: Sequence[LowResMask], object_ids: Sequence[int],
                    video_hw: Hw, wanted: Wanted, rules: MaskRules = PLAIN_MASKS,
                    replay: Replay | None = None) -> FrameMasks:
    """
    Turn results of one frame into pixels; see `PredictorProtocol.summarise`.

    :param replay: does the work for all objects at once, on their device, from a recording where
        there is one; None for one object after the other, which takes a CPU less time
    """
    if not outputs:
        return FrameMasks((), (), np.zeros(video_hw, np.uint16) if wanted.label_image else None)
    task = _Task(video_hw, wanted.masks or rules.mends, wanted.label_image, rules.threshold)
    if replay is None or len(outputs) * math.prod(video_hw) * 4 > _AT_ONCE_BYTES:
        found = _one_by_one(task, outputs, object_ids)
    else:
        found = _all_at_once(task, outputs, object_ids, replay)
    if rules.mends:
        _mend(found, object_ids, rules)
    objects = tuple(map(_summary, found.numbers.tolist(), found.scores.tolist()))
    return FrameMasks(objects, tuple(found.masks) if wanted.masks else (), found.labels)


def _one_by_one(task: _Task, outputs: Sequence[LowResMask], object_ids: Sequence[int]) -> _Found:
    """Upsample and reduce one object after the other: memory stays that of one."""
    device = outputs[0].logits.device
    scores = torch.cat([output.score_logits.reshape(1) for output in outputs])
    thresholds = _thresholds(scores, task)
    rows, columns, masks = [], [], []
    labels = _LabelMap(task.hw if task.needs_labels else (0, 0), len(outputs), device)
    for number, output in enumerate(outputs, 1):
        logits = upsample(output.logits, task.hw)
        mask = logits > thresholds[number - 1]
        rows.append(mask.sum(1, dtype=torch.int32))
        columns.append(mask.sum(0, dtype=torch.int32))
        if task.needs_masks:
            masks.append(mask)
        if task.needs_labels:
            labels.add(number, logits, mask)
    stacked = torch.stack(masks) if masks else torch.zeros(0, *task.hw, dtype=torch.bool)
    numbers = _numbers(torch.stack(rows).cpu().numpy(), torch.stack(columns).cpu().numpy())
    return _Found(numbers, scores.double().cpu().numpy(), stacked.cpu().numpy(),
                  _name(labels.labels.cpu().numpy(), object_ids) if task.needs_labels else None)


def _thresholds(scores: torch.Tensor, task: _Task) -> torch.Tensor:
    """Return each object's threshold: an absent one has no pixels, whatever its logits are."""
    return torch.where(scores > 0, task.threshold, math.inf)


def _name(positions: npt.NDArray[Any], object_ids: Sequence[int]) -> UInt16Array:
    """Turn positions among the outputs, from 1, into ids."""
    names = np.zeros(max(256, len(object_ids) + 1), np.uint16)
    names[1:len(object_ids) + 1] = object_ids
    # Many times as fast as numpy's own.
    named = cv2.LUT(positions, names) if positions.dtype == np.uint8 else names.take(positions)
    return np.asarray(named, np.uint16)


def _numbers(rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> Integers:
    """
    Count what `_Found.numbers` has.

    :param rows: (N, height) mask pixels in each row
    :param columns: (N, width) mask pixels in each column
    """
    found = np.zeros((len(rows), _NUMBERS), np.int64)
    for number, (in_rows, in_columns) in enumerate(zip(rows, columns, strict=True)):
        ys, xs = np.flatnonzero(in_rows), np.flatnonzero(in_columns)
        if len(ys):
            found[number] = (in_rows.sum(), xs[0], ys[0], xs[-1], ys[-1], xs @ in_columns[xs],
                             ys @ in_rows[ys])
    return found


def _all_at_once(task: _Task, outputs: Sequence[LowResMask], object_ids: Sequence[int],
                 replay: Replay) -> _Found:
    """Reduce all objects on the device, and copy all that is wanted of them in one go."""
    logits = torch.cat([output.logits for output in outputs])
    scores = torch.cat([output.score_logits.reshape(1) for output in outputs])
    # 16 bits are 16 bits: torch has few uses for unsigned ones.
    ids = torch.from_numpy(np.array([0, *object_ids], np.uint16).view(np.int16))
    flat, = replay(task, partial(_reduced, task), (logits, scores, to_device(ids, logits.device)))
    return _split(task, len(outputs), _to_host(flat))


def _reduced(task: _Task, inputs: Tensors) -> Tensors:
    """Return the bytes of numbers, scores, masks and labels, one after the other."""
    logits, scores, ids = inputs
    large = _upsample_all(logits, task.hw)
    masks = large > _thresholds(scores, task)[:, None, None]
    parts = [_counted(masks), scores.double()]
    if task.needs_masks:
        parts.append(masks)
    if task.needs_labels:
        # The first of several that are equal, as one after the other.
        best, place = large.masked_fill(~masks, -math.inf).max(dim=0)
        parts.append(ids[torch.where(best > -math.inf, place + 1, 0)])
    return torch.cat([part.contiguous().view(torch.uint8).flatten() for part in parts]),


def _counted(masks: torch.Tensor) -> torch.Tensor:
    """Count (N, 7) what `_Found.numbers` has; all is 0 of an empty mask."""
    rows, columns = masks.sum(2), masks.sum(1)
    ys = torch.arange(rows.shape[1], device=masks.device)
    xs = torch.arange(columns.shape[1], device=masks.device)
    area = rows.sum(1)
    bounds = [_first(columns), _first(rows), _last(columns, xs), _last(rows, ys)]
    found = torch.stack([area, *bounds, (columns * xs).sum(1), (rows * ys).sum(1)], dim=1)
    return found * (area > 0)[:, None]


def _first(counts: torch.Tensor) -> torch.Tensor:
    """Return the first place of (N, places) that has a pixel."""
    return (counts > 0).to(torch.uint8).argmax(1)


def _last(counts: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the last place of (N, places) that has a pixel."""
    return ((counts > 0) * places).amax(1)


def _split(task: _Task, count: int, flat: npt.NDArray[np.uint8]) -> _Found:
    """Read what `_reduced` has written; the arrays share its memory."""
    pixels = math.prod(task.hw)
    sizes = [count * _NUMBERS * 8, count * 8, count * pixels * task.needs_masks,
             2 * pixels * task.needs_labels]
    numbers, scores, masks, labels = np.split(flat, np.cumsum(sizes)[:-1])
    return _Found(
        numbers.view(np.int64).reshape(count, _NUMBERS), scores.view(np.float64),
        masks.view(np.bool_).reshape(-1, *task.hw),
        labels.view(np.uint16).reshape(task.hw) if task.needs_labels else None)


def upsample(logits: torch.Tensor, hw: Hw) -> torch.Tensor:
    """
    Scale logits as stock SAM 2 does for its output.

    :param logits: (1, 1, h, w)
    :returns: (height, width)
    """
    return _upsample_all(logits, hw)[0]


def _upsample_all(logits: torch.Tensor, hw: Hw) -> torch.Tensor:
    """Scale (N, 1, h, w) to (N, height, width)."""
    if tuple(logits.shape[-2:]) != hw:
        logits = functional.interpolate(logits, size=hw, mode='bilinear', align_corners=False)
    return logits[:, 0]


def _to_host(flat: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Copy bytes, through pinned memory."""
    if not flat.is_cuda:
        return np.asarray(flat.numpy())
    pinned = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True)
    pinned.copy_(flat, non_blocking=True)
    torch.cuda.current_stream(flat.device).synchronize()
    return np.asarray(pinned.numpy())


def _summary(numbers: Sequence[int], score_logit: float) -> MaskSummary:
    """Read box, area and centroid off what was counted."""
    score = 1.0 / (1.0 + math.exp(-max(score_logit, -700.0)))
    area, left, top, right, bottom, sum_x, sum_y = numbers
    if area == 0:
        return MaskSummary(score, visible=False)
    return MaskSummary(score, True, Box(left, top, right - left + 1, bottom - top + 1), area,
                       (float(sum_x) / area, float(sum_y) / area))


def _mend(found: _Found, object_ids: Sequence[int], rules: MaskRules) -> None:
    """Mend masks within their boxes, and what follows from them: numbers and the label image."""
    changed = []
    for mask, numbers in zip(found.masks, found.numbers, strict=True):
        _, left, top, right, bottom, *_ = numbers.tolist()
        # One more around it where the picture goes on.
        place = slice(max(0, top - 1), bottom + 2), slice(max(0, left - 1), right + 2)
        before, mask[place] = mask[place].copy(), mended(mask[place], rules)
        numbers[:] = _numbers_within(mask[place], place[1].start, place[0].start)
        changed.append((place, before, mask[place]))
    if found.labels is None:
        return
    for object_id, (place, before, after) in zip(object_ids, changed, strict=True):
        shown = found.labels[place]
        shown[before & ~after & (shown == object_id)] = 0
    for object_id, (place, _, after) in zip(object_ids, changed, strict=True):
        # What nobody has now goes to one of those whose mask it is in.
        shown = found.labels[place]
        shown[after & (shown == 0)] = object_id


def _numbers_within(mask: BoolArray, left: int, top: int) -> Integers:
    """Count what `_Found.numbers` has of a part of the picture that begins somewhere."""
    found = _numbers(mask.sum(1)[None], mask.sum(0)[None])[0]
    area = int(found[0])
    shift = np.array([0, left, top, left, top, area * left, area * top])
    return found + shift if area else found


def mended(mask: BoolArray, rules: MaskRules) -> BoolArray:
    """Return a mask whose small holes are filled and whose small parts are dropped."""
    if rules.fill_hole_area > 0:
        mask = fill_holes(mask, rules.fill_hole_area)
    return drop_islands(mask, rules.min_island_area) if rules.min_island_area > 1 else mask


def fill_holes(mask: BoolArray, max_area: int) -> BoolArray:
    """
    Fill the holes of a mask: background regions (8-connected) of at most so many pixels.

    :param mask: (height, width) bool; what reaches an edge that is free of it is no hole
    """
    if not mask.any():
        return mask
    background = (~mask).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8)
    is_hole = stats[:, cv2.CC_STAT_AREA] <= max_area
    # Region 0 is the mask itself.
    is_hole[0] = False
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        if edge.all():
            is_hole[edge] = False
    return mask | is_hole[regions]


def drop_islands(mask: BoolArray, min_area: int) -> BoolArray:
    """
    Drop the parts of a mask (8-connected) that have fewer pixels, but for the largest.

    :param mask: (height, width) bool
    """
    if not mask.any():
        return mask
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    stays = areas >= min_area
    stays[1 + int(areas[1:].argmax())] = True
    stays[0] = False
    kept: BoolArray = stays[parts]
    return kept
