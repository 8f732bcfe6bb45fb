# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: A005

"""Frame rates and latencies over the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import math
import threading
import time

WINDOW_S = 5.0
# Durations kept per stage: some ten seconds at 30 frames a second.
SAMPLES = 300


@dataclass(frozen=True)
class StageLatency:
    """
    How long one stage of a frame's way took lately.

    :param stage: wait, decode, encode, track, summarise; the publisher adds publish and total,
        which is from receiving to having published; prompts and replays have stages of their own,
        and `frame` is all that the worker does for a frame with objects
    :param p50_ms: half of them were faster
    :param p95_ms: 19 of 20 were faster
    """

    stage: str
    count: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class StatisticsSnapshot:
    """
    The stream in numbers; the counts are since the worker was made.

    :param fps_in: frames received per second, over the last five
    :param fps_out: results per second, over the last five
    :param failed: frames that were given up because of an error
    :param waiting_s: since the first frame that came in after the last sign of progress, 0 if none
        did
    """

    fps_in: float
    fps_out: float
    frames_in: int
    frames_out: int
    failed: int
    waiting_s: float
    latencies: tuple[StageLatency, ...]

    def latency(self, stage: str) -> StageLatency | None:
        """Return one stage's latency, None if it did not happen lately."""
        return next((each for each in self.latencies if each.stage == stage), None)


class _RateMeter:
    """Counts events, and how many there are a second."""

    def __init__(self) -> None:
        self.count = 0
        self._recent: deque[float] = deque()

    def add(self, now_s: float) -> None:
        """Count one event."""
        self.count += 1
        self._recent.append(now_s)
        self._forget(now_s)

    def per_second(self, now_s: float) -> float:
        """Return the rate within the window up to now."""
        self._forget(now_s)
        if len(self._recent) < 2:
            return 0.0
        return (len(self._recent) - 1) / max(now_s - self._recent[0], 1e-6)

    def _forget(self, now_s: float) -> None:
        while self._recent and self._recent[0] <= now_s - WINDOW_S:
            self._recent.popleft()


class Statistics:
    """
    Takes measurements from any thread.

    :param clock: seconds that only go forward
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._in = _RateMeter()
        self._out = _RateMeter()
        self._failed = 0
        self._waiting_since_s: float | None = None
        self._durations: dict[str, deque[float]] = {}

    @property
    def results(self) -> int:
        """Count the frames that are done with, as `received` wants to know it."""
        return self._out.count + self._failed

    def received(self, results_before: int) -> None:
        """
        Count a frame that came in.

        :param results_before: `results` before the worker could have it: it may be done already
        """
        with self._lock:
            now_s = self._clock()
            self._in.add(now_s)
            if self._waiting_since_s is None and self.results == results_before:
                self._waiting_since_s = now_s

    def published(self) -> None:
        """Count a frame's result."""
        with self._lock:
            self._out.add(self._clock())
            self._waiting_since_s = None

    def progressed(self) -> None:
        """Note that the worker was busy with other things, and frames had to wait for that."""
        with self._lock:
            if self._waiting_since_s is not None:
                self._waiting_since_s = self._clock()

    def failed(self) -> None:
        """Count a frame that was given up because of an error."""
        with self._lock:
            self._failed += 1
            self._waiting_since_s = None

    def record(self, stage: str, duration_s: float) -> None:
        """Take in how long one stage took."""
        with self._lock:
            self._durations.setdefault(stage, deque(maxlen=SAMPLES)).append(duration_s)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record how long a block takes."""
        begun_s = self._clock()
        yield
        self.record(name, self._clock() - begun_s)

    @property
    def waiting_s(self) -> float:
        """Return what `StatisticsSnapshot.waiting_s` says."""
        with self._lock:
            return self._waiting_s(self._clock())

    def _waiting_s(self, now_s: float) -> float:
        return 0.0 if self._waiting_since_s is None else now_s - self._waiting_since_s

    def snapshot(self) -> StatisticsSnapshot:
        """Return everything as it is now."""
        with self._lock:
            now_s = self._clock()
            latencies = tuple(
                _latency(stage, sorted(durations_s))
                for stage, durations_s in self._durations.items()
            )
            return StatisticsSnapshot(
                self._in.per_second(now_s),
                self._out.per_second(now_s),
                self._in.count,
                self._out.count,
                self._failed,
                self._waiting_s(now_s),
                latencies,
            )


def _latency(stage: str, ascending_s: list[float]) -> StageLatency:
    return StageLatency(
        stage,
        len(ascending_s),
        percentile(ascending_s, 50) * 1000,
        percentile(ascending_s, 95) * 1000,
    )


def percentile(ascending: list[float], percent: float) -> float:
    """Return the smallest value that so many percent are not above; at least one is needed."""
    return ascending[max(0, math.ceil(percent / 100 * len(ascending)) - 1)]
