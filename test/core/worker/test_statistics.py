# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Rates and percentiles over the last seconds."""

from __future__ import annotations

import pytest
from sam2_tracker.core.worker.statistics import percentile, Statistics


class Clock:

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_rate_is_that_of_the_last_seconds(clock):
    statistics = Statistics(clock)
    for _ in range(300):
        clock.now_s += 0.1
        statistics.received(statistics.results)
    assert statistics.snapshot().fps_in == pytest.approx(10, rel=0.05)
    assert statistics.snapshot().frames_in == 300
    for _ in range(300):
        clock.now_s += 0.02
        statistics.received(statistics.results)
    assert statistics.snapshot().fps_in == pytest.approx(50, rel=0.05)


def test_the_rate_falls_when_the_stream_stops(clock):
    statistics = Statistics(clock)
    for _ in range(60):
        clock.now_s += 0.1
        statistics.published()
    clock.now_s += 2.5
    assert 4 < statistics.snapshot().fps_out < 7
    clock.now_s += 10
    assert statistics.snapshot().fps_out == 0
    assert statistics.snapshot().frames_out == 60


@pytest.mark.parametrize('end', ['published', 'failed'])
def test_a_frame_that_is_done_before_it_is_counted_waits_for_nothing(clock, end):
    statistics = Statistics(clock)
    before = statistics.results
    getattr(statistics, end)()
    statistics.received(before)
    clock.now_s += 5
    assert statistics.snapshot().waiting_s == 0
    statistics.received(statistics.results)
    clock.now_s += 5
    assert statistics.snapshot().waiting_s == 5
    getattr(statistics, end)()
    assert statistics.snapshot().waiting_s == 0


def test_percentiles_are_measured_values():
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 95) == 95
    assert percentile([7.0], 95) == 7
    assert percentile([1.0, 2.0], 50) == 1
    assert percentile([1.0, 2.0], 95) == 2


def test_latencies_are_of_the_newest_frames_only(clock):
    statistics = Statistics(clock)
    for _ in range(300):
        statistics.record('track', 1.0)
    for _ in range(300):
        statistics.record('track', 0.01)
    latency = statistics.snapshot().latency('track')
    assert latency.count == 300
    assert latency.p95_ms == pytest.approx(10)
    assert statistics.snapshot().latency('encode') is None


def test_a_stage_is_timed_around_its_block(clock):
    statistics = Statistics(clock)
    with statistics.stage('decode'):
        clock.now_s += 0.25
    assert statistics.snapshot().latency('decode').p50_ms == pytest.approx(250)
