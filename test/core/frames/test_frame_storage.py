# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, read-only or gone: said once, counted, and the stream goes on."""

from __future__ import annotations

from dataclasses import asdict
import errno
import json
import os
from pathlib import Path
import resource
import shutil
import subprocess
import sys

from camera import begin_session, flush, header, opened, payload, picture, process, send, send_all
import numpy as np
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import StorageError
from sam2_tracker.core.frames import buffer as buffer_module
from sam2_tracker.core.frames.stored_frame import Outcome, RawImage

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY
ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c']


def use_small_disk(folder: Path) -> dict[str, object]:
    """Fill a file system of 256 KiB, track on, make it read-only; return what happened."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    buffer = opened(folder, max_frames=1)
    arrivals = []
    for number in range(60):
        arrivals.append(buffer.append(RawImage(noise), header(1 + number / 10), 1))
        flush(buffer)
    full = asdict(buffer.statistics)
    for number in range(60):
        process(buffer, number)
    buffer.append(RawImage(noise), header(8), 1)
    flush(buffer)
    emptied = asdict(buffer.statistics)
    subprocess.run(['mount', '--bind', '-o', 'ro', str(folder), str(folder)], check=True)
    buffer.append(RawImage(noise), header(9), 1)
    flush(buffer)
    read_only = buffer.statistics.trouble
    process(buffer, 60)
    process(buffer, 61)
    with pytest.raises(StorageError) as refusal:
        buffer.snapshot()
    buffer.close()
    return {'troubles': [arrival.trouble for arrival in arrivals if arrival.trouble],
            'outcomes': sorted({arrival.outcome.value for arrival in arrivals}),
            'full': full, 'emptied': emptied, 'read_only': read_only,
            'snapshot': str(refusal.value)}


@pytest.fixture(scope='module')
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Run `use_small_disk` in a mount namespace of its own."""
    folder = tmp_path_factory.mktemp('disk')
    mount = f'mount -t tmpfs -o size=256k tmpfs {folder}'
    if not shutil.which('unshare') or subprocess.run([*NAMESPACE, mount], check=False,
                                                     capture_output=True).returncode:
        pytest.skip('this machine lets nobody mount a small file system')
    paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    command = f'{mount} && exec {sys.executable} {__file__} {folder}'
    ran = subprocess.run([*NAMESPACE, command], env={**os.environ, 'PYTHONPATH': paths},
                         capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_full_disk_is_said_once_and_nothing_is_lost(small_disk: dict[str, object]) -> None:
    trouble, = small_disk['troubles']
    assert 'No space left on device; meanwhile they stay in memory' in trouble
    assert small_disk['outcomes'] == ['stored']
    full = small_disk['full']
    assert full['disk_bytes'] > 100_000
    assert full['memory_bytes'] > 100_000
    assert full['storage_failures'] > 10
    assert full['waiting'] == 60


def test_disk_is_used_again_when_there_is_room(small_disk: dict[str, object]) -> None:
    emptied = small_disk['emptied']
    assert emptied['held'] == 2
    assert 0 < emptied['disk_bytes'] < 20_000
    assert emptied['memory_bytes'] < 20_000


def test_disk_that_becomes_read_only_is_said_and_the_stream_goes_on(
        small_disk: dict[str, object]) -> None:
    assert 'Read-only file system; meanwhile they stay in memory' in small_disk['read_only']
    assert small_disk['snapshot'].endswith('cannot be written: Read-only file system')


def test_directory_that_cannot_be_written_is_refused_at_the_start() -> None:
    with pytest.raises(StorageError, match=r"buffer\.directory '/proc/frames' cannot be made"):
        opened(Path('/proc/frames'))


def test_directory_without_permission_is_refused_at_the_start(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip('root may write everywhere')
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match='cannot be written: Permission denied'):
        opened(tmp_path)


def test_file_size_limit_leaves_no_half_written_file(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as buffer:
        send(buffer, 1.0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            send(buffer, 1.1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert 'File too large' in buffer.statistics.trouble
        assert [path.name for path in tmp_path.rglob('*.*eg')] == ['00000.jpeg']
        assert not list(tmp_path.rglob('*.part'))
        assert [process(buffer, index).number for index in range(2)] == [0, 1]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(part: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, 'rename', refuse)


def test_trouble_is_said_again_when_it_comes_back(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(part: Path, target: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with opened(tmp_path) as buffer:
        said, is_in_trouble = [], []
        for stamp_s, works in ((1, False), (2, False), (3, True), (4, False), (5, True)):
            with monkeypatch.context() as patch:
                if not works:
                    patch.setattr(Path, 'rename', refuse)
                said.append(bool(send(buffer, stamp_s).trouble))
                is_in_trouble.append(bool(buffer.statistics.trouble))
        assert is_in_trouble == [True, True, False, True, False]
        assert said == [False, True, False, False, True], 'as the next image comes'


@pytest.mark.usefixtures('full_disk')
def test_every_loses_new_frames_beyond_what_memory_takes(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, 'MAX_MEMORY_BYTES', int(2.9 * len(payload())))
    with opened(tmp_path) as buffer:
        outcomes = [send(buffer, 1 + number / 10).outcome for number in range(4)]
        assert outcomes == [Outcome.STORED] * 2 + [Outcome.LOST] * 2
        assert buffer.statistics.lost == 2
        assert [process(buffer, index).number for index in range(2)] == [0, 1]


@pytest.mark.usefixtures('full_disk')
def test_latest_keeps_the_newest_frames_in_memory(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, 'MAX_MEMORY_BYTES', int(2.9 * len(payload())))
    with opened(tmp_path, LATEST) as buffer:
        for index in range(4):
            send_all(buffer, [1 + index / 10])
            process(buffer, index)
        assert buffer.statistics.held == 2
        assert buffer.image(3).shape == picture().shape


@pytest.mark.usefixtures('full_disk')
def test_snapshot_has_the_frames_that_are_only_in_memory(tmp_path: Path) -> None:
    with opened(tmp_path) as buffer:
        send(buffer, 1.3)
        assert (buffer.snapshot() / '00000.jpeg').read_bytes() == payload(13)


def test_failed_snapshot_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with opened(tmp_path) as buffer:
        send_all(buffer, [1, 2])
        monkeypatch.setattr(os, 'link', refuse)
        monkeypatch.setattr(shutil, 'copyfile', refuse)
        with pytest.raises(StorageError, match=r'snapshot .* cannot be written: No space left'):
            buffer.snapshot()
        assert len(list(tmp_path.iterdir())) == 1


def test_keep_stops_storing_at_max_bytes_and_says_so_once(tmp_path: Path) -> None:
    with opened(tmp_path, keep=True, max_bytes=int(2.9 * len(payload()))) as buffer:
        arrivals = [send(buffer, 1 + number / 10) for number in range(4)]
        troubles = [arrival.trouble for arrival in arrivals]
        assert [bool(trouble) for trouble in troubles] == [False, False, True, False]
        assert 'buffer.max_bytes are used up and buffer.keep lets nothing go' in troubles[2]
        assert [process(buffer, index).number for index in range(4)] == [0, 1, 2, 3]
    assert sorted(path.name for path in tmp_path.rglob('*.jpeg')) == ['00000.jpeg', '00001.jpeg']


def test_directory_removed_under_the_run_is_trouble_and_no_crash(tmp_path: Path) -> None:
    with opened(tmp_path / 'frames', LATEST) as buffer:
        send(buffer, 1)
        shutil.rmtree(tmp_path / 'frames')
        send(buffer, 2)
        assert 'No such file or directory' in buffer.statistics.trouble
        assert process(buffer, 0).number == 1
        begin_session(buffer, 0.5)  # A new session makes a new folder.
        assert len(list(tmp_path.rglob('*.jpeg'))) == 2


if __name__ == '__main__':
    sys.stdout.write(json.dumps(use_small_disk(Path(sys.argv[1]))))
