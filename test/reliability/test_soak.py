# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The soak's judgement of made-up runs, and a short run of the real thing."""

from __future__ import annotations

from dataclasses import replace
import sys

import numpy as np
import pytest
from reliability.soak import MAX_BYTES, soak
from reliability.soak_bounds import Bounds, judge, Outcome, Row, Sample, slope

DOMAIN_ID = 49
BOUNDS = Bounds(settling_s=60.0, shortest_s=100.0)


def samples(count: int = 600, leak_kib: float = 0.0, handle_leak: float = 0.0,
            thread_leak: float = 0.0) -> list[Sample]:
    noise = np.random.default_rng(0).integers(0, 300, count)
    settling = [40_000 * max(0, 60 - each) // 60 for each in range(count)]
    return [Sample(float(each), each * 4, int(400_000 - settling[each] + noise[each]
                                              + leak_kib * each * 4), 40 + int(handle_leak * each),
                   20 + int(thread_leak * each), 300_000) for each in range(count)]


def outcome(**changes: object) -> Outcome:
    made = Outcome(samples(), requests=50, sent=100, max_bytes=MAX_BYTES)
    return replace(made, **changes)


def broken(judged: Outcome) -> list[str]:
    return [row.what for row in judge(judged, BOUNDS) if row.holds is False]


def test_a_run_within_its_bounds_holds() -> None:
    assert broken(outcome()) == []


@pytest.mark.parametrize(('changes', 'what'), [
    ({'samples': samples(leak_kib=6.0)}, 'memory, settled'),
    ({'samples': samples(handle_leak=0.05)}, 'open handles, settled'),
    ({'samples': samples(thread_leak=0.02)}, 'threads, settled'),
    ({'samples': [replace(each, disk_bytes=2 * MAX_BYTES) for each in samples()]},
     'disk, at most'),
    ({'unanswered': ['add']}, 'unanswered requests'),
    ({'missing': 1, 'counted_lost': 1}, 'lost frames under `every`'),
    ({'ended': 'ended by itself, exit code -11', 'exit_code': -11}, 'the node'),
    ({'exit_code': 1}, 'its end'), ({'exit_code': None}, 'its end'),
    ({'left_behind': 3}, 'files left behind'),
    ({'mistakes': ['OSError: gone']}, 'mistakes of the soak itself')])
def test_a_broken_bound_is_named(changes: dict[str, object], what: str) -> None:
    assert what in broken(outcome(**changes))


def test_frames_that_are_lost_without_being_counted_are_named_too() -> None:
    assert 'of these counted nowhere' in broken(outcome(missing=3, counted_lost=1))
    assert 'of these counted nowhere' not in broken(outcome(missing=3, counted_lost=3))


def test_growth_while_it_settles_and_single_peaks_are_no_leak() -> None:
    spiky = [replace(each, memory_kib=each.memory_kib + (90_000 if number % 50 == 0 else 0))
             for number, each in enumerate(samples())]
    assert broken(outcome(samples=spiky)) == []


def test_memory_that_breathes_by_some_megabytes_is_no_leak() -> None:
    breathing = [replace(each, memory_kib=each.memory_kib + 4000 * (number > 400))
                 for number, each in enumerate(samples(leak_kib=1.0))]
    assert broken(outcome(samples=breathing)) == []


def test_a_short_run_is_not_judged_by_its_slope() -> None:
    rows: list[Row] = judge(outcome(samples=samples(90, leak_kib=50.0)), BOUNDS)
    assert [row.holds for row in rows[:3]] == [None, None, None]
    assert rows[0].verdict == 'too short to judge'


def test_the_slope_is_that_of_most_pairs() -> None:
    xs = list(range(50))
    ys = [2.0 * x for x in xs]
    ys[10], ys[40] = 1e6, -1e6
    assert slope(xs, ys) == pytest.approx(2.0)
    assert slope([1, 1], [0, 5]) == 0.0


def test_a_short_soak_of_the_node_holds_what_can_be_judged() -> None:
    came = soak(12.0, DOMAIN_ID, seed=7)
    assert [row for row in judge(came, Bounds()) if row.holds is False] == []
    assert came.sent > 5
    assert came.requests > 0


def test_a_node_that_dies_fails_the_soak() -> None:
    came = soak(20.0, DOMAIN_ID, seed=7, command=[sys.executable, '-c', 'raise SystemExit(7)'])
    assert came.ended == 'ended by itself, exit code 7'
    assert 'the node' in [row.what for row in judge(came, Bounds()) if row.holds is False]
