# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A looped bag or another picture size begins a session of its own, and nothing is mixed up."""

from __future__ import annotations

from pathlib import Path

from camera import HW, opened, payload, process, SECOND_NS, send, send_all
import pytest

from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.buffer import StreamSessions
from sam2_tracker.core.frames.stored_frame import Outcome, Session

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY
VGA, HD = (480, 640), (720, 1280)
FIRST = Session(0, 0)


def begun_at(stamp_ns: int) -> StreamSessions:
    sessions = StreamSessions()
    assert sessions.admit(stamp_ns, VGA) == FIRST
    return sessions


def test_ascending_stamps_stay_in_one_session() -> None:
    sessions = begun_at(5 * SECOND_NS)
    assert sessions.admit(5 * SECOND_NS + 1, VGA) == FIRST
    assert sessions.admit(900 * SECOND_NS, VGA) == FIRST


def test_equal_stamp_is_dropped() -> None:
    assert begun_at(5 * SECOND_NS).admit(5 * SECOND_NS, VGA) is None


def test_stamp_that_goes_back_by_less_than_a_second_is_dropped() -> None:
    assert begun_at(5 * SECOND_NS).admit(4 * SECOND_NS + 1, VGA) is None


def test_dropped_frame_leaves_the_sessions_as_they_were() -> None:
    sessions = begun_at(5 * SECOND_NS)
    sessions.admit(4 * SECOND_NS + 500, HD)
    assert sessions.admit(5 * SECOND_NS, VGA) is None
    assert sessions.admit(5 * SECOND_NS + 1, VGA) == FIRST


def test_stamp_that_goes_back_by_a_second_begins_a_session_on_a_new_timeline() -> None:
    sessions = begun_at(5 * SECOND_NS)
    assert sessions.admit(4 * SECOND_NS, VGA) == Session(1, 1)
    assert sessions.admit(4 * SECOND_NS + 1, VGA) == Session(1, 1)


def test_size_change_begins_a_session_on_the_same_timeline() -> None:
    sessions = begun_at(5 * SECOND_NS)
    assert sessions.admit(6 * SECOND_NS, HD) == Session(1, 0)
    assert sessions.admit(7 * SECOND_NS, VGA) == Session(2, 0)


def test_loop_with_another_size_is_a_new_timeline() -> None:
    assert begun_at(5 * SECOND_NS).admit(0, HD) == Session(1, 1)


def folders(parent: Path) -> list[list[str]]:
    """Return the pictures in each session's folder, in the order of the sessions."""
    return [sorted(file.name for file in folder.glob('*.jpeg'))
            for folder in sorted(parent.iterdir())]


def test_equal_or_slightly_older_stamps_are_dropped_and_counted(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        send(buffer, 5)
        for stamp_s in (5, 4.5):
            arrival = send(buffer, stamp_s)
            assert arrival.outcome is Outcome.DROPPED
            assert 'is not newer' in arrival.reason
        assert (buffer.statistics.dropped, buffer.statistics.sessions) == (2, 1)


@pytest.mark.parametrize('policy', FramePolicy)
def test_first_frame_of_a_new_session_says_so(tmp_path: Path, policy: FramePolicy) -> None:
    with opened(tmp_path, policy) as buffer:
        told = [send(buffer, stamp_s, hw).new_session
                for stamp_s, hw in ((5, HW), (6, HW), (1, HW), (2, HW), (3, (8, 8)), (4, (8, 8)))]
        assert told == [False, False, True, False, True, False]
        assert buffer.newest().session == Session(2, 1)


def test_every_gives_all_frames_of_a_session_before_the_next_begins(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5, 6, 1, 2])
        given = [process(buffer, index % 2) for index in range(4)]
        assert [stored.key for stored in given] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert buffer.statistics.lost == buffer.statistics.skipped == 0


def test_frames_of_the_old_session_stay_until_the_worker_leaves_it(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5, 6, 1])
        process(buffer, 0)
        process(buffer, 1)
        assert buffer.image(0).shape == (*HW, 3)
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg'], ['00000.jpeg']]
        process(buffer, 0)
        assert buffer.by_index(0).session == Session(1, 1)
        with pytest.raises(FrameError):
            buffer.by_index(1)
        assert folders(tmp_path) == [['00000.jpeg']]


def test_folder_of_a_session_without_a_readable_frame_goes_with_it(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5])
        next(tmp_path.rglob('*.jpeg')).write_bytes(b'')
        with pytest.raises(FrameError, match='cannot be decoded'):
            process(buffer, 0)
        send_all(buffer, [1])
        process(buffer, 0)
        assert folders(tmp_path) == [['00000.jpeg']]


def test_latest_begins_the_new_session_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        send_all(buffer, [5, 6, 1])
        assert process(buffer, 0).key == (1, 0)
        assert buffer.statistics.skipped == 2
        assert folders(tmp_path) == [['00000.jpeg']]


def test_latest_leaves_the_worker_its_session_until_the_next_frame(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        send_all(buffer, [5])
        process(buffer, 0)
        send_all(buffer, [6, 1])
        assert buffer.image(0).shape == (*HW, 3)
        process(buffer, 0)
        assert buffer.statistics.held == 1


def test_latest_holds_no_third_session_while_nobody_processes(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        send_all(buffer, [50])
        process(buffer, 0)
        send_all(buffer, [40, 30, 20])
        assert buffer.statistics.held == 2
        assert len(folders(tmp_path)) == 2


def test_frame_pinned_in_an_old_session_outlives_it(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5, 1])
        with buffer.pin(process(buffer, 0)):
            process(buffer, 0)
            assert folders(tmp_path) == [['00000.jpeg'], ['00000.jpeg']]
        assert folders(tmp_path) == [['00000.jpeg']]


def test_prompt_s_stamp_is_looked_up_in_the_newest_session_first(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [2.0, 9.0, 1.9])
        assert buffer.nearest(2 * SECOND_NS, SECOND_NS).key == (1, 0)
        assert buffer.nearest(9 * SECOND_NS, SECOND_NS).key == (0, 1)
        assert buffer.oldest() == buffer.newest()


def test_sizes_never_mix_in_a_folder(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        for stamp_s, hw in ((1, HW), (2, (8, 8)), (3, HW)):
            send(buffer, stamp_s, hw)
        assert folders(tmp_path) == [['00000.jpeg']] * 3


def test_numbers_beyond_five_digits_still_sort_by_number(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [1])
        buffer._next_number = 99_999
        send_all(buffer, [2, 3])
        names = [file.name for file in tmp_path.rglob('*.jpeg')]
        assert sorted(names, key=lambda name: int(name[:-5])) == [
            '00000.jpeg', '99999.jpeg', '100000.jpeg']
        buffer.close()
    assert not list(tmp_path.iterdir())


def test_loop_after_loop_leaves_nothing_behind(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY, max_bytes=len(payload()) * 8) as buffer:
        for _ in range(20):
            for stored in send_all(buffer, [50, 51, 52]):
                process(buffer, stored.number)
        assert len(folders(tmp_path)) == 1
        assert buffer.statistics.sessions == 20
    assert not list(tmp_path.iterdir())
