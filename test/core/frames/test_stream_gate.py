# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps and sizes decide which images go together."""

from __future__ import annotations

from camera import SECOND_NS

from sam2_tracker.core.frames.buffer import StreamSessions
from sam2_tracker.core.frames.stored_frame import Session

VGA, HD = (480, 640), (720, 1280)
FIRST = Session(0, 0)


def begun_at(stamp_ns: int) -> StreamSessions:
    gate = StreamSessions()
    assert gate.admit(stamp_ns, VGA) == FIRST
    return gate


def test_ascending_stamps_stay_in_one_session() -> None:
    gate = begun_at(5 * SECOND_NS)
    assert gate.admit(5 * SECOND_NS + 1, VGA) == FIRST
    assert gate.admit(900 * SECOND_NS, VGA) == FIRST


def test_equal_stamp_is_dropped() -> None:
    assert begun_at(5 * SECOND_NS).admit(5 * SECOND_NS, VGA) is None


def test_stamp_that_goes_back_by_less_than_a_second_is_dropped() -> None:
    assert begun_at(5 * SECOND_NS).admit(4 * SECOND_NS + 1, VGA) is None


def test_dropped_frame_leaves_the_gate_as_it_was() -> None:
    gate = begun_at(5 * SECOND_NS)
    gate.admit(4 * SECOND_NS + 500, HD)
    assert gate.admit(5 * SECOND_NS, VGA) is None
    assert gate.admit(5 * SECOND_NS + 1, VGA) == FIRST


def test_stamp_that_goes_back_by_a_second_begins_a_session_on_a_new_timeline() -> None:
    gate = begun_at(5 * SECOND_NS)
    assert gate.admit(4 * SECOND_NS, VGA) == Session(1, 1)
    assert gate.admit(4 * SECOND_NS + 1, VGA) == Session(1, 1)


def test_size_change_begins_a_session_on_the_same_timeline() -> None:
    gate = begun_at(5 * SECOND_NS)
    assert gate.admit(6 * SECOND_NS, HD) == Session(1, 0)
    assert gate.admit(7 * SECOND_NS, VGA) == Session(2, 0)


def test_loop_with_another_size_is_a_new_timeline() -> None:
    assert begun_at(5 * SECOND_NS).admit(0, HD) == Session(1, 1)
