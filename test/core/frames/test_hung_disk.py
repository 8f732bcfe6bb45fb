# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A disk that hangs keeps nobody waiting; what it holds up is in memory, and what is lost said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
import shutil
import subprocess
import threading
import time
from typing import Any, TypeVar

from camera import flush, header, HW, opened, PATIENCE_S, payload, picture, process, send_all
import numpy as np
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError, StorageError, UnansweredError
from sam2_tracker.core.frames import buffer as buffer_module
from sam2_tracker.core.frames import reader as reader_module
from sam2_tracker.core.frames import writer as writer_module
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.files import BufferDirectory, SessionFolder
from sam2_tracker.core.frames.stored_frame import Arrival, EncodedImage, Outcome, RawImage

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY
T = TypeVar('T')


class Disk:
    """Stands in for a disk: all that files need of it waits while it hangs."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._answers = threading.Event()
        self._answers.set()
        self.waiting = threading.Event()
        for owner, names in ((SessionFolder, ('write', 'read', 'remove', 'close')),
                             (BufferDirectory, ('open_session', 'open_snapshot', 'close'))):
            for name in names:
                patch.setattr(owner, name, self._slow(getattr(owner, name)))

    def _slow(self, work: Callable[..., T]) -> Callable[..., T]:
        def wait(*arguments: Any) -> T:
            if not self._answers.is_set():
                self.waiting.set()
            assert self._answers.wait(PATIENCE_S)
            return work(*arguments)

        return wait

    def hang(self) -> None:
        self._answers.clear()

    def answer(self) -> None:
        self._answers.set()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    found = Disk(monkeypatch)
    yield found
    found.answer()


def soon(work: Callable[[], T]) -> T:
    """Do something that must not wait for the disk, and fail if it does."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work).result(PATIENCE_S / 2)
    finally:
        pool.shutdown(wait=False)


def arrive(buffer: FrameBuffer, stamp_s: float, hw: tuple[int, int] = HW) -> Arrival:
    return buffer.append(EncodedImage(payload(round(stamp_s * 10), hw)), header(stamp_s), 1)


def track(buffer: FrameBuffer, index: int) -> int:
    """Do the worker's part for one frame; return its number."""
    stored = buffer.next(0)
    assert stored is not None
    buffer.frame(stored, index)
    buffer.mark_processed(stored, index)
    return stored.number


def tenths(number: int) -> float:
    return 1 + number / 10


@pytest.mark.parametrize('policy', FramePolicy)
def test_live_tracking_goes_on_from_memory_and_all_is_written_in_the_end(
        tmp_path: Path, disk: Disk, policy: FramePolicy) -> None:
    with opened(tmp_path, policy, max_frames=40) as buffer:
        def stream() -> None:
            for index in range(30):
                assert arrive(buffer, tenths(index)).outcome is Outcome.STORED
                assert track(buffer, index) == index
                with buffer.pin(buffer.newest()):
                    assert buffer.image(max(0, index - 20)).shape == (*HW, 3)
            assert buffer.statistics.memory_bytes > 0

        disk.hang()
        soon(stream)
        assert not list(tmp_path.rglob('*.jpeg'))
        disk.answer()
        flush(buffer)
        assert len(list(tmp_path.rglob('*.jpeg'))) == 30
        statistics = buffer.statistics
        assert (statistics.lost, statistics.skipped, statistics.memory_bytes) == (0, 0, 0)


@pytest.mark.parametrize('policy', FramePolicy)
def test_sessions_begin_and_end_without_the_disk(tmp_path: Path, disk: Disk, policy: FramePolicy
                                                 ) -> None:
    with opened(tmp_path, policy) as buffer:
        send_all(buffer, [1.0])
        process(buffer, 0)
        disk.hang()

        def resize() -> None:
            arrive(buffer, 1.1, (8, 8))
            assert arrive(buffer, 1.2, (8, 8)).new_session
            track(buffer, 0)

        soon(resize)
        disk.answer()
        flush(buffer)
        assert {path.parent.name[-3:] for path in tmp_path.rglob('*.jpeg')} == {'001'}


def test_raw_frames_need_no_disk_either(tmp_path: Path, disk: Disk) -> None:
    with opened(tmp_path, LATEST) as buffer:
        disk.hang()

        def stream() -> None:
            for index in range(10):
                buffer.append(RawImage(picture(index)), header(tenths(index)), 1)
                track(buffer, index)

        soon(stream)
        assert np.array_equal(soon(lambda: buffer.image(9)), picture(9))


def test_disk_that_does_not_answer_is_said_once(tmp_path: Path, disk: Disk,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, 'HUNG_AFTER_S', 0.0)
    with opened(tmp_path) as buffer:
        flush(buffer)
        disk.hang()
        arrive(buffer, 1.0)
        assert disk.waiting.wait(PATIENCE_S)
        troubles = [arrive(buffer, tenths(number)).trouble for number in range(1, 4)]
        assert troubles == [f'the disk does not answer: frames cannot be written to {tmp_path}; '
                            'meanwhile they stay in memory', '', '']
        assert buffer.statistics.trouble == troubles[0]
        disk.answer()
        flush(buffer)
        assert buffer.statistics.trouble == ''


def test_frames_beyond_what_memory_takes_are_counted_as_lost_under_every(
        tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, 'MAX_MEMORY_BYTES', int(3.9 * len(payload())))
    with opened(tmp_path) as buffer:
        disk.hang()
        arrivals = [arrive(buffer, tenths(number)) for number in range(6)]
        assert [each.outcome for each in arrivals] == [Outcome.STORED] * 3 + [Outcome.LOST] * 3
        assert 'bytes of frames are in memory already, as the disk of' in arrivals[3].reason
        assert buffer.statistics.lost == 3
        soon(lambda: [track(buffer, index) for index in range(3)])
        # Those that were tracked make room.
        assert arrive(buffer, 2.0).outcome is Outcome.STORED


def test_latest_keeps_the_newest_that_memory_takes(tmp_path: Path, disk: Disk,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, 'MAX_MEMORY_BYTES', int(3.9 * len(payload())))
    with opened(tmp_path, LATEST) as buffer:
        disk.hang()
        for index in range(10):
            assert arrive(buffer, tenths(index)).outcome is Outcome.STORED
            soon(lambda at=index: track(buffer, at))
        assert buffer.statistics.held == 3
        disk.answer()
        flush(buffer)
        # And the one that was being written when it was evicted is gone again.
        assert sorted(path.name for path in tmp_path.rglob('*.jpeg')) == [
            '00007.jpeg', '00008.jpeg', '00009.jpeg']


def test_what_was_to_be_kept_and_is_not_counts_as_lost(tmp_path: Path, disk: Disk,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, 'MAX_MEMORY_BYTES', int(3.9 * len(payload())))
    with opened(tmp_path, LATEST, keep=True) as buffer:
        disk.hang()
        for index in range(8):
            assert arrive(buffer, tenths(index)).outcome is Outcome.STORED
            soon(lambda at=index: track(buffer, at))
        assert buffer.statistics.lost == 5
        disk.answer()
    assert sorted(path.name for path in tmp_path.rglob('*.jpeg'))[-3:] == [
        '00005.jpeg', '00006.jpeg', '00007.jpeg']


def test_frame_on_a_disk_that_does_not_answer_is_refused_and_can_be_read_later(
        tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, 'READ_TIMEOUT_S', 0.05)
    with opened(tmp_path, EVERY) as buffer:
        stored, *_ = send_all(buffer, [tenths(number) for number in range(6)])
        for index in range(6):
            process(buffer, index)
        disk.hang()
        for _ in range(2):
            with pytest.raises(UnansweredError, match=r'1\.0+ cannot be read: the disk does not'):
                soon(lambda: buffer.frame(stored, 0))
        assert buffer.statistics.lost == 0
        disk.answer()
        monkeypatch.setattr(reader_module, 'READ_TIMEOUT_S', PATIENCE_S)
        assert buffer.image(0).shape == (*HW, 3)


def test_every_waits_for_its_frames_on_disk_and_loses_none(tmp_path: Path, disk: Disk) -> None:
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [tenths(number) for number in range(3)])
        disk.hang()
        arrive(buffer, 2.0)
        with ThreadPoolExecutor(1) as worker:
            given = worker.submit(buffer.next, None)
            assert disk.waiting.wait(PATIENCE_S)
            buffer.wake()  # A request is answered meanwhile.
            assert given.result(PATIENCE_S) is None
        disk.answer()
        assert [track(buffer, index) for index in range(4)] == [0, 1, 2, 3]
        assert buffer.statistics.lost == 0


def test_every_gives_up_a_frame_on_a_disk_that_never_answers(
        tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, 'READ_TIMEOUT_S', 0.02)
    monkeypatch.setattr(reader_module, 'PATIENCE_S', 0.1)
    with opened(tmp_path, EVERY) as buffer:
        send_all(buffer, [tenths(number) for number in range(3)])
        disk.hang()
        arrive(buffer, 2.0)
        lost = []
        while len(lost) < 3:
            stored = soon(lambda: buffer.next(PATIENCE_S))
            assert stored is not None
            with pytest.raises(UnansweredError):
                soon(lambda at=stored: buffer.frame(at, 0))
            lost.append(stored.number)
        assert lost == [0, 1, 2]
        assert buffer.statistics.lost == 3
        assert soon(lambda: track(buffer, 0)) == 3


def test_snapshot_is_made_when_all_is_written(tmp_path: Path, disk: Disk) -> None:
    with opened(tmp_path) as buffer:
        disk.hang()
        for number in range(3):
            arrive(buffer, tenths(number))
        made = buffer.begin_snapshot(lambda: True)
        assert not made.done()
        disk.answer()
        assert len(list(made.result(PATIENCE_S).glob('*.jpeg'))) == 3


def test_snapshot_that_nobody_waits_for_any_more_is_removed(tmp_path: Path, disk: Disk) -> None:
    with opened(tmp_path) as buffer:
        send_all(buffer, [1.0])
        wanted = threading.Event()
        disk.hang()
        begun, queued = buffer.begin_snapshot(wanted.is_set), buffer.begin_snapshot(wanted.is_set)
        assert disk.waiting.wait(PATIENCE_S)
        queued.cancel()
        disk.answer()
        with pytest.raises(FrameError, match='came too late and was removed'):
            begun.result(PATIENCE_S)
        with pytest.raises(CancelledError):
            queued.result(0)
        flush(buffer)
        assert not list(tmp_path.glob('snapshot*'))


def test_end_does_not_wait_for_ever_and_says_what_is_left(tmp_path: Path, disk: Disk,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, 'CLOSE_TIMEOUT_S', 0.05)
    buffer = opened(tmp_path)
    send_all(buffer, [1.0])
    disk.hang()
    arrive(buffer, 1.1)
    assert soon(buffer.close) == (f'the disk of {tmp_path} does not answer: the frames there are '
                                  'not removed; the next start removes them')
    disk.answer()
    flush(buffer)
    assert not list(tmp_path.iterdir())


def test_end_says_what_was_to_be_kept(tmp_path: Path, disk: Disk,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, 'CLOSE_TIMEOUT_S', 0.05)
    buffer = opened(tmp_path, keep=True)
    disk.hang()
    for number in range(3):
        arrive(buffer, tenths(number))
    assert '3 frames that were to be kept are not written' in soon(buffer.close)
    disk.answer()
    flush(buffer)
    assert len(list(tmp_path.rglob('*.jpeg'))) == 3


def test_directory_on_a_disk_that_does_not_answer_is_refused(
        tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, 'OPEN_TIMEOUT_S', 0.05)
    disk.hang()
    with pytest.raises(StorageError, match=r'is on a disk that does not answer within 0\.05 s'):
        soon(lambda: opened(tmp_path))
    disk.answer()
    end_s = time.monotonic() + PATIENCE_S
    while list(tmp_path.iterdir()):
        assert time.monotonic() < end_s, 'what was opened too late is not removed'


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    subprocess.run(['fsfreeze', '-f', str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(['fsfreeze', '-u', str(folder)], check=True)


@pytest.fixture
def real_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small file system of its own, which can be frozen."""
    image, folder = tmp_path / 'image', tmp_path / 'mounted'
    folder.mkdir()
    with image.open('wb') as file:
        file.truncate(20 * 1024**2)
    tools = [shutil.which(name) for name in ('mkfs.ext4', 'mount', 'umount', 'fsfreeze')]
    for command in (['mkfs.ext4', '-q', '-F', image], ['mount', '-o', 'loop', image, folder]):
        if None in tools or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip('this machine lets nobody mount and freeze a file system')
    yield folder
    subprocess.run(['umount', str(folder)], check=True)


@pytest.mark.parametrize('policy', FramePolicy)
def test_frozen_file_system_keeps_nobody_waiting(real_disk: Path, policy: FramePolicy) -> None:
    with opened(real_disk, policy) as buffer:
        send_all(buffer, [1.0])
        process(buffer, 0)

        def stream() -> None:
            for index in range(1, 20):
                assert arrive(buffer, tenths(index)).outcome is Outcome.STORED
                assert track(buffer, index) == index

        with frozen(real_disk):
            soon(stream)
            assert len(list(real_disk.rglob('*.jpeg'))) == 1
        flush(buffer)
        assert len(list(real_disk.rglob('*.jpeg'))) == 20
        assert (buffer.statistics.lost, buffer.statistics.storage_failures) == (0, 0)
    assert [path.name for path in real_disk.iterdir()] == ['lost+found']
