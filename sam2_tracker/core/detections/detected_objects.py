# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Decides what a detector's boxes lead to; no threads, clocks or randomness.

A box that fits no object on its frame, and does so on several frames, becomes an object. A box
that fits a hidden object of the detector's refines it. Objects that people prompted are theirs.
The boxes that led to an object are followed, too: where its mask is not what the detector means,
as with a dog in front of another, they would else make one object after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sam2_tracker.core.config import DetectionsConfig
from sam2_tracker.core.detections.detection import (
    BoxEdges,
    Detection,
    edges_of,
    going_on,
    iou,
    LINK_IOU,
    Overlaps,
    overlaps,
    Refusals,
    within,
)
from sam2_tracker.core.types import Box, ObjectState, Prompt, TrackedObject

# A candidate that so many frames in a row do not show is given up.
MAX_MISSES = 5
MAX_CANDIDATES = 200
# After so many frames in a row without a box of its own an object is known by its mask alone.
MAX_UNSEEN = 30
# What somebody removed may come back when a detector has not shown it for so long.
DISMISSED_NS = 10 * 10**9


@dataclass(frozen=True)
class Scene:
    """
    What is known of all objects on the frame that a detector saw.

    :param objects: as they are on that frame, UNKNOWN or left out where that is not known
    :param last_boxes: by id, where an object that is hidden there was visible last
    :param now: every object as it is on the newest frame
    :param room: how many new objects there may be
    :param is_refinable: whether known objects can still be prompted on that frame
    :param elsewhere: the hidden ones that were visible last in another shot
    """

    stamp_ns: int
    source_hw: tuple[int, int]
    objects: Sequence[TrackedObject]
    last_boxes: Mapping[int, Box]
    now: Sequence[TrackedObject]
    room: int
    is_refinable: bool = True
    elsewhere: Collection[int] = ()

    @property
    def is_before_an_object(self) -> bool:
        """Return whether an object of today was not known there yet: its box is missing."""
        known = {each.id for each in self.objects if each.state is not ObjectState.UNKNOWN}
        return any(each.id not in known for each in self.now)


@dataclass(eq=False)
class _Candidate:
    """A thing that fits no object so far."""

    newest: Detection
    stamps_ns: set[int] = field(default_factory=set)
    misses: int = 0


@dataclass(eq=False)
class _Claim:
    """
    What the detector says of an object that it brought.

    :param has_agreed: the mask has fitted such a box at least once
    """

    newest: Detection
    has_agreed: bool
    misses: int = 0


@dataclass(eq=False)
class _Dismissed:
    """
    A thing whose object somebody removed.

    :param newest: where a detector or the mask showed it last; class '' is any
    :param seen_ns: when, None before the next frame that is looked at
    """

    newest: Detection
    seen_ns: int | None = None


class DetectedObjects:
    """
    The objects that a detector brought, and the candidates for more.

    :param refusals: counts boxes that lie outside their frames
    :ivar config: may be exchanged at any time
    """

    def __init__(self, config: DetectionsConfig, refusals: Refusals) -> None:
        self.config = config
        self._refusals = refusals
        self._ids: set[int] = set()
        self._claims: dict[int, _Claim] = {}
        self._lost_since_ns: dict[int, int] = {}
        self._candidates: list[_Candidate] = []
        self._dismissed: list[_Dismissed] = []
        self._looked_at_ns: int | None = None

    @property
    def ids(self) -> Collection[int]:
        """Return the objects that came from a detector and that nobody else has prompted."""
        return self._ids

    def is_due(self, stamp_ns: int) -> bool:
        """Return whether a frame is to be looked at, by `period_s`."""
        before_ns = self._looked_at_ns
        if before_ns is None or stamp_ns == before_ns:
            return True
        return abs(stamp_ns - before_ns) >= round(self.config.period_s * 1e9)

    def consider(self, detections: Iterable[Detection], scene: Scene) -> tuple[Prompt, ...]:
        """
        Return what is to be prompted on a frame, in one go; ids of new objects are 0.

        :param detections: of that frame, best first
        """
        self._looked_at_ns = scene.stamp_ns
        found = self._distinct(within(detections, scene.source_hw, self._refusals))
        followed = self._followed(found, scene)
        fits = {**self._fitting(found, scene), **followed}
        for place, object_id in sorted(fits.items()):
            if object_id not in followed.values():
                self._claim(object_id, found[place], scene)
                followed[place] = object_id
        refinements: dict[int, Prompt] = {}
        for place, object_id in sorted(fits.items()):
            if object_id not in refinements and self._wants_help(object_id, scene):
                refinements[object_id] = _prompt(found[place], object_id)
        self._give_up_near([found[place] for place in fits])
        self._count_misses(set(fits.values()))
        confirmed: list[_Candidate] = []
        unfit = self._without_dismissed(
            [each for place, each in enumerate(found) if place not in fits], scene.stamp_ns)
        if not scene.is_before_an_object:
            confirmed = self._confirmed(unfit, scene.stamp_ns)
        new = confirmed[:max(0, scene.room)]
        self._candidates = [each for each in self._candidates if each not in new]
        return (*refinements.values(), *(_prompt(each.newest) for each in new))

    def _followed(self, found: Sequence[Detection], scene: Scene) -> dict[int, int]:
        """Return which boxes go on from those that led to an object: places, and objects."""
        visible = sorted(each for each in self._claims if _box_of(each, scene) is not None)
        followed = {place: visible[row] for place, row in going_on(
            [self._claims[each].newest for each in visible], found,
            lambda row, box: not self._has_drifted(visible[row], box, scene)).items()}
        for place, object_id in followed.items():
            self._claim(object_id, found[place], scene)
        return followed

    def _without_dismissed(self, unfit: Sequence[Detection], stamp_ns: int) -> list[Detection]:
        """Follow what somebody removed from message to message; return the other boxes."""
        followed = going_on([each.newest for each in self._dismissed], unfit)
        for place, row in followed.items():
            self._dismissed[row] = _Dismissed(unfit[place], stamp_ns)
        for each in self._dismissed:
            each.seen_ns = stamp_ns if each.seen_ns is None else each.seen_ns
        self._dismissed = [each for each in self._dismissed if each.seen_ns is None
                           or stamp_ns - each.seen_ns <= DISMISSED_NS]
        return [each for place, each in enumerate(unfit) if place not in followed]

    def _count_misses(self, seen: Collection[int]) -> None:
        for object_id, claim in list(self._claims.items()):
            claim.misses = 0 if object_id in seen else claim.misses + 1
            if claim.misses > MAX_UNSEEN:
                del self._claims[object_id]

    def _has_drifted(self, object_id: int, detection: Detection, scene: Scene) -> bool:
        """Return whether a mask that was right once is on something else now."""
        box = _box_of(object_id, scene)
        return self._claims[object_id].has_agreed and box is not None and (
            iou(edges_of(box), detection.box_xyxy) < LINK_IOU)

    def _claim(self, object_id: int, detection: Detection, scene: Scene) -> None:
        claim, box = self._claims.get(object_id), _box_of(object_id, scene)
        if claim is None or claim.newest.class_id != detection.class_id:
            return
        claim.newest = detection
        claim.has_agreed |= self._agrees(detection.box_xyxy, box)

    def _agrees(self, box_xyxy: BoxEdges, box: Box | None) -> bool:
        return box is not None and iou(edges_of(box), box_xyxy) >= self.config.match_iou

    def _distinct(self, detections: Sequence[Detection]) -> list[Detection]:
        """Return the best of those that fit each other: they are of one thing."""
        fit = overlaps(_boxes(detections), _boxes(detections)) >= self.config.match_iou
        distinct: list[int] = []
        for place in range(len(detections)):
            if not fit[place, distinct].any():
                distinct.append(place)
        return [detections[place] for place in distinct]

    def _fitting(self, found: Sequence[Detection], scene: Scene) -> dict[int, int]:
        """Return which boxes fit an object, a visible one or else one that is hidden there."""
        visible = [each for each in scene.objects if each.box is not None]
        hidden = [each for each in scene.objects if self._keeps_its_place(each, scene)]
        seen = overlaps(_boxes(found), [edges_of(each.box) for each in visible if each.box])
        kept = overlaps(_boxes(found), [self._place_of(each, scene) for each in hidden])
        for column, item in enumerate(hidden):
            if item.id in self._ids:
                kept[[each.class_id != item.label for each in found], column] = 0
        fitting: dict[int, int] = {}
        for objects, overlap in ((hidden, kept), (visible, seen)):
            for place, column in self._best(overlap).items():
                fitting[place] = objects[column].id
        return fitting

    def _best(self, overlap: Overlaps) -> dict[int, int]:
        """Return for each row that has a fit the column that fits best."""
        if not overlap.size:
            return {}
        rows = np.flatnonzero(overlap.max(axis=1) >= self.config.match_iou)
        return {int(row): int(overlap[row].argmax()) for row in rows}

    def _keeps_its_place(self, item: TrackedObject, scene: Scene) -> bool:
        is_known = item.id in scene.last_boxes or item.id in self._claims
        if item.box is not None or item.state is ObjectState.UNKNOWN or not is_known:
            return False
        if item.id in scene.elsewhere:
            return False
        # Whoever lost an object of his own is not to be kept from a new one for ever.
        return item.state is ObjectState.OCCLUDED or item.id in self._ids

    def _place_of(self, item: TrackedObject, scene: Scene) -> BoxEdges:
        """Return where a hidden object was last: by the detector, or else by its mask."""
        claim = self._claims.get(item.id)
        return edges_of(scene.last_boxes[item.id]) if claim is None else claim.newest.box_xyxy

    def _wants_help(self, object_id: int, scene: Scene) -> bool:
        if object_id not in self._ids or not scene.is_refinable:
            return False
        states = (ObjectState.OCCLUDED, ObjectState.LOST)
        then = any(each.id == object_id and each.state in states for each in scene.objects)
        return then and any(
            each.id == object_id and each.state in states and not each.catching_up
            for each in scene.now)

    def _give_up_near(self, fitting: Sequence[Detection]) -> None:
        """Let what fits an object be no candidate any more."""
        near = overlaps(_boxes(each.newest for each in self._candidates), _boxes(fitting))
        self._candidates = [
            each for row, each in enumerate(self._candidates)
            if not any(fitting[place].class_id == each.newest.class_id
                       for place in np.flatnonzero(near[row] >= LINK_IOU))
        ]

    def _confirmed(self, unfit: Sequence[Detection], stamp_ns: int) -> list[_Candidate]:
        """Take in what fits nothing; return who was seen often enough and now, best first."""
        for each in self._candidates:
            each.misses += stamp_ns not in each.stamps_ns
        overlap = overlaps(_boxes(unfit), _boxes(each.newest for each in self._candidates))
        seen_now: list[_Candidate] = []
        for row, detection in enumerate(unfit):
            candidate = self._linked(detection, overlap[row], seen_now)
            self._see(candidate, detection, stamp_ns)
            seen_now.append(candidate)
        self._candidates += [each for each in seen_now if each not in self._candidates]
        self._bound_candidates()
        confirmed = [
            each for each in seen_now
            if len(each.stamps_ns) >= self.config.confirm_frames
            and stamp_ns == max(each.stamps_ns)
        ]
        return sorted(confirmed, key=lambda each: -each.newest.score)

    def _linked(
        self, detection: Detection, overlap: Overlaps, taken: Collection[_Candidate]
    ) -> _Candidate:
        """Return the candidate that a box goes on from, or a new one."""
        for position in np.argsort(-overlap, kind='stable'):
            candidate = self._candidates[position]
            if overlap[position] < LINK_IOU:
                break
            if candidate not in taken and candidate.newest.class_id == detection.class_id:
                return candidate
        return _Candidate(detection)

    @staticmethod
    def _see(candidate: _Candidate, detection: Detection, stamp_ns: int) -> None:
        candidate.misses = 0
        if not candidate.stamps_ns or stamp_ns >= max(candidate.stamps_ns):
            candidate.newest = detection
        candidate.stamps_ns.add(stamp_ns)

    def _bound_candidates(self) -> None:
        alive = [each for each in self._candidates if each.misses <= MAX_MISSES]
        alive.sort(key=lambda each: (each.misses, -len(each.stamps_ns)))
        self._candidates = alive[:MAX_CANDIDATES]
        for each in self._candidates:
            # The newest are enough: they only tell how many there were.
            newest = sorted(each.stamps_ns)[-max(1, self.config.confirm_frames):]
            each.stamps_ns = set(newest)

    def took(self, item: TrackedObject, prompt: Prompt) -> None:
        """
        Take in which new object came of a prompt that `consider` returned.

        :param item: as it is on the prompted frame
        """
        assert prompt.box_xyxy is not None
        left, top, right, bottom = (float(edge) for edge in prompt.box_xyxy)
        detection = Detection((left, top, right, bottom), 1.0, prompt.label)
        self._ids.add(item.id)
        self._claims[item.id] = _Claim(detection, self._agrees(detection.box_xyxy, item.box))

    def release(self, ids: Iterable[int]) -> None:
        """Leave objects to people who have prompted or named them."""
        for object_id in ids:
            self._let_go(object_id)

    def dismiss(self, item: TrackedObject) -> None:
        """
        Make no object of what somebody removed as long as a detector goes on to show it.

        :param item: as it was on the newest frame
        """
        claim = self._claims.get(item.id)
        if claim is not None:
            self._dismissed.append(_Dismissed(claim.newest))
        elif item.box is not None:
            self._dismissed.append(_Dismissed(Detection(edges_of(item.box), item.score, '')))
        del self._dismissed[:-MAX_CANDIDATES]
        self._let_go(item.id)

    def _let_go(self, object_id: int) -> None:
        self._ids.discard(object_id)
        self._claims.pop(object_id, None)

    def outstayed(self, objects: Iterable[TrackedObject], stamp_ns: int) -> tuple[int, ...]:
        """
        Return the objects of the detector that were LOST for too long, once.

        :param objects: every object as it is on the newest frame
        :param stamp_ns: of that frame
        """
        lost = {
            each.id for each in objects
            if each.id in self._ids and each.state is ObjectState.LOST and not each.catching_up
        }
        self._lost_since_ns = {
            object_id: self._lost_since_ns.get(object_id, stamp_ns) for object_id in sorted(lost)
        }
        limit_ns = round(self.config.remove_lost * 1e9)
        gone = tuple(
            object_id for object_id, since_ns in self._lost_since_ns.items()
            if stamp_ns - since_ns >= limit_ns
        )
        for object_id in {*gone, *(self._ids - {each.id for each in objects})}:
            self._let_go(object_id)
        return gone

    def forget_candidates(self) -> None:
        """Begin anew to look for things: the stream, or all objects, began anew."""
        self._candidates, self._dismissed = [], []
        self._claims = {}
        self._lost_since_ns = {}
        self._looked_at_ns = None


def _boxes(detections: Iterable[Detection]) -> list[BoxEdges]:
    return [each.box_xyxy for each in detections]


def _box_of(object_id: int, scene: Scene) -> Box | None:
    """Return where an object's mask is on a frame, None if it has none there."""
    return next((each.box for each in scene.objects if each.id == object_id), None)


def _prompt(detection: Detection, object_id: int = 0) -> Prompt:
    label = '' if object_id else detection.class_id
    return Prompt(object_id, label, box_xyxy=np.array(detection.box_xyxy, np.float32))
