# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A frame is found by its stamp, by its place among the processed ones, or not at all."""

from __future__ import annotations

from pathlib import Path

from camera import HW, numbers, opened, payload, process, SECOND_NS, send_all
import pytest

from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.stored_frame import EncodedImage
from sam2_tracker.core.types import FrameHeader

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY


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
