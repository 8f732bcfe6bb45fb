# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Frames go in, are given to the worker, and go when nothing can need them any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from camera import header, HW, opened, payload, process, SECOND_NS, send, send_all
import numpy as np
import pytest

from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import EncodedImage, Outcome, RawImage
from sam2_tracker.core.types import FrameHeader

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY
JPEG_BYTES = len(payload())
Open = Callable[..., FrameBuffer]


@pytest.fixture
def open_buffer(tmp_path: Path, request: pytest.FixtureRequest) -> Open:
    def open_one(policy: FramePolicy = EVERY, **settings: object) -> FrameBuffer:
        buffer = opened(tmp_path, policy, **settings)
        request.addfinalizer(buffer.close)
        return buffer
    return open_one


def held(buffer: FrameBuffer) -> list[int]:
    """Return the stamps of the frames held, in tenths of a second."""
    found = []
    for tenth in range(200):
        try:
            found.append(buffer.nearest(tenth * SECOND_NS // 10, 0))
        except FrameError:
            continue
    return [stored.stamp_ns * 10 // SECOND_NS for stored in found]


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


def test_oldest_processed_frames_go_beyond_max_frames(open_buffer: Open, tmp_path: Path) -> None:
    buffer = open_buffer(EVERY, max_frames=2)
    send_all(buffer, [1.0, 1.1, 1.2, 1.3, 1.4])
    for index in range(4):
        process(buffer, index)
    assert held(buffer) == [12, 13, 14]
    assert sorted(file.name for file in tmp_path.rglob('*.jpeg')) == [
        '00002.jpeg', '00003.jpeg', '00004.jpeg']


def test_skipped_frames_go_with_their_processed_neighbours(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_frames=2)
    for index in range(3):
        send_all(buffer, [1 + index, 1.5 + index])
        process(buffer, index)
    assert held(buffer) == [25, 30, 35]


def test_waiting_frames_do_not_count_as_processed(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=2)
    send_all(buffer, range(1, 11))
    assert buffer.statistics.waiting == 10


def test_latest_bounds_what_waits_while_nobody_processes(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_frames=3)
    send_all(buffer, [1.0, 1.1, 1.2, 1.3, 1.4])
    assert held(buffer) == [12, 13, 14]
    assert buffer.statistics.skipped == 2


def test_max_bytes_lets_the_oldest_processed_frame_go(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_bytes=int(3.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1, 1.2])
    process(buffer, 0)
    process(buffer, 1)
    send_all(buffer, [1.3])
    assert held(buffer) == [11, 12, 13]


def test_every_refuses_a_new_frame_rather_than_lose_a_waiting_one(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_bytes=int(3.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1, 1.2])
    arrival = send(buffer, 1.3)
    assert arrival.outcome is Outcome.LOST
    assert arrival.reason.startswith('frame 1.300000000 is lost: buffer.max_bytes')
    assert '3 frames wait' in arrival.reason
    assert held(buffer) == [10, 11, 12]
    assert buffer.statistics.lost == 1


def test_latest_lets_waiting_frames_go_for_new_ones(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_bytes=int(3.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1, 1.2, 1.3])
    assert held(buffer) == [11, 12, 13]


def test_frame_larger_than_max_bytes_is_lost_and_nothing_goes_for_it(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_bytes=int(2.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1])
    assert send(buffer, 1.2, hw=(240, 320)).outcome is Outcome.LOST
    assert buffer.statistics.held == 0  # The other size began a new session.
    assert send(buffer, 1.3, hw=HW).outcome is Outcome.STORED


def test_pinned_frame_is_never_evicted(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=1)
    send_all(buffer, [1.0, 1.1, 1.2])
    pinned = process(buffer, 0)
    with buffer.pin(pinned):
        with buffer.pin(pinned):
            process(buffer, 1)
        process(buffer, 2)
        assert held(buffer) == [10, 12]
        assert buffer.pixels(pinned).shape == (*HW, 3)
    assert held(buffer) == [12]


def test_pinned_frames_do_not_drive_newer_ones_out(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=2)
    send_all(buffer, [1.0, 1.1, 1.2, 1.3])
    with buffer.pin(process(buffer, 0)), buffer.pin(process(buffer, 1)):
        process(buffer, 2)
        process(buffer, 3)
        assert held(buffer) == [10, 11, 12, 13]


def test_frame_in_work_can_still_be_pinned_after_it_was_processed(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_bytes=int(1.9 * JPEG_BYTES))
    send_all(buffer, [1.0])
    stored = process(buffer, 0)
    assert send(buffer, 1.1).outcome is Outcome.LOST
    with buffer.pin(stored):
        assert held(buffer) == [10]


def test_pinning_an_evicted_frame_is_refused_with_what_is_available(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=1)
    send_all(buffer, [1.0, 1.1])
    evicted = process(buffer, 0)
    process(buffer, 1)
    for use in (buffer.pixels, lambda stored: buffer.pin(stored).__enter__()):
        with pytest.raises(FrameError, match=r'1\.000000000 is gone: .*1\.100000000 \(oldest\)'):
            use(evicted)


def test_unreadable_frame_is_thrown_out_and_counted_as_lost(open_buffer: Open,
                                                            tmp_path: Path) -> None:
    buffer = open_buffer(EVERY)
    send_all(buffer, [1.0, 1.1])
    next(tmp_path.rglob('00000.jpeg')).write_bytes(b'nonsense')
    stored = buffer.next(0)
    assert stored is not None
    with pytest.raises(FrameError, match='cannot be decoded'):
        buffer.frame(stored, 0)
    assert held(buffer) == [11]
    assert not list(tmp_path.rglob('00000.jpeg'))
    assert buffer.statistics.lost == 1
    assert process(buffer, 0).number == 1


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
