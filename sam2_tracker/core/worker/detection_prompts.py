# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Detections on their way to the tracker: each finds its frame, however late or early it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
import threading

from sam2_tracker.core.config import DetectionsConfig
from sam2_tracker.core.detections.detected_objects import DetectedObjects, Scene
from sam2_tracker.core.detections.detection import DetectionArray, is_of_image, Refusals
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.frames.source import FrameSource
from sam2_tracker.core.frames.stored_frame import format_stamp, StoredFrame
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.tracking.visibility import object_name
from sam2_tracker.core.types import Frame, Prompt, TrackedObject
from sam2_tracker.core.worker.prompt_requests import PromptAnswers

# Arrays that wait for their frame, or for a replay; with 100 boxes each a megabyte.
MAX_WAITING = 64
# A stamp that is farther ahead of the newest frame is of another clock.
LARGEST_LEAD_NS = 10 * 10**9


@dataclass(frozen=True)
class DetectionCounts:
    """
    What became of a detector's messages so far.

    :param used: arrays that were looked at
    :param refused: boxes and arrays that could not be used
    :param waiting: arrays that wait for their frame, or for objects that catch up
    :param left_out: boxes of too low a score, or of classes that are not wanted
    """

    used: int = 0
    refused: int = 0
    waiting: int = 0
    left_out: int = 0


class DetectionPrompts:
    """
    Looks at each array on the frame that it is of, when that was tracked and nothing catches up.

    Only `put` and `counts` may be used from any thread.

    :param prompts: find the frames and prompt them
    :ivar refusals: counts what cannot be used
    """

    def __init__(
        self,
        tracker: Tracker,
        source: FrameSource,
        prompts: PromptAnswers,
        config: DetectionsConfig,
        log: Log,
    ) -> None:
        self._tracker = tracker
        self._source = source
        self._prompts = prompts
        self._log = log
        self.refusals = Refusals(log)
        self._objects = DetectedObjects(config, self.refusals)
        self._lock = threading.Lock()
        self._waiting: list[DetectionArray] = []
        self._has_new = False
        self._used = 0
        if config.use:
            tracker.sightings.want()

    @property
    def counts(self) -> DetectionCounts | None:
        """Return what became of all arrays so far, None where none are wanted."""
        if not self.config.use:
            return None
        return DetectionCounts(
            self._used, self.refusals.count, len(self._waiting), self.refusals.left_out)

    @property
    def config(self) -> DetectionsConfig:
        """Return the settings."""
        return self._objects.config

    @config.setter
    def config(self, config: DetectionsConfig) -> None:
        self._objects.config = config

    def put(self, array: DetectionArray) -> bool:
        """
        Take an array in; where too many wait the oldest is dropped and counted.

        :returns: whether `settle` has to be called: no call that is still to come was asked for
        """
        if array.stamp_ns <= 0:
            self.refusals.add(
                'no stamp', 'a message has stamp 0: the stamp of the image that the detector saw '
                'is expected')
            return False
        with self._lock:
            is_first, self._has_new = not self._has_new, True
            self._waiting.append(array)
            self._waiting.sort(key=lambda each: each.stamp_ns)
            dropped = self._waiting[:-MAX_WAITING]
            del self._waiting[:-MAX_WAITING]
        if dropped:
            self.refusals.add(
                'waiting', f'{MAX_WAITING} messages wait already for their frames, or for objects '
                'that catch up: the oldest is dropped', len(dropped))
        return is_first

    def settle(self) -> None:
        """Look at every array whose turn has come."""
        with self._lock:
            waiting, self._has_new = list(self._waiting), False
        for array in waiting:
            # A replay tells where objects were; what it begins is over before the next array.
            if self._tracker.catching_up:
                return
            try:
                stored = self._turn_of(array)
                if stored is not None:
                    # First, so that one that fails is not tried for ever.
                    self._drop(array)
                    self._look(array, stored)
            except FrameError as error:
                self._drop(array)
                self.refusals.add('frame', str(error))
            except PromptError as error:
                self.refusals.add('prompt', str(error))

    def _drop(self, array: DetectionArray) -> None:
        with self._lock:
            self._waiting = [each for each in self._waiting if each is not array]

    def _turn_of(self, array: DetectionArray) -> StoredFrame | None:
        """
        Return the frame of an array, None while that is still to be tracked.

        :raises FrameError: if there is none, or can be none
        """
        stored = self._prompts.turn_of(array.stamp_ns)
        if stored is None and self._prompts.newest_stamp_ns is not None:
            lead_ns = array.stamp_ns - self._prompts.newest_stamp_ns
            if lead_ns > LARGEST_LEAD_NS:
                raise FrameError(
                    f'stamp {format_stamp(array.stamp_ns)} is {lead_ns / 1e9:.0f} s ahead of the '
                    'newest frame: the stamp of the image that the detector saw is expected')
        return stored

    def _look(self, array: DetectionArray, stored: StoredFrame) -> None:
        if not is_of_image(array, stored.header.frame_id, self.refusals):
            return
        if not self._objects.is_due(array.stamp_ns):
            return
        self._used += 1
        processed = stored
        if stored.index is None:
            processed = self._source.nearest_processed(stored)
        assert processed.index is not None
        scene = scene_on(
            self._tracker, processed.index, processed.stamp_ns, stored.stamp_ns, stored.source_hw)
        prompts = self._objects.consider(array.detections, scene)
        if not prompts:
            return
        prompted = self._prompts.apply_detected(prompts, stored)
        take_in(self._objects, prompts, prompted, format_stamp(stored.stamp_ns), self._log)

    def processed(self, frame: Frame) -> None:
        """Take in that a frame's result is there: objects go, and arrays may have their turn."""
        remove_outstayed(self._tracker, self._objects, frame.stamp_ns, self._log)
        self.settle()

    def release(self, ids: Collection[int]) -> None:
        """Leave objects to people who have prompted or named them."""
        self._objects.release(ids)

    def dismiss(self, item: TrackedObject) -> None:
        """Make no object again of what somebody removed, as long as the detector shows it."""
        if self.config.use:
            self._objects.dismiss(item)

    def begin_anew(self, keep_waiting: bool = False) -> None:
        """
        Forget what was seen so far: the stream, or all objects, began anew.

        :param keep_waiting: arrays that wait are for frames that are still to come
        """
        self._objects.forget_candidates()
        if not keep_waiting:
            with self._lock:
                self._waiting.clear()


def scene_on(
    tracker: Tracker, index: int, index_stamp_ns: int, stamp_ns: int, source_hw: tuple[int, int]
) -> Scene:
    """
    Return what is known of all objects on a frame.

    :param index: of the processed frame in whose place a detector's frame is
    :param index_stamp_ns: its stamp
    :param stamp_ns: of the frame that the detector saw
    :param source_hw: height and width of that
    """
    now = tracker.objects()
    ids = {each.id for each in now}
    objects = [each for each in tracker.sightings.on(index) if each.id in ids]
    last = {
        each.id: box for each in objects if each.box is None
        and (box := tracker.sightings.last_box(each.id, index)) is not None
    }
    oldest_ns = tracker.oldest_refinable_ns
    return Scene(
        stamp_ns, source_hw, objects, last, now, tracker.config.max_objects - len(now),
        is_refinable=oldest_ns is not None and index_stamp_ns >= oldest_ns,
        elsewhere=frozenset(each for each in last if tracker.sightings.is_elsewhere(each, index)),
    )


def remove_outstayed(
    tracker: Tracker, objects: DetectedObjects, stamp_ns: int, log: Log
) -> None:
    """
    Remove the objects of a detector that were LOST for too long.

    :param stamp_ns: of the newest frame, whose result is there
    """
    names = {each.id: object_name(each) for each in tracker.objects()}
    for object_id in objects.outstayed(tracker.objects(), stamp_ns):
        tracker.remove(object_id)
        log(Level.INFO, f'{names[object_id]} came from a detector and is removed: LOST for '
            f'{objects.config.remove_lost:g} s (detections.remove_lost)')


def take_in(
    objects: DetectedObjects,
    prompts: Sequence[Prompt],
    prompted: Sequence[TrackedObject],
    frame: str,
    log: Log,
) -> None:
    """
    Take in, and log, what came of a detector's prompts.

    :param prompted: the objects on the prompted frame, in the order of the prompts
    :param frame: as the log calls it
    """
    for prompt, item in zip(prompts, prompted, strict=True):
        is_new = prompt.object_id == 0
        if is_new:
            objects.took(item, prompt)
        name = object_name(item)
        what = f'new {name}' if is_new else f'{name} is prompted again'
        log(Level.INFO, f'detected on frame {frame}: {what}')
