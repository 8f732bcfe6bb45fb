# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np

from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.ros.camera.video_source_node import Pacer, Section, timed_frames


class Frames:
    """A source of three frames at uneven times."""

    rate_hz = 10.0

    def frames(self, first: int = 0):
        for time_ns in (0, 100, 250)[first:]:
            yield SourceFrame(time_ns, time_ns, '', np.zeros((4, 4, 3), np.uint8))


def times(section: Section, count: int) -> list[int]:
    timed = timed_frames(Frames(), section)
    return [time_ns for time_ns, _ in (next(timed) for _ in range(count))]


def test_the_recording_s_own_times_are_kept_and_go_on_in_a_loop():
    period = 100_000_000
    assert times(Section(loop=True), 5) == [0, 100, 250, 250 + period, 350 + period]
    assert [time_ns for time_ns, _ in timed_frames(Frames(), Section(first=1))] == [0, 150]


def test_a_rate_replaces_the_recording_s_own_times():
    assert times(Section(rate_hz=1000.0, loop=True), 4) == [0, 10**6, 2 * 10**6, 3 * 10**6]


def test_a_loop_over_nothing_ends():
    assert list(timed_frames(Frames(), Section(loop=True, first=9))) == []


def test_frames_wait_for_their_time_and_a_slow_source_moves_the_clock():
    now_ns = 5_000_000_000
    pacer = Pacer(lambda: now_ns, stamp_ns=1000)
    assert pacer.schedule(0) == (0.0, 1000)
    assert pacer.schedule(100_000_000) == (0.1, 100_001_000)
    now_ns += 300_000_000
    assert pacer.schedule(200_000_000) == (0.0, 200_001_000), 'a little late: caught up with'
    now_ns += 2_000_000_000
    assert pacer.schedule(300_000_000) == (0.0, 2_300_001_000), 'much too late: a new start'
    assert pacer.schedule(400_000_000) == (0.1, 2_400_001_000)
