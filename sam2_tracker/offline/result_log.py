# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Every result so far on disk, so that an interrupted run need not compute them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sam2_tracker.core.types import BoolArray, Box, ObjectState, TrackedFrame, TrackedObject
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.sink import Result
from sam2_tracker.offline.sources.timeline import Shot


class ResultLog:
    """
    One file a frame with all that the outputs are made of but the picture.

    :param folder: made if it does not exist
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, result: Result) -> None:
        """
        Keep a frame's result.

        :raises OutputError: if it cannot be written
        """
        path = self._path(result.number)
        try:
            np.savez_compressed(path, **_arrays(result.tracked))
        except OSError as error:
            raise OutputError(f'{path}, where results are kept for --resume, cannot be written: '
                              f'{error}') from error

    def result(self, shot: Shot) -> Result:
        """
        Return a frame's result as it was.

        :raises OutputError: if it is not there or damaged
        """
        path = self._path(shot.frame.index)
        try:
            with np.load(path) as kept:
                tracked = _tracked(shot, kept)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise OutputError(f'{path} is damaged, the run cannot be resumed; start it without '
                              f'--resume: {error}') from error
        return Result(shot.frame.index, shot.source.recorded_ns, tracked, shot.source.payload)

    def _path(self, number: int) -> Path:
        return self._folder / f'{number:08d}.npz'


def _arrays(tracked: TrackedFrame) -> dict[str, Any]:
    objects = tracked.objects
    boxes = [item.box or Box(0, 0, 0, 0) for item in objects]
    arrays = {
        'ids': np.array([item.id for item in objects], np.int64),
        'labels': np.array([item.label for item in objects], np.str_),
        'states': np.array([int(item.state) for item in objects], np.int64),
        'scores': np.array([item.score for item in objects], np.float64),
        'boxes': np.array([(box.x, box.y, box.width, box.height) for box in boxes], np.int64),
        'areas': np.array([item.area_px for item in objects], np.int64),
        'centroids': np.array([item.centroid_xy for item in objects], np.float64)}
    if tracked.masks:
        arrays['masks'] = np.packbits(np.stack(tracked.masks), axis=-1)
    if tracked.label_image is not None:
        labels = tracked.label_image
        is_small = labels.size == 0 or int(labels.max()) < 256
        arrays['label_image'] = labels.astype(np.uint8) if is_small else labels
    return arrays


def _tracked(shot: Shot, kept: Any) -> TrackedFrame:
    columns = zip(kept['ids'], kept['labels'], kept['states'], kept['scores'],
                  kept['boxes'].reshape(-1, 4), kept['areas'], kept['centroids'].reshape(-1, 2),
                  strict=True)
    objects = tuple(
        TrackedObject(int(object_id), str(label), ObjectState(int(state)), float(score),
                      Box(*(int(side) for side in box)) if area else None, int(area),
                      (float(centroid[0]), float(centroid[1])))
        for object_id, label, state, score, box, area, centroid in columns)
    masks: tuple[BoolArray, ...] = ()
    if 'masks' in kept:
        width = shot.frame.source_hw[1]
        masks = tuple(np.unpackbits(kept['masks'], axis=-1, count=width).view(np.bool_))
    labels = kept.get('label_image')
    label_image = None if labels is None else labels.astype(np.uint16)
    return TrackedFrame(shot.frame, objects, masks, label_image)
