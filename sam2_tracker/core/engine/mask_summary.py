# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""From low-resolution logits to masks, boxes, areas and a label image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sam2_tracker.core.engine.memory.object_memory import LowResMask
from sam2_tracker.core.protocols import FrameMasks, MaskSummary
from sam2_tracker.core.types import BoolArray, Box, UInt16Array, Wanted
import torch
from torch.nn import functional

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _OnDevice:
    """
    What is copied to the host.

    :param rows: (N, height) mask pixels in each row
    :param columns: (N, width) mask pixels in each column
    :param scores: (N,) object scores before the sigmoid
    :param masks: (N, height, width) bool, N = 0 if not wanted
    :param labels: (height, width) uint8, position among the outputs + 1; empty if not wanted
    """

    rows: torch.Tensor
    columns: torch.Tensor
    scores: torch.Tensor
    masks: torch.Tensor
    labels: torch.Tensor


class _LabelMap:
    """The object with the highest logit at each pixel, one object after the other."""

    def __init__(self, hw: tuple[int, int], count: int, device: torch.device) -> None:
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
                    video_hw: tuple[int, int], wanted: Wanted, mask_threshold: float = 0.0,
                    fill_hole_area: int = 0) -> FrameMasks:
    """
    Turn results of one frame into pixels; see `PredictorProtocol.summarise`.

    Everything is reduced on the device; what is copied is a few numbers a row, the label image
    and the masks if wanted, in one go.
    """
    if not outputs:
        return FrameMasks((), (), np.zeros(video_hw, np.uint16) if wanted.label_image else None)
    needs_masks = wanted.masks or fill_hole_area > 0
    host = _to_host(_reduce(outputs, video_hw, needs_masks, wanted.label_image, mask_threshold))
    rows, columns, scores, masks, positions = host
    labels = _name(positions, object_ids) if wanted.label_image else None
    if fill_hole_area > 0:
        masks = np.stack([fill_holes(mask, fill_hole_area) for mask in masks])
        rows, columns = masks.sum(2), masks.sum(1)
        _label_filled(labels, masks, object_ids)
    objects = tuple(_summary(*numbers) for numbers in zip(rows, columns, scores, strict=True))
    return FrameMasks(objects, tuple(masks) if wanted.masks else (), labels)


def _name(positions: npt.NDArray[Any], object_ids: Sequence[int]) -> UInt16Array:
    """Turn positions among the outputs, from 1, into ids."""
    names: UInt16Array = np.array([0, *object_ids], np.uint16).take(positions)
    return names


def _reduce(outputs: Sequence[LowResMask], hw: tuple[int, int], needs_masks: bool,
            needs_labels: bool, threshold: float) -> _OnDevice:
    """Upsample and reduce one object after the other: memory stays that of one."""
    device = outputs[0].logits.device
    scores = torch.cat([output.score_logits.reshape(1) for output in outputs])
    # An absent object has no pixels, whatever its logits are.
    thresholds = torch.where(scores > 0, threshold, math.inf)
    rows, columns, masks = [], [], []
    labels = _LabelMap(hw if needs_labels else (0, 0), len(outputs), device)
    for number, output in enumerate(outputs, 1):
        logits = upsample(output.logits, hw)
        mask = logits > thresholds[number - 1]
        rows.append(mask.sum(1, dtype=torch.int32))
        columns.append(mask.sum(0, dtype=torch.int32))
        if needs_masks:
            masks.append(mask)
        if needs_labels:
            labels.add(number, logits, mask)
    stacked = torch.stack(masks) if masks else torch.zeros(0, *hw, dtype=torch.bool)
    return _OnDevice(torch.stack(rows), torch.stack(columns), scores, stacked, labels.labels)


def upsample(logits: torch.Tensor, hw: tuple[int, int]) -> torch.Tensor:
    """
    Scale logits as stock SAM 2 does for its output.

    :param logits: (1, 1, h, w)
    :returns: (height, width)
    """
    if tuple(logits.shape[-2:]) == hw:
        return logits[0, 0]
    return functional.interpolate(logits, size=hw, mode='bilinear', align_corners=False)[0, 0]


def _to_host(found: _OnDevice) -> list[npt.NDArray[Any]]:
    """Copy everything in one go, through pinned memory."""
    tensors = (found.rows, found.columns, found.scores.double(), found.masks, found.labels)
    if not found.rows.is_cuda:
        return [tensor.numpy() for tensor in tensors]
    pinned = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
              for tensor in tensors]
    for target, source in zip(pinned, tensors, strict=True):
        target.copy_(source, non_blocking=True)
    torch.cuda.current_stream(found.rows.device).synchronize()
    return [tensor.numpy() for tensor in pinned]


def _summary(rows: Counts, columns: Counts, score_logit: float) -> MaskSummary:
    """Read box, area and centroid off the pixel counts of rows and columns."""
    score = 1.0 / (1.0 + math.exp(-max(float(score_logit), -700.0)))
    area = int(rows.sum())
    if area == 0:
        return MaskSummary(score, visible=False)
    ys, xs = np.flatnonzero(rows), np.flatnonzero(columns)
    box = Box(int(xs[0]), int(ys[0]), int(xs[-1] - xs[0]) + 1, int(ys[-1] - ys[0]) + 1)
    centroid = (float(xs @ columns[xs]) / area, float(ys @ rows[ys]) / area)
    return MaskSummary(score, True, box, area, centroid)


def fill_holes(mask: BoolArray, max_area: int) -> BoolArray:
    """
    Fill the holes of a mask: background regions (8-connected) of at most so many pixels.

    :param mask: (height, width) bool
    """
    if not mask.any():
        return mask
    background = (~mask).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8)
    is_hole = stats[:, cv2.CC_STAT_AREA] <= max_area
    # Region 0 is the mask itself.
    is_hole[0] = False
    return mask | is_hole[regions]


def _label_filled(labels: UInt16Array | None, masks: BoolArray,
                  object_ids: Sequence[int]) -> None:
    """Give filled pixels that no object has to the one whose hole it was."""
    if labels is None:
        return
    for mask, object_id in zip(masks, object_ids, strict=True):
        labels[mask & (labels == 0)] = object_id
