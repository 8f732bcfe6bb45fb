# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
The thread that owns the model: requests first, then frames, then what has to catch up.

What a request made to catch up is replayed before the next frame if that takes a few steps only:
a frame that comes before would be tracked without the object that somebody has just pointed at.

An unexpected error ends a turn and never the thread; what failed is tried again after a pause.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
import threading
import time
import traceback

from sam2_tracker.core.errors import FrameError, TrackerError, WithdrawnError
from sam2_tracker.core.frames.source import FrameSource
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.text import counted
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import TrackedObject
from sam2_tracker.core.worker.frame_steps import FrameSteps
from sam2_tracker.core.worker.requests import RequestQueue
from sam2_tracker.core.worker.statistics import Statistics, StatisticsSnapshot

# Frames replayed per live frame for each object that catches up: D frames take D / 3 live ones. As
# many are replayed between a request and the next frame, once between two frames.
REPLAYS_PER_FRAME = 4
# How long requests may keep a frame waiting, or as long as a frame takes if that is longer: so no
# request takes twice as long for it. One step of a request is never cut short.
REQUESTS_TURN_S = 0.1
# A source that was closed gives nothing and does not wait either.
EMPTY_SOURCE_PAUSE_S = 0.05
WEIGHING_PERIOD_S = 1.0
# How long what failed rests before the next try.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# A worker that dies so often without a result between would do so for ever.
MAX_DEATHS = 5
# Longer without a result, though frames come in, is worth a warning: the larger of the two.
PATIENCE_S = 3.0
FRAMES_OF_PATIENCE = 5
# The first frame with an object may record graphs or warm the device up.
WARM_UP_PATIENCE_S = 60.0


_GIVEN_UP = (
    '; it died again and again and cannot be started again: deactivate and activate the node, or '
    'start the node anew'
)


class WorkerLoop:
    """
    Takes turns, each of which is one step of a request, one frame or one slice of the replays.

    Requests go first, but when they have taken as long as a frame does a frame has its turn.

    :ivar paused: frames stay in the buffer; set by requests only
    :ivar objects: as they were after the newest turn; may be read from any thread
    :ivar oldest_refinable_ns: stamp of the oldest frame that then took a refinement, None before
        the first frame
    :ivar cuts: to other shots, found so far
    :ivar state_bytes: held on the device, at most a second ago
    :ivar fault: the newest unexpected error, '' once frames go through again
    :ivar death: what ended the thread, '' once frames go through again
    """

    def __init__(
        self,
        source: FrameSource,
        tracker: Tracker,
        steps: FrameSteps,
        timeout_s: float,
        statistics: Statistics,
        log: Log,
    ) -> None:
        self.requests = RequestQueue(timeout_s, self._wake)
        self.paused = False
        self.objects: tuple[TrackedObject, ...] = ()
        self.oldest_refinable_ns: int | None = None
        self.cuts = 0
        self.state_bytes = 0
        self.fault = self.death = ''
        self._deaths = 0
        self._timeout_s = timeout_s
        self._request_began_s: float | None = None
        self._source = source
        self._tracker = tracker
        self._steps = steps
        self._statistics = statistics
        self._log = log
        self._frame_turn = _Turn('the tracking of a frame', Backoff())
        self._replay_turn = _Turn('a replay', Backoff())
        self._request_turn = self._doing = _Turn('a request', Backoff())
        self._replays_due = self._empty_turns = 0
        self._may_replay_first = True
        self._requests_took_s = self._frame_took_s = 0.0
        self._weighed_at_s = -math.inf
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # A thread that is not alive yet has not died.

    def start(self) -> None:
        """
        Begin to take turns.

        :raises TrackerError: if the turn that was under way at the last stop still is
        """
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                raise TrackerError(
                    'the frame that was under way when tracking stopped is not done '
                    'yet; try again in a moment'
                )
            self._stopping = threading.Event()
            self.death, self._deaths = '', 0
            self.requests.open()
            self._start_thread()

    def _start_thread(self) -> None:
        self._statistics.progressed()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopping,), name='worker', daemon=True
        )
        self._thread.start()

    def revive(self) -> None:
        """
        Start the thread again if it died, with objects and requests as they are.

        After several deaths without a result between requests are refused instead.
        """
        with self._starting:
            if self._thread is None or self._thread.is_alive() or self._stopping.is_set():
                return
            if self._deaths < MAX_DEATHS:
                self._log(
                    Level.WARN, f'the worker is started again, with its '
                    f'{counted(len(self.objects), "object")}'
                )
                self._start_thread()
            elif not self.death.endswith(_GIVEN_UP):
                self.death += _GIVEN_UP
                self.requests.close(self.death)
                self._log(Level.ERROR, self.death)

    def stop(self, timeout_s: float) -> bool:
        """Withdraw all requests and end after the turn under way; False if that takes longer."""
        self._stopping.set()
        self.requests.close(
            'the tracker was stopped: the request was withdrawn, nothing was changed'
        )
        self._wake()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        self._woken.set()
        self._source.wake()

    def _run(self, stopping: threading.Event) -> None:
        try:
            self._take_turns(stopping)
        except BaseException as error:  # noqa: BLE001 - nobody else would say that it ended
            self._deaths += 1
            self.death = f'the worker died: {_fault_sentence(error, self._doing.name)}'
            self._log(Level.ERROR, f'{self.death}\n{_trace(error)}')

    def _take_turns(self, stopping: threading.Event) -> None:
        while True:
            # Cleared first: what comes from here on wakes the turn that begins now.
            self._woken.clear()
            if stopping.is_set():
                break
            try:
                self._turn()
                self.objects = self._tracker.objects()
                self.oldest_refinable_ns = self._tracker.oldest_refinable_ns
                self.cuts = self._tracker.cuts.count
            except Exception as error:  # noqa: BLE001 - a stream outlives a frame that fails
                # A model that is shared can be gone before a turn that outlasts the stop is done.
                if not (stopping.is_set() and isinstance(error, WithdrawnError)):
                    self._report_fault(error)

    def _turn(self) -> None:
        wait_s = self._frame_turn.backoff.wait_s(time.monotonic())
        may_track = not self.paused and wait_s == 0
        if self._requests_took_s >= max(REQUESTS_TURN_S, self._frame_took_s):
            self._requests_took_s = 0.0
            if may_track and self._replays_due > 0 and self._replay_wait_s() == 0:
                self._replay()
                return
            if may_track and self._process_next(at_once=True):
                return
        if self._run_request():
            return
        self._requests_took_s = 0.0
        if not may_track:
            self._woken.wait(None if self.paused else wait_s)
        elif self._replays_due > 0 or not self._process_next():
            self._replay()

    def _run_request(self) -> bool:
        self._doing = self._request_turn
        begun_s = self._request_began_s = time.monotonic()
        try:
            has_run = self.requests.run_next()
        finally:
            self._request_began_s = None
            self._requests_took_s += time.monotonic() - begun_s
        if has_run:
            self._statistics.progressed()
            if self._may_replay_first and self._replay_wait_s() == 0:
                self._may_replay_first, self._replays_due = False, REPLAYS_PER_FRAME
        return has_run

    def _replay(self) -> None:
        self._replays_due = max(0, self._replays_due - 1)
        if self._replay_wait_s() > 0:
            return
        self._doing = self._replay_turn
        if not self._tracker.catch_up():
            self._replays_due = 0
            self._steps.caught_up()
        self._statistics.progressed()
        self._replay_turn.backoff.succeeded()

    def _replay_wait_s(self) -> float:
        """Return when there is something to replay: seconds from now, infinity for never."""
        if not self._tracker.catching_up:
            return math.inf
        return self._replay_turn.backoff.wait_s(time.monotonic())

    def _process_next(self, at_once: bool = False) -> bool:
        wait_s = 0.0 if at_once else self._replay_wait_s()
        stored = self._source.next(None if wait_s == math.inf else wait_s)
        if stored is None and at_once:
            # A request that has come meanwhile wakes it: the next call tells whether there is one.
            stored = self._source.next(0.0)
        if stored is None:
            self._rest_if_empty(wait_s)
            return False
        self._empty_turns = 0
        self._doing = self._frame_turn
        begun_s = time.monotonic()
        try:
            self._steps.process(stored)
        except FrameError as error:
            self._statistics.failed()
            self._log(Level.ERROR, f'a frame is lost: {error}')
        self._frame_took_s = time.monotonic() - begun_s
        if self.objects:
            self._statistics.record('frame', self._frame_took_s)
        self._frame_turn.backoff.succeeded()
        self.fault = self.death = ''
        self._deaths = 0
        self._replays_due, self._may_replay_first = REPLAYS_PER_FRAME, True
        self._weigh()
        return True

    def _rest_if_empty(self, wait_s: float) -> None:
        self._empty_turns += 1
        # A wake-up or two are no sign of it.
        if wait_s > 0 and self._empty_turns > 3:
            self._woken.wait(EMPTY_SOURCE_PAUSE_S)

    def _weigh(self) -> None:
        now_s = time.monotonic()
        if now_s - self._weighed_at_s >= WEIGHING_PERIOD_S:
            self._weighed_at_s = now_s
            self.state_bytes = self._tracker.state_bytes

    def _report_fault(self, error: Exception) -> None:
        self._doing.backoff.failed(time.monotonic())
        if self._doing is self._frame_turn:
            self._statistics.failed()
        self.fault = _fault_sentence(error, self._doing.name)
        self._log(Level.ERROR, f'{self.fault}\n{_trace(error)}')

    def stall(self, statistics: StatisticsSnapshot) -> str:
        """
        Say that results do not come although frames do, '' as long as that is no wonder.

        It is none while paused, while a request is worked at that still has time, and while
        nothing is known of how long a frame with objects takes.
        """
        request_began_s = self._request_began_s
        if self.paused or self.death:
            return ''
        if request_began_s is not None:
            took_s = time.monotonic() - request_began_s
            if took_s <= max(self._timeout_s, PATIENCE_S):
                return ''
            return f'the worker is stuck in a request that has taken {took_s:.0f} s so far'
        if statistics.waiting_s <= _patience_s(statistics, bool(self.objects)):
            return ''
        busy = '' if self._doing is self._request_turn else (
            f': the worker is stuck in {self._doing.name}')
        return f'no result for {statistics.waiting_s:.0f} s although images come in{busy}'


@dataclass(frozen=True)
class _Turn:
    """What the worker may be busy with, and when to try that again if it fails."""

    name: str
    backoff: Backoff


class Backoff:
    """Says when something that failed may be tried again; times are seconds on any one clock."""

    def __init__(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        self._ready_at_s = 0.0

    def failed(self, now_s: float) -> None:
        """Wait before the next try, twice as long as the last time."""
        self._ready_at_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def succeeded(self) -> None:
        """Forget the failures."""
        self._pause_s = FIRST_PAUSE_S
        self._ready_at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait until the next try, 0 for not at all."""
        return max(0.0, self._ready_at_s - now_s)


def _patience_s(statistics: StatisticsSnapshot, has_objects: bool) -> float:
    """Return how long results may stay away without a word."""
    frame = statistics.latency('frame')
    if frame is not None:
        return max(PATIENCE_S, FRAMES_OF_PATIENCE * frame.p95_ms / 1000)
    return WARM_UP_PATIENCE_S if has_objects else PATIENCE_S


def _trace(error: BaseException) -> str:
    return ''.join(traceback.format_exception(type(error), error, error.__traceback__))


def _fault_sentence(error: BaseException, doing: str) -> str:
    """Say what went wrong; torch's own error for a full GPU is known by its name."""
    first_line = (str(error).splitlines() or [''])[0]
    if type(error).__name__ == 'OutOfMemoryError':
        return (
            f'out of GPU memory during {doing}: track fewer objects, use a smaller model or '
            f'image_size, or free the GPU ({first_line})'
        )
    return f'unexpected {type(error).__name__} during {doing}: {first_line}'
