# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The steps of one frame: from the buffer through the tracker to its result."""

from __future__ import annotations

from collections.abc import Callable
import time

from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.frames.source import FrameSource, PinnedFrames
from sam2_tracker.core.frames.stored_frame import Session, StoredFrame
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.prompts.schedule import PromptSchedule
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import Frame, TrackedFrame, Wanted
from sam2_tracker.core.worker.detection_prompts import DetectionPrompts
from sam2_tracker.core.worker.prompt_requests import PromptAnswers
from sam2_tracker.core.worker.statistics import Statistics


class FrameSteps:
    """
    Takes stored frames, one after the other, through all that happens to them.

    :param pinned: told which frames were processed
    :param prompts: answers the prompts that waited for a frame
    :param detections: of a detector, which become prompts
    :param schedule: has the prompts of a file
    :param on_result: takes every result; its time is the stage 'hand_over'
    :param wanted: says which of the costly outputs to make
    """

    def __init__(
        self,
        tracker: Tracker,
        source: FrameSource,
        pinned: PinnedFrames,
        prompts: PromptAnswers,
        detections: DetectionPrompts,
        schedule: PromptSchedule,
        on_result: Callable[[TrackedFrame], None],
        wanted: Callable[[], Wanted],
        log: Log,
        statistics: Statistics,
    ) -> None:
        self._tracker = tracker
        self._source = source
        self._pinned = pinned
        self._prompts = prompts
        self._detections = detections
        self._schedule = schedule
        self._on_result = on_result
        self._wanted = wanted
        self._log = log
        self._statistics = statistics
        self._session: Session | None = None
        self._received_ns: int | None = None

    @property
    def waiting_s(self) -> float:
        """Return how long ago the frame that is at work came in, 0 if none is; any thread."""
        received_ns = self._received_ns
        return 0.0 if received_ns is None else (time.monotonic_ns() - received_ns) / 1e9

    def process(self, stored: StoredFrame) -> None:
        """
        Track a frame, apply the prompts that are due on it and hand over its result.

        :raises FrameError: if it cannot be read; the stream goes on with the next
        """
        self._received_ns = stored.received_ns
        try:
            self._take_through(stored)
        finally:
            self._received_ns = None

    def _take_through(self, stored: StoredFrame) -> None:
        self._statistics.record('wait', self.waiting_s)
        self._enter(stored)
        self._prompts.passed(stored)
        with self._statistics.stage('decode'):
            frame = self._source.frame(stored, self._tracker.next_index)
        self._tracker.advance(frame, self._source.following)
        self._source.mark_processed(stored, frame.index)
        self._pinned.processed(frame.index)
        try:
            self._apply_due(frame)
            self._prompts.processed(stored, frame)
        finally:
            self.hand_over_newest()
            self._statistics.published()
        # They ask where objects are on this frame, too: its result says it.
        self._detections.processed(frame)

    def _enter(self, stored: StoredFrame) -> None:
        before = self._session
        if before is not None and before != stored.session:
            self._pinned.restart()
            self._detections.begin_anew()
            if before.timeline == stored.session.timeline:
                self._tracker.resize(stored.source_hw)
            else:
                self._restart()
        # Not before all that went well: else the next frame has to do it.
        self._session = stored.session

    def _restart(self) -> None:
        lost = self._tracker.restart(self._wanted())
        self._schedule.restart()
        count = 0 if lost is None else len(lost.objects)
        self._log(
            Level.WARN,
            f'the stream went back in time: a new session begins, {count} objects are lost',
        )
        if lost is not None:
            self._on_result(lost)

    def _apply_due(self, frame: Frame) -> None:
        for due in self._schedule.due(frame):
            try:
                draft = self._prompts.apply(due, frame)
            except TrackerError as refusal:
                self._log(Level.WARN, f'{due.source.where}: {refusal}')
            else:
                self._schedule.applied(due)
                self._log(
                    Level.INFO,
                    f'{due.source.where}: applied to object {draft.result.objects[0].id}',
                )

    def caught_up(self) -> None:
        """Take in that no object is behind any more: detections waited for that."""
        self._detections.settle()

    def hand_over_newest(self) -> None:
        """Hand over the newest frame's result as it is now; nothing before the first frame."""
        if self._tracker.newest is None:
            return
        result = self._tracker.result(self._wanted())
        with self._statistics.stage('hand_over'):
            self._on_result(result)
