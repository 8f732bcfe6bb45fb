# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a run has done of a recording, on disk: results, and a state to go on from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import json
from pathlib import Path
import shutil
import time
from typing import Any

import numpy as np
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.text import text_fault
from sam2_tracker.core.tracking.visibility import Visibility
from sam2_tracker.core.types import (
    BoolArray,
    Box,
    ObjectState,
    TrackedFrame,
    TrackedObject,
    Wanted,
)
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.run.clip import Clip, ClipState, KnownObject, result_of
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sinks.staging import write_whole
from sam2_tracker.offline.sources.timeline import TimedFrame

_STATE = 'state.safetensors'
# A run that is interrupted early goes on too: the pause before a state doubles from here.
FIRST_PAUSE_S = 5.0
# A label may hold any character, a tensor's name none of these.
_SEPARATOR = '/'


class SavedProgress:
    """
    The results of one recording, and the newest state.

    :param folder: theirs
    :param every_s: most seconds between two states, 0 to keep nothing
    :param log: told if nothing can be kept any more; the run itself goes on
    """

    def __init__(self, folder: Path, every_s: float, log: Log = silent) -> None:
        self._folder = folder
        self._every_s = every_s
        self._log = log
        self._results: _SavedResults | None = None
        self._kept_s = time.monotonic()
        self._pause_s = min(FIRST_PAUSE_S, every_s)
        self._hidden: dict[int, Visibility] = {}
        self.resumed = _load_state(folder / _STATE) if (folder / _STATE).exists() else None

    @property
    def replayed_frames(self) -> int:
        """Return how many frames an earlier run has done."""
        return 0 if self.resumed is None else self.resumed.index + 1

    def keep(self, item: Result | ClipState) -> None:
        """
        Keep a result, unless it came from here; or a state, all results up to it being kept.

        Where the disk is full nothing more is kept: a resumed run goes on from the last state.
        """
        if self._every_s == 0:
            return
        try:
            self._keep(item)
        except OutputError as error:
            self._every_s = 0
            self._log(Level.WARN, f'{error}; --resume would go on from before this')

    def _keep(self, item: Result | ClipState) -> None:
        if isinstance(item, ClipState):
            _save_state(self._folder / _STATE, item)
        elif item.number >= self.replayed_frames:
            if self._results is None:
                self._results = _SavedResults(self._folder / 'results')
            self._results.write(item)

    def due_state(self, clip: Clip, result: Result) -> ClipState | None:
        """
        Return the state after a result if it is time to keep one.

        :param result: of the frame that the clip has come to, or of one before it
        """
        self._observe(result)
        is_due = self._every_s > 0 and time.monotonic() - self._kept_s >= self._pause_s
        if not is_due or clip.tracker.next_index != result.number + 1:
            return None
        state = clip.state(self._hidden)
        if state is not None:
            self._kept_s = time.monotonic()
            self._pause_s = min(2 * self._pause_s, self._every_s)
        return state

    def _observe(self, result: Result) -> None:
        """Remember since when objects are hidden: the tracker says only that they are."""
        stamp_ns = result.tracked.frame.stamp_ns
        for item in result.tracked.objects:
            before = self._hidden.get(item.id)
            since_ns = stamp_ns if before is None or before.hidden_since_ns is None else (
                before.hidden_since_ns)
            is_visible = item.state is ObjectState.VISIBLE
            self._hidden[item.id] = Visibility(item.state, None if is_visible else since_ns)

    def track_on(
        self, clip: Clip, frames: Iterable[TimedFrame], wanted: Wanted
    ) -> Iterator[Result]:
        """
        Yield the results of the interrupted run, then go on where it was.

        :raises TrackerError: if what was kept is damaged, or a frame or prompt is at fault
        """
        assert self.resumed is not None
        results = _SavedResults(self._folder / 'results')
        for timed in frames:
            if timed.frame.index <= self.resumed.index:
                clip.pass_over(timed)
                if timed.frame.index == self.resumed.index:
                    self._restore(clip, timed.frame.source_hw)
                yield results.result(timed)
                continue
            clip.step(timed)
            yield result_of(timed, clip.tracker.result(wanted))
        clip.finish()

    def _restore(self, clip: Clip, source_hw: tuple[int, int]) -> None:
        assert self.resumed is not None
        try:
            clip.restore(self.resumed, source_hw)
        except ModelError as error:
            raise OutputError(
                f'{self._folder / _STATE} is damaged or of another version, the run cannot be '
                f'resumed; start it without --resume: {error}') from error

    def clear(self) -> None:
        """Forget everything: the recording is complete."""
        shutil.rmtree(self._folder, ignore_errors=True)


def has_saved_state(folder: Path) -> bool:
    """Return whether there is something to go on from in the folder of any recording."""
    return any(folder.glob(f'*/{_STATE}'))


class _SavedResults:
    """
    One file a frame with all that the outputs are made of but the picture.

    :param folder: made with the first of them
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, result: Result) -> None:
        """
        Keep a frame's result.

        :raises OutputError: if it cannot be written
        """
        path = self._path(result.number)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **_arrays(result.tracked))
        except OSError as error:
            raise OutputError(f'{path}, where results are kept for --resume, cannot be written: '
                              f'{error}') from error

    def result(self, timed: TimedFrame) -> Result:
        """
        Return a frame's result as it was.

        :raises OutputError: if it is not there or damaged
        """
        path = self._path(timed.frame.index)
        try:
            with np.load(path) as kept:
                tracked = _tracked(timed, kept)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise OutputError(f'{path} is damaged, the run cannot be resumed; start it without '
                              f'--resume: {error}') from error
        return result_of(timed, tracked)

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


def _tracked(timed: TimedFrame, kept: Any) -> TrackedFrame:
    columns = zip(kept['ids'], kept['labels'], kept['states'], kept['scores'],
                  kept['boxes'].reshape(-1, 4), kept['areas'], kept['centroids'].reshape(-1, 2),
                  strict=True)
    objects = tuple(
        TrackedObject(int(object_id), _label(str(label)), ObjectState(int(state)), float(score),
                      Box(*(int(side) for side in box)) if area else None, int(area),
                      (float(centroid[0]), float(centroid[1])))
        for object_id, label, state, score, box, area, centroid in columns)
    masks: tuple[BoolArray, ...] = ()
    if 'masks' in kept:
        width = timed.frame.source_hw[1]
        masks = tuple(np.unpackbits(kept['masks'], axis=-1, count=width).view(np.bool_))
    labels = kept.get('label_image')
    label_image = None if labels is None else labels.astype(np.uint16)
    return TrackedFrame(timed.frame, objects, masks, label_image)


def _save_state(path: Path, state: ClipState) -> None:
    """
    Write a state; it is there whole or not at all.

    :raises OutputError: if it cannot be written
    """
    from sam2_tracker.core.engine.memory.tensor_file import tensor_file_bytes

    tensors = {f'{each.object_id}{_SEPARATOR}{name}': tensor for each in state.objects
               for name, tensor in each.memory.items()}
    objects = [{'object_id': each.object_id, 'label': each.label,
                'state': int(each.visibility.state),
                'hidden_since_ns': each.visibility.hidden_since_ns} for each in state.objects]
    head = {'index': str(state.index), 'objects': json.dumps(objects)}
    write_whole(path, tensor_file_bytes(tensors, head))


def _load_state(path: Path) -> ClipState:
    """
    Read a state.

    :raises OutputError: if it is damaged
    """
    from sam2_tracker.core.engine.memory.tensor_file import read_tensor_file

    try:
        file = read_tensor_file(path)
        objects = tuple(_known(each, file.tensors) for each in json.loads(file.words['objects']))
        return ClipState(int(file.words['index']), objects)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f'{path} is damaged, the run cannot be resumed; start it without '
                          f'--resume: {error}') from error


def _known(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> KnownObject:
    prefix = f'{entry["object_id"]}{_SEPARATOR}'
    visibility = Visibility(ObjectState(entry['state']), entry['hidden_since_ns'])
    memory = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()
              if name.startswith(prefix)}
    return KnownObject(entry['object_id'], _label(entry['label']), visibility, memory)


def _label(text: str) -> str:
    """
    Return a label that was kept.

    :raises ValueError: if it is none that could have been given
    """
    fault = text_fault(text)
    if fault:
        raise ValueError(f'a label {fault}')
    return text
