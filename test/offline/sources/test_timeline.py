# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Frames get numbers and times; what cannot be right is a sentence."""

from __future__ import annotations

from pathlib import Path

from bag_making import FIRST_NS, picture, stamps
import pytest
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.log import Level
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.offline.sources.timeline import Clock, Timeline

BAG = Path('some.bag')


def frame(stamp_ns: int, recorded_ns: int = 0, hw: tuple[int, int] = (24, 32)) -> SourceFrame:
    return SourceFrame(stamp_ns, recorded_ns or stamp_ns, 'camera', picture(0, hw))


def play(frames, clock: Clock = Clock.HEADER):
    said: list[tuple[Level, str]] = []
    timeline = Timeline(BAG, clock, lambda level, sentence: said.append((level, sentence)))
    return list(timeline.frames(frames)), said


def test_frames_are_numbered_and_know_the_next_stamp():
    timed, said = play([frame(stamp) for stamp in stamps(3)])
    assert [each.frame.index for each in timed] == [0, 1, 2]
    assert [each.next_stamp_ns for each in timed] == [*stamps(3)[1:], None]
    assert timed[1].frame.header.stamp_ns == stamps(3)[1]
    assert said == []


def test_a_small_step_back_is_said_once_and_every_frame_is_taken():
    times = [0, 40, 80, 75, 110, 110, 150]
    timed, said = play([frame(FIRST_NS + 10**6 * time_ms) for time_ms in times])
    assert len(timed) == 7
    [(level, sentence)] = said
    assert level is Level.WARN
    assert '1700000000.080000000 (frame 2) to 1700000000.075000000 (frame 3)' in sentence


def test_a_recording_that_begins_again_is_refused():
    with pytest.raises(FrameError, match=r'some\.bag: stamps go back .*--clock recorded'):
        play([frame(FIRST_NS), frame(FIRST_NS - 10**9)])


def test_recorded_times_serve_where_the_cameras_are_wrong():
    frames = [frame(FIRST_NS, FIRST_NS), frame(FIRST_NS - 10**10, FIRST_NS + 40)]
    timed, _ = play(frames, Clock.RECORDED)
    assert [each.frame.stamp_ns for each in timed] == [FIRST_NS, FIRST_NS + 40]
    assert timed[1].frame.header.stamp_ns == FIRST_NS - 10**10


def test_a_stamp_of_zero_is_replaced_by_the_time_of_recording():
    timed, [(level, sentence)] = play([frame(0, FIRST_NS), frame(0, FIRST_NS + 40)])
    assert [each.frame.stamp_ns for each in timed] == [FIRST_NS, FIRST_NS + 40]
    assert [each.frame.header.stamp_ns for each in timed] == [0, 0]
    assert level is Level.WARN and 'stamp 0' in sentence


def test_a_change_of_size_is_refused():
    with pytest.raises(FrameError, match='frame 1 is 64x48 but those before it are 32x24'):
        play([frame(FIRST_NS), frame(FIRST_NS + 1, hw=(48, 64))])


def test_a_recording_without_frames_is_refused():
    with pytest.raises(FrameError, match='has no frame'):
        play([])
