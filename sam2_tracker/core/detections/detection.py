# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a detector says of a picture, and what of that can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
import heapq
import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from sam2_tracker.core.config import DetectionsConfig
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.text import shown, text_fault
from sam2_tracker.core.types import Box, MAX_PROMPTS

BoxEdges = tuple[float, float, float, float]
Overlaps = npt.NDArray[np.float64]

# A thing moves between two frames of a detector: less than what counts as fit is enough for its
# boxes to be the same thing's.
LINK_IOU = 0.2


@dataclass(frozen=True)
class Detection:
    """
    One thing that a detector found.

    :param box_xyxy: left, top, right, bottom in pixels of the source image
    :param score: how sure the detector is; more is surer
    :param class_id: what it is, as the detector names it
    """

    box_xyxy: BoxEdges
    score: float
    class_id: str


@dataclass(frozen=True)
class DetectionArray:
    """
    All that a detector found in one picture.

    :param stamp_ns: of that picture
    :param frame_id: of that picture, or ''
    """

    stamp_ns: int
    frame_id: str
    detections: tuple[Detection, ...]


class Refusals:
    """
    Counts what cannot be used, and says the first of each kind; thread-safe.

    :param log: told the first sentence of each kind
    :ivar count: of what could not be used
    :ivar left_out: of boxes that the settings leave out, by score or by class
    """

    def __init__(self, log: Log = silent) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._kinds: set[str] = set()
        self.count = 0
        self.left_out = 0

    def add(self, kind: str, reason: str, count: int = 1) -> None:
        """
        Count something that is refused.

        :param kind: a word; one sentence is said for each
        :param reason: a sentence with the value and what would be right
        """
        with self._lock:
            is_first = kind not in self._kinds
            self._kinds.add(kind)
            self.count += count
        if is_first:
            self._log(
                Level.WARN, f'detections refused: {reason}; further ones like it are counted only')

    def leave_out(self, count: int) -> None:
        """Count boxes that nobody wants: nothing is wrong with them."""
        with self._lock:
            self.left_out += count


def upright(message: Any) -> Detection:
    """
    Return what a vision_msgs/Detection2D, of rclpy or of a bag, says: its best hypothesis.

    A turned box becomes the upright one around it; without a hypothesis there is no score.
    """
    centre, angle = message.bbox.center.position, message.bbox.center.theta
    # There is no sine of infinity: it leaves a box that is refused.
    sine, cosine = (abs(part(angle)) if math.isfinite(angle) else math.nan
                    for part in (math.sin, math.cos))
    width = message.bbox.size_x * cosine + message.bbox.size_y * sine
    height = message.bbox.size_x * sine + message.bbox.size_y * cosine
    found = [result.hypothesis for result in message.results]
    best = max(found, key=lambda hypothesis: hypothesis.score, default=None)
    return Detection(
        (centre.x - width / 2, centre.y - height / 2, centre.x + width / 2, centre.y + height / 2),
        math.nan if best is None else float(best.score),
        '' if best is None else str(best.class_id),
    )


def is_of_image(array: DetectionArray, frame_id: str, refusals: Refusals) -> bool:
    """Return whether an array can be of an image with this frame_id; if not it is refused."""
    if array.frame_id in ('', frame_id):
        return True
    refusals.add(
        'frame_id', f'frame_id {shown(array.frame_id)} is not {frame_id!r}, as the image has it: '
        'boxes in pixels of that image are expected')
    return False


def sifted(
    detections: Iterable[Detection], config: DetectionsConfig, refusals: Refusals
) -> tuple[Detection, ...]:
    """
    Return the valid ones of wanted classes with their labels, best first.

    At most `MAX_PROMPTS`: a picture has no more things than can be prompted in one go.

    :param refusals: counts what is malformed, what is left out, and how many are too many
    """
    labels = labels_of(config.classes)
    too_many = left_out = 0

    def usable() -> Iterator[Detection]:
        nonlocal too_many, left_out
        for each in detections:
            fault = _fault(each)
            if fault:
                refusals.add(*fault)
            elif each.score >= config.min_score and (not labels or each.class_id in labels):
                too_many += 1
                yield replace(each, class_id=labels.get(each.class_id, each.class_id))
            else:
                left_out += 1

    best = heapq.nlargest(MAX_PROMPTS, usable(), key=lambda each: each.score)
    refusals.leave_out(left_out)
    too_many -= len(best)
    if too_many:
        refusals.add(
            'many', f'{too_many + len(best)} boxes in one picture: the best '
            f'{MAX_PROMPTS} are taken; a higher detections.min_score leaves the others out',
            too_many)
    return tuple(best)


def _fault(each: Detection) -> tuple[str, str] | None:
    left, top, right, bottom = each.box_xyxy
    if not all(map(math.isfinite, each.box_xyxy)):
        return 'box', f'box {_written(each.box_xyxy)} is not four finite numbers'
    if right <= left or bottom <= top:
        return 'size', (
            f'box {_written(each.box_xyxy)} is {right - left:g} by {bottom - top:g} pixels; width '
            'and height must be positive')
    if not math.isfinite(each.score):
        return 'score', f'a score is {each.score}: a finite number is expected'
    fault = text_fault(each.class_id)
    return ('class', f'a class {fault}') if fault else None


def _written(box_xyxy: BoxEdges) -> str:
    return f'({", ".join(f"{edge:g}" for edge in box_xyxy)})'


def within(
    detections: Iterable[Detection], source_hw: tuple[int, int], refusals: Refusals
) -> list[Detection]:
    """Return the detections clipped to a picture; what has no pixel in it is refused."""
    height, width = source_hw
    clipped = []
    for each in detections:
        left, top, right, bottom = each.box_xyxy
        box = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
        if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
            clipped.append(replace(each, box_xyxy=box))
        else:
            refusals.add(
                'outside', f'box {_written(each.box_xyxy)} has not a pixel within the '
                f'{width}x{height} frame; pixels of the source image are expected')
    return clipped


def labels_of(classes: str) -> dict[str, str]:
    """
    Return the label of each wanted class, nothing where all are wanted.

    :param classes: `detections.classes`: names with commas between, or name=label
    """
    labels: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in classes.split(','))):
        name, _, label = (part.strip() for part in entry.partition('='))
        labels[name] = label or name
    return labels


def overlaps(first: Sequence[BoxEdges], second: Sequence[BoxEdges]) -> Overlaps:
    """Return intersection over union, 0 to 1, of each of N boxes with each of M: (N, M)."""
    edges = [np.array(boxes, np.float64).reshape(-1, 4) for boxes in (first, second)]
    these, those = edges[0][:, None], edges[1][None]
    sides = np.minimum(these[..., 2:], those[..., 2:]) - np.maximum(these[..., :2], those[..., :2])
    both = np.clip(sides, 0, None).prod(axis=2)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=2) for each in (these, those)]
    return both / (areas[0] + areas[1] - both)


def iou(first: BoxEdges, second: BoxEdges) -> float:
    """Return the intersection over union of two boxes, 0 to 1."""
    return float(overlaps([first], [second])[0, 0])


def going_on(before: Sequence[Detection], found: Sequence[Detection],
             may_be: Callable[[int, Detection], bool] = lambda *_: True) -> dict[int, int]:
    """
    Return which boxes go on from those of a frame before, each from one of its class, '' for any.

    :param may_be: told a place before, and a box; whether they can be the same thing's
    :returns: places of boxes, and the places before that each goes on from
    """
    overlap = overlaps(*([each.box_xyxy for each in frame] for frame in (before, found)))
    pairs = sorted(
        ((-float(overlap[row, place]), int(row), int(place))
         for row, place in np.argwhere(overlap >= LINK_IOU)
         if before[row].class_id in ('', found[place].class_id) and may_be(row, found[place])))
    places: dict[int, int] = {}
    for _, row, place in pairs:
        if place not in places and row not in places.values():
            places[place] = row
    return places


def edges_of(box: Box) -> BoxEdges:
    """Return a mask's tight box by its edges, as detectors give boxes."""
    return (float(box.x), float(box.y), float(box.x + box.width), float(box.y + box.height))
