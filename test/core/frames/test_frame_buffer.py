# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Frames go in, are given to the worker, and are found by their stamps and numbers."""

from __future__ import annotations

from pathlib import Path

from camera import header, HW, numbers, Open, opened, payload, process, SECOND_NS, send, send_all
import numpy as np
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.stored_frame import EncodedImage, Outcome, RawImage
from sam2_tracker.core.types import FrameHeader, UInt8Array
from waiting import wait_until

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY


@pytest.mark.parametrize('policy', FramePolicy)
def test_frame_keeps_its_header_stamp_and_size(open_buffer: Open, policy: FramePolicy) -> None:
    buffer = open_buffer(policy)
    buffer.append(EncodedImage(payload(hw=(48, 64))), FrameHeader(7, 'gripper'), 123)
    stored = buffer.next(0)
    assert stored is not None
    frame = buffer.frame(stored, 5)
    assert (frame.index, frame.stamp_ns, frame.header) == (5, 7, FrameHeader(7, 'gripper'))
    assert (frame.source_hw, frame.received_ns) == ((48, 64), 123)


def test_every_gives_each_frame_in_order(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY)
    send_all(buffer, [1, 2, 3])
    assert [process(buffer, index).number for index in range(3)] == [0, 1, 2]
    assert buffer.next(0) is None


def test_latest_gives_the_newest_frame_and_counts_those_passed_over(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST)
    send_all(buffer, [1, 2, 3])
    assert process(buffer, 0).number == 2
    assert buffer.next(0) is None
    assert buffer.statistics.skipped == 2


def test_skipped_frame_stays_for_prompts(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST)
    send_all(buffer, [1.0, 1.1, 1.2])
    process(buffer, 0)
    skipped = buffer.nearest(SECOND_NS, 0)
    assert skipped.index is None
    assert buffer.pixels(skipped).shape == (*HW, 3)
    assert buffer.nearest_processed(skipped).number == 2


def test_every_shows_the_picture_that_comes_next_in_its_session(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY)
    send_all(buffer, [5, 6])
    for stamp_s in (1, 2, 3):
        send(buffer, stamp_s)
    process(buffer, 0)
    shown: list[UInt8Array | None] = []
    wait_until(lambda: shown.append(buffer.following()) or shown[-1] is not None)
    following = shown[-1]
    # It need not be read again.
    assert buffer.following() is following
    stored = buffer.next(0)
    assert stored is not None
    assert buffer.frame(stored, 1).image_rgb is following
    buffer.mark_processed(stored, 1)
    assert buffer.following() is None, 'its session ends'
    process(buffer, 0)
    wait_until(lambda: buffer.following() is not None)


def test_nothing_is_shown_of_what_comes_next_where_it_is_not_known(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST)
    send_all(buffer, [1])
    process(buffer, 0)
    send_all(buffer, [2])
    assert buffer.following() is None, 'a newer one may come before it'


def test_a_picture_that_is_gone_is_not_lost_before_its_turn(open_buffer: Open, tmp_path: Path
                                                            ) -> None:
    buffer = open_buffer(EVERY)
    send_all(buffer, [1, 2])
    next(tmp_path.rglob('00001.jpeg')).unlink()
    process(buffer, 0)
    assert buffer.following() is None
    assert buffer.statistics.lost == 0
    stored = buffer.next(0)
    assert stored is not None
    with pytest.raises(FrameError, match='cannot be read'):
        buffer.frame(stored, 1)
    assert buffer.statistics.lost == 1


def test_frame_that_was_given_and_not_processed_counts_as_skipped(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY)
    send_all(buffer, [1, 2])
    buffer.next(0)
    process(buffer, 0)
    assert buffer.statistics.skipped == 1


def test_only_the_frame_in_work_can_be_marked_and_only_once(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY)
    other = send_all(buffer, [1, 2])[1]
    stored = process(buffer, 0)
    for wrong in (other, stored):
        with pytest.raises(FrameError, match='not the one in work'):
            buffer.mark_processed(wrong, 1)


def test_frame_whose_file_somebody_deleted_is_a_frame_error(open_buffer: Open,
                                                            tmp_path: Path) -> None:
    buffer = open_buffer(EVERY)
    stored, = send_all(buffer, [1])
    next(tmp_path.rglob('00000.jpeg')).unlink()
    with pytest.raises(FrameError, match=r'1\.000000000 cannot be read'):
        buffer.pixels(stored)


@pytest.mark.parametrize('image', [
    EncodedImage(b''), EncodedImage(payload()[:-9]), EncodedImage(b'nonsense'),
    RawImage(np.zeros((0, 32, 3), np.uint8)), RawImage(np.zeros((24, 32), np.uint8)),
    RawImage(np.zeros((24, 32, 3), np.uint16)), RawImage(np.zeros((65501, 1, 3), np.uint8)),
])
def test_bad_image_is_refused_and_the_stream_goes_on(open_buffer: Open,
                                                     image: RawImage | EncodedImage) -> None:
    buffer = open_buffer(EVERY)
    with pytest.raises(FrameError):
        buffer.append(image, header(1), 1)
    assert send(buffer, 1).outcome is Outcome.STORED
    statistics = buffer.statistics
    assert (statistics.received, statistics.unreadable, statistics.held) == (2, 1, 1)


def test_skipped_frame_takes_the_place_of_the_nearest_processed_one(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        for batch in ([1.0], [1.1, 1.2, 1.5]):
            send_all(buffer, batch)
            process(buffer, len(batch))
        places = [buffer.nearest_processed(buffer.nearest(round(stamp * SECOND_NS), 0)).number
                  for stamp in (1.0, 1.1, 1.2, 1.5)]
        assert places == [0, 0, 0, 3]


def test_skipped_frame_without_any_processed_one_has_no_place(tmp_path: Path) -> None:
    with opened(tmp_path, LATEST) as buffer:
        stored, = send_all(buffer, [1])
        with pytest.raises(FrameError, match=r'no processed frame .* 1\.000000000'):
            buffer.nearest_processed(stored)


def test_frame_is_found_by_its_nearest_stamp(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [1.0, 1.1, 1.2])
        assert buffer.nearest(round(1.14 * SECOND_NS), SECOND_NS // 10).number == 1
        assert buffer.nearest(round(1.29 * SECOND_NS), SECOND_NS // 10).number == 2
        assert numbers([buffer.oldest(), buffer.newest()]) == [0, 2]


def test_stamp_outside_the_tolerance_is_refused_with_what_is_available(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [1, 2])
        with pytest.raises(FrameError) as refusal:
            buffer.nearest(12_500_000_001, SECOND_NS // 10)
        assert str(refusal.value) == (
            'no frame within 0.100 s of stamp 12.500000001: '
            'the buffer holds 1.000000000 (oldest) to 2.000000000 (newest)')


def test_empty_buffer_says_so(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        for look_up in (buffer.newest, buffer.oldest, buffer.snapshot,
                        lambda: buffer.nearest(1, 1), lambda: buffer.by_index(0)):
            with pytest.raises(FrameError, match='no frame is buffered yet'):
                look_up()


def test_processed_frame_is_found_by_its_index_until_evicted(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY, max_frames=2) as buffer:
        send_all(buffer, [1, 2, 3])
        for index in range(3):
            process(buffer, index)
        assert buffer.by_index(2).number == 2
        assert buffer.image(1).shape == (*HW, 3)
        with pytest.raises(FrameError, match='processed frame 0 is not buffered'):
            buffer.image(0)


def test_header_without_stamp_is_looked_up_by_its_receive_time(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        bare = FrameHeader(0, 'camera')
        arrival = buffer.append(EncodedImage(payload()), bare, 5, clock_ns=8 * SECOND_NS)
        stored = buffer.nearest(8 * SECOND_NS, 0)
        assert arrival.stored == stored
        assert (stored.header, stored.received_ns) == (bare, 5)
