# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Under `latest` the worker has a raw frame while its JPEG is still being made."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
import csv
from pathlib import Path
import threading
import time

from camera import flush, opened, PATIENCE_S, payload, picture, process, SECOND_NS, send_raw
import numpy as np
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.core.frames import buffer as buffer_module
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.files import FrameFiles
from sam2_tracker.core.frames.stored_frame import Arrival, Outcome


class SlowCamera:
    """A camera whose next frame stays without its JPEG until `finish`."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **settings: object) -> None:
        self.buffer: FrameBuffer = opened(folder, FramePolicy.LATEST, **settings)
        self.failure: Exception | None = None
        self._may_encode = threading.Event()
        self._may_encode.set()
        self._encode = jpeg.encode
        patch.setattr(jpeg, 'encode', self._encode_when_allowed)
        self._pool = ThreadPoolExecutor(1)
        self._sending: Future[Arrival] | None = None

    def _encode_when_allowed(self, image_rgb: np.ndarray, quality: int) -> bytes:
        assert self._may_encode.wait(PATIENCE_S)
        if self.failure is not None:
            raise self.failure
        return self._encode(image_rgb, quality)

    def begin(self, stamp_s: float, hw: tuple[int, int] = (24, 32)) -> None:
        """Send a frame as far as to its JPEG."""
        self._may_encode.clear()
        waiting = self.buffer.statistics.waiting
        self._sending = self._pool.submit(send_raw, self.buffer, stamp_s, hw)
        end_s = time.monotonic() + PATIENCE_S
        while self.buffer.statistics.waiting <= waiting:
            assert time.monotonic() < end_s, 'the worker is not given the frame'
            time.sleep(0.001)

    def finish(self) -> Arrival:
        """Let the JPEG be made and written."""
        self._may_encode.set()
        assert self._sending is not None
        arrival = self._sending.result(PATIENCE_S)
        flush(self.buffer)
        return arrival

    def close(self) -> None:
        self._may_encode.set()
        self._pool.shutdown()
        self.buffer.close()


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowCamera]:
    found = SlowCamera(tmp_path, monkeypatch)
    yield found
    found.close()
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith('snapshot')]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob('*.jpeg'))


def test_frame_is_tracked_and_found_before_its_jpeg_is_made(camera: SlowCamera, tmp_path: Path
                                                            ) -> None:
    camera.begin(1.0)
    buffer = camera.buffer
    stored = process(buffer, 0)
    assert files(tmp_path) == []
    assert np.array_equal(buffer.image(0), picture(10))
    assert buffer.nearest(SECOND_NS, 0) == buffer.by_index(0) == buffer.newest()
    arrival = camera.finish()
    assert arrival.outcome is Outcome.STORED
    assert arrival.stored == stored
    assert files(tmp_path) == ['00000.jpeg']
    assert buffer.by_index(0).index == 0
    assert buffer.statistics.disk_bytes == len(jpeg.encode(picture(10), 95))


def test_pixels_are_at_hand_however_many_others_are_read_meanwhile(camera: SlowCamera) -> None:
    buffer = camera.buffer
    for number in range(8):
        send_raw(buffer, 1 + number / 10)
        process(buffer, number)
    camera.begin(2.0)
    stored = buffer.newest()
    for number in range(8):
        buffer.image(number)
    assert np.array_equal(buffer.pixels(stored), picture(20))
    camera.finish()
    for number in range(8):
        buffer.image(number)
    assert np.array_equal(buffer.pixels(stored), jpeg.decode(jpeg.encode(picture(20), 95)))


def test_snapshot_waits_for_the_newest_jpeg(camera: SlowCamera,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, 'JPEG_TIMEOUT_S', PATIENCE_S)
    send_raw(camera.buffer, 1.0)
    camera.begin(1.1)
    with ThreadPoolExecutor(1) as pool:
        snapshot = pool.submit(camera.buffer.snapshot)
        threading.Event().wait(0.05)
        assert not snapshot.done()
        camera.finish()
        folder = snapshot.result(PATIENCE_S)
    assert files(folder) == ['00000.jpeg', '00001.jpeg']


def test_snapshot_leaves_out_a_frame_whose_jpeg_does_not_come(camera: SlowCamera,
                                                              monkeypatch: pytest.MonkeyPatch
                                                              ) -> None:
    monkeypatch.setattr(buffer_module, 'JPEG_TIMEOUT_S', 0.01)
    send_raw(camera.buffer, 1.0)
    camera.begin(1.1)
    folder = camera.buffer.snapshot()
    camera.finish()
    assert files(folder) == ['00000.jpeg']
    with (folder / 'stamps.csv').open() as stamps:
        assert [row['file'] for row in csv.DictReader(stamps)] == ['00000.jpeg']


def test_frame_without_its_jpeg_is_not_evicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    slow = SlowCamera(tmp_path, monkeypatch, max_frames=1)
    slow.begin(1.0)
    process(slow.buffer, 0)
    slow.finish()
    slow.begin(1.1)
    process(slow.buffer, 1)
    assert slow.buffer.by_index(1).index == 1
    slow.finish()
    send_raw(slow.buffer, 1.2)
    process(slow.buffer, 2)
    assert files(tmp_path) == ['00002.jpeg']
    assert slow.buffer.statistics.held == 1
    slow.close()


def test_session_that_ends_meanwhile_takes_the_frame_along(camera: SlowCamera, tmp_path: Path
                                                           ) -> None:
    camera.begin(1.0)
    process(camera.buffer, 0)
    camera.finish()
    send_raw(camera.buffer, 2.0, hw=(16, 16))
    camera.begin(5.0, hw=(16, 16))
    process(camera.buffer, 0)
    camera.finish()
    assert [path.parent.name[-3:] for path in tmp_path.rglob('*.jpeg')] == ['001'] * 2
    assert camera.buffer.statistics.held == 2


@pytest.mark.parametrize('failure', [FrameError('no JPEG of this'),
                                     MemoryError('no JPEG of this')])
def test_frame_whose_jpeg_cannot_be_made_is_gone(camera: SlowCamera, failure: Exception) -> None:
    buffer = camera.buffer
    camera.begin(1.0)
    stored = buffer.next(0)
    assert stored is not None
    camera.failure = failure
    with pytest.raises(type(failure), match='no JPEG of this'):
        camera.finish()
    with pytest.raises(FrameError, match='not the one in work'):
        buffer.mark_processed(stored, 0)
    statistics = buffer.statistics
    assert (statistics.held, statistics.waiting, statistics.disk_bytes) == (0, 0, 0)
    camera.failure = None
    send_raw(buffer, 1.1)
    assert process(buffer, 0).number == stored.number + 1, 'the number of the lost one is not its'


def test_jpeg_that_the_disk_refuses_stays_in_memory(camera: SlowCamera,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageError('the disk is full')

    camera.begin(1.0)
    process(camera.buffer, 0)
    with monkeypatch.context() as patch:
        patch.setattr(FrameFiles, 'write', refuse)
        arrival = camera.finish()
    assert arrival.outcome is Outcome.STORED
    statistics = camera.buffer.statistics
    assert statistics.trouble == 'the disk is full; meanwhile they stay in memory'
    assert (statistics.disk_bytes, statistics.memory_bytes) == (0, len(jpeg.encode(
        picture(10), 95)))
    assert np.array_equal(camera.buffer.image(0), picture(10))


def test_nothing_is_announced_that_room_has_to_be_made_for(tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch
                                                           ) -> None:
    n_bytes = len(payload(10, quality=95))
    slow = SlowCamera(tmp_path, monkeypatch, max_bytes=3 * n_bytes)
    most = 0
    for number in range(10):
        send_raw(slow.buffer, 1 + number / 10)
        process(slow.buffer, number)
        most = max(most, slow.buffer.statistics.disk_bytes)
    assert 0 < most <= 3 * n_bytes
    slow.close()
