# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A looped bag or another picture size begins a session of its own, and nothing is mixed up."""

from __future__ import annotations

from pathlib import Path

from camera import (
    begin_session,
    header,
    HW,
    opened,
    PATIENCE_S,
    payload,
    process,
    SECOND_NS,
    send,
    send_all,
)
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import sessions as sessions_module
from sam2_tracker.core.frames.jpeg import FrameJpeg
from sam2_tracker.core.frames.sessions import ReceivedFrame, Sorted, StreamSessions
from sam2_tracker.core.frames.stored_frame import EncodedImage, Outcome, Session
from sam2_tracker.core.types import FrameHeader

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY
VGA, HD = (480, 640), (720, 1280)
FIRST = Session(0, 0)


def received(stamp_ns: int, hw: tuple[int, int] = VGA) -> ReceivedFrame:
    return ReceivedFrame(FrameJpeg(hw), FrameHeader(stamp_ns, ''), stamp_ns, 1)


class Camera:
    """Sends images to a `StreamSessions`, and says which were taken."""

    def __init__(self, stamp_ns: int) -> None:
        self.sessions = StreamSessions()
        assert self.send(stamp_ns) == [(FIRST, stamp_ns)]

    def sort(self, stamp_ns: int, hw: tuple[int, int] = VGA) -> Sorted:
        return self.sessions.sort(received(stamp_ns, hw))

    def send(self, stamp_ns: int, hw: tuple[int, int] = VGA) -> list[tuple[Session, int]]:
        """Send one image; return those that are in a session now, each with its stamp."""
        return [(session, each.stamp_ns) for session, each in self.sort(stamp_ns, hw).admitted]


def test_ascending_stamps_stay_in_one_session() -> None:
    camera = Camera(5 * SECOND_NS)
    assert camera.send(5 * SECOND_NS + 1) == [(FIRST, 5 * SECOND_NS + 1)]
    assert camera.send(6 * SECOND_NS) == [(FIRST, 6 * SECOND_NS)]


def test_gap_in_the_stream_stays_in_one_session_and_loses_nothing() -> None:
    camera = Camera(5 * SECOND_NS)
    assert camera.send(900 * SECOND_NS) == []
    assert camera.send(900 * SECOND_NS + 1) == [(FIRST, 900 * SECOND_NS),
                                                (FIRST, 900 * SECOND_NS + 1)]


def test_slow_camera_is_not_taken_for_an_odd_one() -> None:
    camera = Camera(0)
    stamps_ns = [number * 5 * SECOND_NS for number in range(1, 6)]
    taken = [camera.send(stamp_ns) for stamp_ns in stamps_ns]
    assert [len(each) for each in taken] == [0, 2, 1, 1, 1]
    assert {session for each in taken for session, _ in each} == {FIRST}


def test_equal_stamp_is_dropped() -> None:
    assert 'is not newer' in Camera(5 * SECOND_NS).sort(5 * SECOND_NS).dropped


def test_stamp_that_goes_back_by_less_than_a_second_is_dropped() -> None:
    assert 'is not newer' in Camera(5 * SECOND_NS).sort(4 * SECOND_NS + 1).dropped


def test_dropped_frame_leaves_the_sessions_as_they_were() -> None:
    camera = Camera(5 * SECOND_NS)
    camera.send(4 * SECOND_NS + 500, HD)
    assert camera.send(5 * SECOND_NS) == []
    assert camera.send(5 * SECOND_NS + 1) == [(FIRST, 5 * SECOND_NS + 1)]


def test_stamps_that_go_back_by_a_second_begin_a_session_on_a_new_timeline() -> None:
    camera = Camera(5 * SECOND_NS)
    assert camera.send(4 * SECOND_NS) == []
    second = Session(1, 1)
    assert camera.send(4 * SECOND_NS + 1) == [(second, 4 * SECOND_NS),
                                              (second, 4 * SECOND_NS + 1)]
    assert camera.send(4 * SECOND_NS + 2) == [(second, 4 * SECOND_NS + 2)]


def test_size_change_begins_a_session_on_the_same_timeline() -> None:
    camera = Camera(5 * SECOND_NS)
    assert camera.send(6 * SECOND_NS, HD) == []
    assert [session for session, _ in camera.send(7 * SECOND_NS, HD)] == [Session(1, 0)] * 2
    assert camera.send(8 * SECOND_NS, VGA) == []
    assert [session for session, _ in camera.send(9 * SECOND_NS, VGA)] == [Session(2, 0)] * 2


def test_loop_with_another_size_is_a_new_timeline() -> None:
    camera = Camera(5 * SECOND_NS)
    assert camera.send(0, HD) == []
    assert [session for session, _ in camera.send(1, HD)] == [Session(1, 1)] * 2


@pytest.mark.parametrize(('stamp_ns', 'hw'), [
    (5 * SECOND_NS + 500, HD), (0, VGA), (10**18, VGA), (1, HD)])
def test_single_odd_image_between_ordinary_ones_is_dropped(stamp_ns: int, hw: tuple[int, int]
                                                           ) -> None:
    camera = Camera(5 * SECOND_NS)
    odd = camera.sort(stamp_ns, hw)
    assert odd.waits
    assert not odd.admitted
    ordinary = camera.sort(5 * SECOND_NS + 1000)
    assert [session for session, _ in ordinary.admitted] == [FIRST]
    assert 'is alone with its size or stamp' in ordinary.dropped
    assert camera.send(5 * SECOND_NS + 2000) == [(FIRST, 5 * SECOND_NS + 2000)]


def test_two_sizes_in_turn_leave_the_first_one_its_session() -> None:
    camera = Camera(0)
    taken = [camera.send(number, HD if number % 2 else VGA) for number in range(1, 9)]
    assert taken == [[], [(FIRST, 2)], [], [(FIRST, 4)], [], [(FIRST, 6)], [], [(FIRST, 8)]]


def test_odd_image_that_nothing_contradicts_is_believed() -> None:
    camera = Camera(5 * SECOND_NS)
    camera.send(6 * SECOND_NS, HD)
    held_s = camera.sessions.odd_for_s
    assert held_s is not None
    assert 0 < held_s <= 3
    (session, taken), = camera.sessions.believe().admitted
    assert (session, taken.source_hw) == (Session(1, 0), HD)
    assert camera.sessions.odd_for_s is None


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
def test_second_frame_of_a_new_session_says_so(tmp_path: Path, policy: FramePolicy) -> None:
    with opened(tmp_path, policy) as buffer:
        told = [send(buffer, stamp_s, hw).new_session
                for stamp_s, hw in ((5, HW), (6, HW), (1, HW), (2, HW), (3, (8, 8)), (4, (8, 8)))]
        assert told == [False, False, False, True, False, True]
        assert buffer.newest().session == Session(2, 1)


def test_every_gives_all_frames_of_a_session_before_the_next_begins(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5, 6])
        begin_session(buffer, 1)
        given = [process(buffer, index % 2) for index in range(4)]
        assert [stored.key for stored in given] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        statistics = buffer.statistics
        assert (statistics.lost, statistics.skipped, statistics.dropped) == (0, 0, 0)


def test_the_oldest_stamp_is_that_of_the_newest_session(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        assert buffer.statistics.oldest_stamp_ns is None
        send_all(buffer, [5, 6])
        assert buffer.statistics.oldest_stamp_ns == buffer.oldest().stamp_ns == 5 * 10**9
        begin_session(buffer, 1)
        assert buffer.statistics.oldest_stamp_ns == buffer.oldest().stamp_ns == 10**9


def test_frames_of_the_old_session_stay_until_the_worker_leaves_it(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5, 6])
        begin_session(buffer, 1)
        process(buffer, 0)
        process(buffer, 1)
        assert buffer.image(0).shape == (*HW, 3)
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg']] * 2
        process(buffer, 0)
        assert buffer.by_index(0).session == Session(1, 1)
        with pytest.raises(FrameError):
            buffer.by_index(1)
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg']]


def test_folder_of_a_session_without_a_readable_frame_goes_with_it(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5])
        next(tmp_path.rglob('*.jpeg')).write_bytes(b'')
        with pytest.raises(FrameError, match='cannot be decoded'):
            process(buffer, 0)
        begin_session(buffer, 1)
        process(buffer, 0)
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg']]


def test_latest_begins_the_new_session_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        send_all(buffer, [5, 6])
        begin_session(buffer, 1)
        assert process(buffer, 0).key == (1, 1)
        assert buffer.statistics.skipped == 3
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg']]


def test_latest_leaves_the_worker_its_session_until_the_next_frame(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        send_all(buffer, [5])
        process(buffer, 0)
        send_all(buffer, [6])
        begin_session(buffer, 1)
        assert buffer.image(0).shape == (*HW, 3)
        process(buffer, 0)
        assert buffer.statistics.held == 2


def test_latest_holds_no_third_session_while_nobody_processes(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        send_all(buffer, [50])
        process(buffer, 0)
        for stamp_s in (40, 30, 20):
            begin_session(buffer, stamp_s)
        assert buffer.statistics.held == 3
        assert len(folders(tmp_path)) == 2


def test_frame_pinned_in_an_old_session_outlives_it(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [5])
        begin_session(buffer, 1)
        with buffer.pin(process(buffer, 0)):
            process(buffer, 0)
            assert folders(tmp_path) == [['00000.jpeg'], ['00000.jpeg', '00001.jpeg']]
        assert buffer.flush(PATIENCE_S)
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg']]


def test_prompt_s_stamp_is_looked_up_in_the_newest_session_first(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [2.0, 4.0])
        begin_session(buffer, 1.9)
        assert buffer.nearest(19 * SECOND_NS // 10, SECOND_NS).key == (1, 0)
        assert buffer.nearest(4 * SECOND_NS, SECOND_NS).key == (0, 1)
        assert (buffer.oldest().number, buffer.newest().number) == (0, 1)


def test_sizes_never_mix_in_a_folder(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [1.0])
        begin_session(buffer, 1.1, (8, 8))
        begin_session(buffer, 1.3, HW)
        assert folders(tmp_path) == [['00000.jpeg'], *[['00000.jpeg', '00001.jpeg']] * 2]


def of_other_height(jpeg: bytes) -> bytes:
    """Return a JPEG with one bit of its height wrong: 32x16 for 32x24."""
    changed = bytearray(jpeg)
    changed[jpeg.index(b'\xff\xc0') + 6] ^= 8
    return bytes(changed)


def undecodable(hw: tuple[int, int]) -> bytes:
    """Return a JPEG that has a size and cannot be decoded."""
    return payload(11, hw).replace(b'\xff\xdb', b'\xff\xfe')


@pytest.mark.parametrize('policy', FramePolicy)
def test_one_wrong_bit_in_the_size_of_a_jpeg_ends_no_session(tmp_path: Path, policy: FramePolicy
                                                             ) -> None:
    with opened(tmp_path, policy) as buffer:
        send_all(buffer, [1.0])
        damaged = buffer.append(EncodedImage(of_other_height(payload(12))), header(1.2), 1)
        assert damaged.outcome is Outcome.WAITING
        ordinary = send(buffer, 1.3)
        assert 'of 32x16 is alone with its size' in ordinary.also
        assert ordinary.outcome is Outcome.STORED
        statistics = buffer.statistics
        assert (statistics.sessions, statistics.dropped) == (1, 1)
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg']]


def test_size_is_believed_only_when_a_picture_of_that_size_was_decoded(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        for hw, sessions in ((HW, 0), ((8, 8), 1)):
            for stamp_s in (1.1, 1.2):
                with pytest.raises(FrameError, match='cannot be decoded'):
                    buffer.append(EncodedImage(undecodable(hw)), header(stamp_s), 1)
            assert buffer.statistics.sessions == sessions
            send_all(buffer, [1.0 + sessions])
        assert buffer.statistics.unreadable == 4
        assert folders(tmp_path) == [['00000.jpeg', '00001.jpeg']]


def test_single_stamp_of_0_ends_no_session(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [1.0])
        bare = buffer.append(EncodedImage(payload(11)), FrameHeader(0, ''), 1, clock_ns=10**18)
        assert bare.outcome is Outcome.WAITING
        send_all(buffer, [1.2, 1.3])
        statistics = buffer.statistics
        assert (statistics.sessions, statistics.dropped, statistics.waiting) == (1, 1, 3)


@pytest.mark.parametrize('policy', FramePolicy)
def test_last_image_of_a_stream_is_taken_even_if_it_is_odd(
        tmp_path: Path, policy: FramePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, 'SHORTEST_HOLD_S', 0.05)
    with opened(tmp_path, policy) as buffer:
        send_all(buffer, [1.0])
        process(buffer, 0)
        assert send(buffer, 1.1, (8, 8)).outcome is Outcome.WAITING
        stored = buffer.next(PATIENCE_S)
        assert stored is not None
        assert (stored.session, stored.source_hw) == (Session(1, 0), (8, 8))


def test_numbers_beyond_five_digits_still_sort_by_number(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [1])
        buffer._intake._next_number = 99_999
        send_all(buffer, [2, 3])
        names = [file.name for file in tmp_path.rglob('*.jpeg')]
        assert sorted(names, key=lambda name: int(name[:-5])) == [
            '00000.jpeg', '99999.jpeg', '100000.jpeg']
        buffer.close()
    assert not list(tmp_path.iterdir())


def test_loop_after_loop_leaves_nothing_behind(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY, max_bytes=len(payload()) * 8) as buffer:
        for loop in range(20):
            # The first image of each loop but the first waits for the second.
            taken = sum(send(buffer, stamp_s).stored is not None for stamp_s in (50, 51, 52))
            assert taken == (3 if loop == 0 else 2)
            for index in range(3):
                process(buffer, index)
        assert len(folders(tmp_path)) == 1
        assert (buffer.statistics.sessions, buffer.statistics.dropped) == (20, 0)
    assert not list(tmp_path.iterdir())
