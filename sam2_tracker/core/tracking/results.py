# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""From the model's outputs to results that are complete in themselves."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

import numpy as np
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.log import Log
from sam2_tracker.core.protocols import FrameMasks, MaskOutput, MaskSummary, PredictorProtocol
from sam2_tracker.core.tracking.track import Track
from sam2_tracker.core.tracking.visibility import announce, Sighting
from sam2_tracker.core.types import (
    BoolArray,
    Frame,
    MaskRules,
    ObjectState,
    TrackedFrame,
    TrackedObject,
    Wanted,
)

_NUMBERS_ONLY = Wanted(label_image=False, masks=False)


def summarised(
    predictor: PredictorProtocol,
    outputs: Sequence[MaskOutput],
    object_ids: Sequence[int],
    source_hw: tuple[int, int],
    wanted: Wanted,
    config: TrackingConfig,
) -> FrameMasks:
    """
    Return the masks of any number of objects, none included.

    :param source_hw: height and width of the masks wanted
    """
    if outputs:
        rules = MaskRules(
            config.mask_threshold, config.fill_hole_area, config.min_island_area)
        return predictor.summarise(outputs, object_ids, source_hw, wanted, rules)
    label_image = np.zeros(source_hw, np.uint16) if wanted.label_image else None
    return FrameMasks((), (), label_image)


def summaries_of(
    predictor: PredictorProtocol,
    outputs: Sequence[MaskOutput],
    object_ids: Sequence[int],
    source_hw: tuple[int, int],
    config: TrackingConfig,
) -> tuple[MaskSummary, ...]:
    """Return the masks' numbers only; they may be of different frames."""
    return summarised(predictor, outputs, object_ids, source_hw, _NUMBERS_ONLY, config).objects


def show(
    frame: Frame,
    tracks: Iterable[Track],
    predictor: PredictorProtocol,
    wanted: Wanted,
    config: TrackingConfig,
    log: Log,
) -> TrackedFrame:
    """
    Make the newest results of all tracks what is shown of them, and return that.

    :param frame: the newest one
    """
    seen = [
        (track, track.memory, output)
        for track in tracks
        if track.memory is not None and (output := track.memory.output(frame.index)) is not None
    ]
    outputs = [output for _, _, output in seen]
    ids = [track.id for track, _, _ in seen]
    masks = summarised(predictor, outputs, ids, frame.source_hw, wanted, config)
    for (track, memory, _), summary in zip(seen, masks.objects, strict=True):
        before = track.shown.state
        track.show(Sighting(frame.index, frame.stamp_ns, summary, memory.believes(frame.index)),
                   config.lost_after_s)
        announce(track.shown, before, config.lost_after_s, log)
    objects = [track.shown for track in tracks]
    if hidden := hidden_ids(objects, ids, masks):
        ids, masks = shown_only(predictor, outputs, ids, hidden, frame.source_hw, wanted, config)
    return tracked_frame(frame, objects, ids, masks, wanted)


def hidden_ids(
    objects: Iterable[TrackedObject], ids: Sequence[int], masks: FrameMasks
) -> frozenset[int]:
    """Return the objects that have a mask but are not called visible."""
    visible = {each.id for each in objects if each.state is ObjectState.VISIBLE}
    return frozenset(object_id for object_id, summary in zip(ids, masks.objects, strict=True)
                     if summary.visible and object_id not in visible)


def shown_only(
    predictor: PredictorProtocol,
    outputs: Sequence[MaskOutput],
    ids: Sequence[int],
    hidden: Container[int],
    source_hw: tuple[int, int],
    wanted: Wanted,
    config: TrackingConfig,
) -> tuple[list[int], FrameMasks]:
    """Make masks and label image again without those that are not shown; return whose they are."""
    kept = [pair for pair in zip(outputs, ids, strict=True) if pair[1] not in hidden]
    left = [object_id for _, object_id in kept]
    return left, summarised(
        predictor, [output for output, _ in kept], left, source_hw, wanted, config)


def tracked_frame(
    frame: Frame,
    objects: Sequence[TrackedObject],
    ids: Sequence[int],
    masks: FrameMasks,
    wanted: Wanted,
) -> TrackedFrame:
    """
    Return a frame's result, with an empty mask for each object that has none.

    :param objects: every object, in the order of their ids
    :param ids: whose masks there are
    """
    masks_by_id: Mapping[int, BoolArray] = (
        dict(zip(ids, masks.masks, strict=True)) if masks.masks else {})
    blank = np.zeros(frame.source_hw, np.bool_)
    shown = tuple(masks_by_id.get(each.id, blank) for each in objects) if wanted.masks else ()
    return TrackedFrame(frame, tuple(objects), shown, masks.label_image)


def without_masks(frame: Frame, objects: Sequence[TrackedObject], wanted: Wanted) -> TrackedFrame:
    """Return a result on which no object can be seen."""
    label_image = np.zeros(frame.source_hw, np.uint16) if wanted.label_image else None
    return tracked_frame(frame, objects, (), FrameMasks((), (), label_image), wanted)
