# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The tracker at work: frames in, requests in, results out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sam2_tracker.core.config import CoreConfig, DetectionsConfig, TrackingConfig
from sam2_tracker.core.detections.detection import Detection, DetectionArray, sifted
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.frames.source import FrameSource, PinnedFrames
from sam2_tracker.core.frames.stored_frame import Arrival, EncodedImage, Outcome, RawImage
from sam2_tracker.core.log import Log, silent
from sam2_tracker.core.prompts.file import PromptFile
from sam2_tracker.core.prompts.schedule import PromptSchedule
from sam2_tracker.core.protocols import GraphCounts, PredictorProtocol
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import FrameHeader, IdAllocator, TrackedFrame, TrackedObject, Wanted
from sam2_tracker.core.worker.detection_prompts import DetectionCounts, DetectionPrompts
from sam2_tracker.core.worker.frame_steps import FrameSteps
from sam2_tracker.core.worker.loop import WorkerLoop
from sam2_tracker.core.worker.prompt_requests import PromptAnswers, PromptRequest
from sam2_tracker.core.worker.requests import answer, Ticket
from sam2_tracker.core.worker.statistics import Statistics, StatisticsSnapshot

T = TypeVar('T')

# Where a frame has waited for longer the model's work is not recorded: that takes some 0.1 s.
LONGEST_WAIT_S = 0.1


@dataclass(frozen=True)
class ObjectList:
    """
    Every object as it was last seen.

    :param header: of the frame that this was on, None if no frame was tracked yet
    """

    header: FrameHeader | None
    stamp_ns: int
    objects: tuple[TrackedObject, ...]


@dataclass(frozen=True)
class WorkerReport:
    """
    The worker in numbers, for diagnostics.

    :param catching_up: objects whose newest prompt is being replayed
    :param waiting_prompts: requests whose frame is still to be tracked
    :param oldest_refinable_ns: stamp of the oldest frame that takes a refinement, None before the
        first
    :param state_bytes: held for objects and features on the device; up to a second old
    :param fault: the newest unexpected error in one sentence, '' once frames go through again
    :param death: what ended the worker's thread, '' once frames go through again
    :param stall: says that results do not come although frames do, '' as long as that is no wonder
    :param graphs: what was recorded and replayed, None where nothing is
    :param detections: what became of a detector's messages, None where none are wanted
    :param cuts: to other shots, found so far
    """

    statistics: StatisticsSnapshot
    paused: bool
    objects: int
    catching_up: int
    waiting_prompts: int
    oldest_refinable_ns: int | None
    state_bytes: int
    fault: str
    death: str = ''
    stall: str = ''
    graphs: GraphCounts | None = None
    detections: DetectionCounts | None = None
    cuts: int = 0


class Worker:
    """
    Tracks a buffer's frames in a thread of its own and answers requests from any other.

    :param buffer: `append` images here rather than there, so that they are counted
    :param ids: one for the whole process
    :param on_result: called from the worker's thread with the result of every frame, with a last
        one when a session ends, and with an empty one after a reset
    :param wanted: says which of the costly outputs to make; asked once per result
    :param prompts: applied by themselves, in every session
    """

    def __init__(
        self,
        predictor: PredictorProtocol,
        buffer: FrameSource,
        config: CoreConfig,
        ids: IdAllocator,
        on_result: Callable[[TrackedFrame], None],
        wanted: Callable[[], Wanted] = Wanted,
        prompts: PromptFile | None = None,
        log: Log = silent,
    ) -> None:
        self.statistics = Statistics()
        self._predictor = predictor
        predictor.record_only_if(self._has_time)
        self._buffer = buffer
        self._pinned = PinnedFrames(buffer)
        self._tracker = Tracker(
            predictor, self._pinned, config.tracking, ids, log, self.statistics.stage
        )
        self._prompts = PromptAnswers(
            self._tracker, buffer, round(config.prompt.stamp_tolerance_s * 1e9),
            lambda ids: self._detections.release(ids),
        )
        self._detections = DetectionPrompts(
            self._tracker, buffer, self._prompts, config.detections, log)
        live = prompts.for_source().prompts if prompts is not None else ()
        self._steps = FrameSteps(
            self._tracker, buffer, self._pinned, self._prompts, self._detections,
            PromptSchedule(live, ids), on_result, wanted, log, self.statistics,
        )
        self._loop = WorkerLoop(
            buffer, self._tracker, self._steps, config.prompt.timeout_s, self.statistics, log
        )

    def start(self) -> None:
        """
        Begin to track; objects, frames and the pause of an earlier run are kept.

        :raises TrackerError: if the frame that was under way at the last stop still is
        """
        self._loop.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """
        Withdraw what waits and end the thread after the frame under way.

        :returns: False if that outlasted the timeout; the thread ends as soon as it is done
        """
        return self._loop.stop(timeout_s)

    def revive(self) -> None:
        """Start the worker's thread again if it died; to be called now and then."""
        self._loop.revive()

    def append(
        self,
        image: RawImage | EncodedImage,
        header: FrameHeader,
        received_ns: int,
        arrival_stamp_ns: int = 0,
    ) -> Arrival:
        """
        Take in an image of the stream; from any thread.

        :param received_ns: `time.monotonic_ns()` of its arrival
        :param arrival_stamp_ns: its arrival on the clock of the stamps, for headers without one
        :raises FrameError: if the image is empty, truncated or not a picture
        """
        results_before = self.statistics.results
        arrival = self._buffer.append(image, header, received_ns, arrival_stamp_ns or None)
        if arrival.outcome is not Outcome.DROPPED:
            self.statistics.received(results_before)
        return arrival

    def add_prompts(self, request: PromptRequest) -> Ticket[TrackedFrame]:
        """Ask for prompts; the answer has the prompted objects on their frame, in that order."""

        def work(ticket: Ticket[TrackedFrame]) -> Iterator[None]:
            if self._loop.paused and not request.preview_only:
                ticket.fail(_paused_error())
                return
            with self.statistics.stage('prompt'):
                yield from self._prompts.take(request, ticket)

        return self._loop.requests.submit(work)

    def add_detections(
        self, stamp_ns: int, frame_id: str, detections: Iterable[Detection]
    ) -> None:
        """
        Take in what a detector found in a picture, before or after that was tracked.

        :param stamp_ns: of the picture
        :param frame_id: of the picture, or ''
        """
        usable = sifted(detections, self._detections.config, self._detections.refusals)
        # One turn is enough for all that has come until it begins.
        if self._detections.put(DetectionArray(stamp_ns, frame_id, usable)):
            self.call(self._settle)

    def _settle(self, _: Tracker) -> None:
        if not self._loop.paused:
            self._detections.settle()

    def set_detections(self, config: DetectionsConfig) -> None:
        """Use other settings from now on."""
        self._detections.config = config

    def remove_object(self, object_id: int) -> Ticket[None]:
        """Ask to forget one object, also if a detector goes on to show it."""
        def work(tracker: Tracker) -> None:
            items = [each for each in tracker.objects() if each.id == object_id]
            tracker.remove(object_id)
            self._detections.dismiss(items[0])

        return self.call(work)

    def list_objects(self) -> Ticket[ObjectList]:
        """Ask for every object as it is on the newest tracked frame."""
        return self.call(_listed)

    def reset(self) -> Ticket[None]:
        """Ask to forget every object; an empty result of the newest frame is handed over."""

        def work(tracker: Tracker) -> None:
            tracker.reset()
            self._detections.begin_anew(keep_waiting=True)
            self._prompts.refuse_waiting(
                PromptError('the tracker was reset before the prompted frame was tracked')
            )
            self._steps.hand_over_newest()

        return self.call(work)

    def set_paused(self, paused: bool) -> Ticket[None]:
        """Ask to pause or go on: frames are buffered and previews answered meanwhile."""

        def work(_: Tracker) -> None:
            self._loop.paused = paused
            if paused:
                self._prompts.refuse_waiting(_paused_error())

        return self.call(work)

    def snapshot(self) -> Ticket[Path]:
        """Ask for a folder with the buffered frames, from which nothing is evicted."""

        def work(ticket: Ticket[Path]) -> None:
            # The disk may take its time: neither this thread nor the caller waits for it.
            made = self._buffer.begin_snapshot(ticket.commit)

            def withdraw(_: Ticket[Path]) -> None:
                made.cancel()

            def tell(_: Future[Path]) -> None:
                if not made.cancelled():
                    answer(ticket, made.result)

            ticket.add_done_callback(withdraw)
            made.add_done_callback(tell)

        return self._loop.requests.submit(work)

    def set_tracking(self, config: TrackingConfig) -> Ticket[None]:
        """Ask for other settings; `max_cond_frames` is the model's and stays."""

        def work(tracker: Tracker) -> None:
            tracker.config = replace(config, max_cond_frames=tracker.config.max_cond_frames)

        return self.call(work)

    def call(self, work: Callable[[Tracker], T]) -> Ticket[T]:
        """Ask for something to be done with the tracker, in the worker's thread."""

        def run(ticket: Ticket[T]) -> None:
            if ticket.commit():
                answer(ticket, lambda: work(self._tracker))

        return self._loop.requests.submit(run)

    def change(self, work: Callable[[Tracker], T]) -> Ticket[T]:
        """Ask for other objects; the newest frame's result is handed over with them."""

        def run(tracker: Tracker) -> T:
            outcome = work(tracker)
            self._steps.hand_over_newest()
            return outcome

        return self.call(run)

    def report(self) -> WorkerReport:
        """Return the state in numbers; from any thread."""
        objects = self._loop.objects
        statistics = self.statistics.snapshot()
        return WorkerReport(
            statistics,
            self._loop.paused,
            len(objects),
            sum(each.catching_up for each in objects),
            self._prompts.waiting_count,
            self._loop.oldest_refinable_ns,
            self._loop.state_bytes,
            self._loop.fault,
            self._loop.death,
            self._loop.stall(statistics),
            self._predictor.graph_counts,
            self._detections.counts,
            self._loop.cuts,
        )

    def _has_time(self) -> bool:
        """Tell whether no frame has waited for long."""
        return max(self._steps.waiting_s, self.statistics.waiting_s) <= LONGEST_WAIT_S


def _listed(tracker: Tracker) -> ObjectList:
    newest = tracker.newest
    if newest is None:
        return ObjectList(None, 0, tracker.objects())
    return ObjectList(newest.header, newest.stamp_ns, tracker.objects())


def _paused_error() -> PromptError:
    return PromptError('tracking is paused: only previews are answered until it goes on')
