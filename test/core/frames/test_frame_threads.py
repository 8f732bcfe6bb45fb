# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A camera, a worker and services use one buffer at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
import shutil
import threading

from camera import HW, numbers, opened, payload, process, SECOND_NS, send, send_all
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import Outcome, StoredFrame

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY
FRAMES = 300
PATIENCE_S = 120.0


def waiting_for(buffer: FrameBuffer, timeout_s: float | None,
                ) -> tuple[threading.Thread, list[StoredFrame | None]]:
    """Start a worker that waits for one frame."""
    given: list[StoredFrame | None] = []
    worker = threading.Thread(target=lambda: given.append(buffer.next(timeout_s)), daemon=True)
    worker.start()
    return worker, given


@pytest.mark.parametrize('wake', [FrameBuffer.wake, FrameBuffer.close])
def test_waiting_worker_is_woken_without_a_frame(tmp_path: Path,
                                                 wake: Callable[[FrameBuffer], None]) -> None:
    with opened(tmp_path, EVERY) as buffer:
        worker, given = waiting_for(buffer, None)
        wake(buffer)
        worker.join(PATIENCE_S)
        assert given == [None]


def test_waiting_worker_is_given_a_frame_as_it_arrives(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        worker, given = waiting_for(buffer, None)
        stored, = send_all(buffer, [1])
        worker.join(PATIENCE_S)
        assert given == [stored]


def test_wake_before_the_wait_is_not_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [1])
        buffer.wake()
        assert buffer.next(PATIENCE_S) is None
        assert buffer.next(PATIENCE_S) is not None


def test_wait_ends_with_its_timeout(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        assert buffer.next(0.01) is None


def test_closed_buffer_takes_and_gives_nothing(tmp_path: Path) -> None:
    buffer = opened(tmp_path, EVERY)
    send_all(buffer, [1])
    buffer.close()
    buffer.close()
    arrival = send(buffer, 2)
    assert arrival.outcome is Outcome.DROPPED
    assert 'after the end' in arrival.reason
    assert buffer.next(None) is None
    assert not list(tmp_path.iterdir())


class Traffic:
    """Runs a camera, a worker and prompts against a buffer until the camera is done."""

    def __init__(self, buffer: FrameBuffer) -> None:
        self.buffer = buffer
        self.camera_done = threading.Event()
        self.worker_done = threading.Event()
        self.tracked: list[StoredFrame] = []
        self.looked_at = 0

    def camera(self) -> None:
        """Send frames in three sessions."""
        try:
            for number in range(FRAMES):
                hw = HW if number < 200 else (16, 16)
                stamp_s = 1 + number % 100 / 10 + (number >= 200) * 20
                waits = number in (100, 200)  # For the second one of its session.
                assert send(self.buffer, stamp_s, hw).outcome is (
                    Outcome.WAITING if waits else Outcome.STORED)
        finally:
            self.camera_done.set()
            self.buffer.wake()

    def worker(self) -> None:
        """Process all that is given; each frame's pixels must fit its size."""
        session, index = None, 0
        while True:
            finished = self.camera_done.is_set()
            stored = self.buffer.next(None if not finished else 0)
            if stored is None:
                if finished and not self.buffer.statistics.waiting:
                    break
                continue
            index = 0 if stored.session != session else index + 1
            session = stored.session
            frame = self.buffer.frame(stored, index)
            assert frame.image_rgb.shape[:2] == stored.source_hw
            self.buffer.mark_processed(stored, index)
            assert self.buffer.image(index) is not None
            self.tracked.append(stored)
        self.worker_done.set()

    def prompts(self, snapshots: bool) -> None:
        """Look frames up, pin and read them: what was found and pinned must be readable."""
        while not self.worker_done.is_set():
            try:
                stored = self.buffer.nearest(6 * SECOND_NS, 5 * SECOND_NS)
                with self.buffer.pin(stored):
                    assert self.buffer.pixels(stored).shape[:2] == stored.source_hw
                    self.looked_at += 1
                if snapshots:
                    shutil.rmtree(self.buffer.snapshot())
            except FrameError:
                continue  # Evicted between the look-up and the pin, or nothing there yet.

    def run(self) -> None:
        """Run all and raise what any of them raised."""
        with ThreadPoolExecutor(4) as pool:
            running: list[Future[None]] = [
                pool.submit(self.worker), pool.submit(self.prompts, False),
                pool.submit(self.prompts, True), pool.submit(self.camera)]
            try:
                for future in running:
                    future.result(PATIENCE_S)
            finally:
                self.camera_done.set()
                self.worker_done.set()
                self.buffer.close()


def test_every_loses_nothing_in_traffic(tmp_path: Path) -> None:
    buffer = opened(tmp_path, EVERY, max_frames=10)
    traffic = Traffic(buffer)
    traffic.run()
    keys = [stored.key for stored in traffic.tracked]
    assert keys == [(session, number) for session in range(3) for number in range(100)]
    assert traffic.looked_at
    statistics = buffer.statistics
    assert (statistics.received, statistics.skipped, statistics.lost) == (FRAMES, 0, 0)
    assert (statistics.held, statistics.storage_failures) == (10, 0)
    assert not list(tmp_path.iterdir())


def test_latest_accounts_for_every_frame_in_traffic(tmp_path: Path) -> None:
    buffer = opened(tmp_path, LATEST, max_frames=10, max_bytes=15 * len(payload()))
    traffic = Traffic(buffer)
    traffic.run()
    keys = [stored.key for stored in traffic.tracked]
    assert keys == sorted(set(keys))
    assert traffic.tracked[-1].stamp_ns == round(30.9 * SECOND_NS)
    statistics = buffer.statistics
    assert statistics.skipped + len(keys) == statistics.received == FRAMES
    assert statistics.storage_failures == 0
    assert not list(tmp_path.iterdir())


def test_two_cameras_by_mistake_leave_the_numbers_whole(tmp_path: Path) -> None:
    with opened(tmp_path, EVERY) as buffer:
        def camera(offset_ns: int) -> None:
            for number in range(50):
                send(buffer, 1 + number / 10 + offset_ns / SECOND_NS)

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(camera, offset_ns) for offset_ns in (0, 1000)]:
                future.result(PATIENCE_S)
        statistics = buffer.statistics
        assert statistics.received == 100
        assert statistics.held + statistics.dropped == 100
        given = [process(buffer, index) for index in range(statistics.waiting)]
        of_first = [stored for stored in given if stored.session.number == 0]
        assert numbers(of_first) == list(range(len(of_first)))
