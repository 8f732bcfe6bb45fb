# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Only what this run wrote, or a run that a lock proves dead, is ever deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import csv
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

from camera import begin_session, flush, opened, payload, process, send, send_all
import pytest
from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.core.frames.files import SessionFolder

ROOT = Path(__file__).resolve().parents[3]
RUN = """
import sys
from pathlib import Path
from camera import begin_session, send_all
from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.frames.buffer import FrameBuffer
directory = Path(sys.argv[1]) if sys.argv[1] else None
buffer = FrameBuffer(BufferConfig(directory=directory, keep=sys.argv[2] == 'keep'),
                     FramePolicy.EVERY)
send_all(buffer, [50, 51, 52])
begin_session(buffer, 1)
print('ready', flush=True)
sys.stdin.read()
buffer.close()
"""


def pictures(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob('*.jpeg'))


@contextmanager
def other_run(directory: Path | str, keep: str = '') -> Iterator[subprocess.Popen[str]]:
    """Run a buffer with two sessions, five frames in all, in a process of its own."""
    paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    with subprocess.Popen(
            [sys.executable, '-c', RUN, str(directory), keep], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': paths, 'TMPDIR': tempfile.gettempdir()}) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == 'ready\n'
        yield run
        run.kill()


def killed_run(directory: Path | str, keep: str = '') -> None:
    with other_run(directory, keep):
        pass


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the system's temporary directory."""
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    return tmp_path


def test_frames_are_removed_at_the_end(tmp_path: Path) -> None:
    with opened(tmp_path) as buffer:
        send_all(buffer, [1, 2])
        assert [file[-11:] for file in pictures(tmp_path)] == ['/00000.jpeg', '/00001.jpeg']
    assert not list(tmp_path.iterdir())


def test_missing_directory_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / 'a' / 'b') as buffer:
        send_all(buffer, [1])
        assert len(pictures(tmp_path / 'a' / 'b')) == 1
    assert not list((tmp_path / 'a' / 'b').iterdir())


def test_private_directory_is_only_the_user_s_and_removed_at_the_end(temporary: Path) -> None:
    with opened(None) as buffer:
        send_all(buffer, [1])
        private, = temporary.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
        assert len(pictures(private)) == 1
    assert not list(temporary.iterdir())


def test_two_runs_share_a_directory(temporary: Path) -> None:
    with opened(None) as one:
        send_all(one, [1])
        with opened(None) as other:
            send_all(other, [1])
            assert len(pictures(temporary)) == 2
        assert len(pictures(temporary)) == 1
        send_all(one, [2])
    assert not list(temporary.iterdir())


def test_private_directory_of_somebody_else_is_refused(temporary: Path) -> None:
    elsewhere = temporary / 'elsewhere'
    elsewhere.mkdir()
    (temporary / f'sam2_tracker_{os.getuid()}').symlink_to(elsewhere)
    with pytest.raises(StorageError, match='belongs to somebody else'):
        opened(None)


def test_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(StorageError, match=r"buffer\.directory '.*file' cannot be made"):
        opened(tmp_path / 'file')


@pytest.mark.parametrize('private', [False, True])
def test_what_a_killed_run_left_is_removed_by_the_next_start(temporary: Path,
                                                             private: bool) -> None:
    directory = '' if private else temporary / 'frames'
    killed_run(directory)
    assert len(pictures(temporary)) == 5
    with opened(None if private else temporary / 'frames') as buffer:
        flush(buffer)
        assert not pictures(temporary)
    assert not [path for path in temporary.rglob('*') if path.name != 'frames']


def test_what_was_half_written_when_a_run_was_killed_is_removed_too(tmp_path: Path) -> None:
    killed_run(tmp_path)
    folder = min(tmp_path.iterdir())
    (folder / '00002.jpeg').rename(folder / '.00002.part')
    with opened(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_frames_of_a_run_that_lives_are_left_alone(tmp_path: Path) -> None:
    with other_run(tmp_path) as run:
        with opened(tmp_path):
            pass
        assert len(pictures(tmp_path)) == 5
        run.communicate('')
    assert not list(tmp_path.iterdir())


def test_user_s_own_pictures_are_never_touched(tmp_path: Path) -> None:
    mine = [tmp_path / '00000.jpeg', tmp_path / 'holiday' / '00001.jpeg',
            tmp_path / '20260101T000000_abcdef_000' / '00000.jpeg']
    for file in mine:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b'mine')
    killed_run(tmp_path)
    with opened(tmp_path, max_frames=1) as buffer:
        for stored in send_all(buffer, [1, 2, 3]):
            process(buffer, stored.number)
    assert sorted(path for path in tmp_path.rglob('*') if path.is_file()) == sorted(mine)


@pytest.mark.parametrize('name', ['00005.jpeg', '0.jpeg', '000001.jpeg', 'a.jpeg', '00000.jpg'])
@pytest.mark.parametrize('killed', [False, True])
def test_user_s_file_in_a_session_s_folder_stays(tmp_path: Path, name: str, killed: bool) -> None:
    if killed:
        killed_run(tmp_path)
        (min(tmp_path.iterdir()) / name).write_bytes(b'mine')
        opened(tmp_path).close()
    else:
        with opened(tmp_path) as buffer:
            send_all(buffer, [1, 2])
            (min(tmp_path.iterdir()) / name).write_bytes(b'mine')
    assert [path.name for path in tmp_path.rglob('*') if path.is_file()] == [name]


def test_folder_that_a_link_has_taken_the_place_of_is_not_written_to(tmp_path: Path) -> None:
    mine = tmp_path / 'holiday'
    mine.mkdir()
    for number in range(5):
        (mine / f'{number:05d}.jpeg').write_bytes(b'mine')
    with opened(tmp_path / 'frames', max_frames=2) as buffer:
        send(buffer, 1)
        process(buffer, 0)
        (session,) = (tmp_path / 'frames').iterdir()
        session.rename(tmp_path / 'away')
        session.symlink_to(mine)
        send_all(buffer, [2, 3, 4, 5])
        assert [process(buffer, index).number for index in range(1, 5)] == [1, 2, 3, 4]
        assert buffer.statistics.storage_failures >= 4
    assert sorted(file.name for file in mine.iterdir()) == [f'{i:05d}.jpeg' for i in range(5)]
    assert {file.read_bytes() for file in mine.iterdir()} == {b'mine'}


def test_link_that_waits_for_a_frame_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / 'thesis.jpeg'
    mine.write_bytes(b'mine')
    with opened(tmp_path / 'frames') as buffer:
        send(buffer, 1)
        (session,) = (tmp_path / 'frames').iterdir()
        (session / '.00001.part').symlink_to(mine)
        send(buffer, 2)
        assert [process(buffer, index).number for index in range(2)] == [0, 1]
    assert mine.read_bytes() == b'mine'


@pytest.mark.parametrize('take', [shutil.copytree, shutil.move])
def test_folder_that_the_user_copied_or_renamed_is_the_user_s(
        tmp_path: Path, take: Callable[[str, str], object]) -> None:
    killed_run(tmp_path)
    take(str(min(tmp_path.iterdir())), str(tmp_path / 'mine'))
    with opened(tmp_path):
        pass
    assert pictures(tmp_path) == [f'mine/{number:05d}.jpeg' for number in range(3)]


def test_backup_of_the_whole_directory_is_the_user_s(tmp_path: Path) -> None:
    killed_run(tmp_path / 'frames')
    shutil.copytree(tmp_path / 'frames', tmp_path / 'backup')
    with opened(tmp_path / 'backup'):
        pass
    assert len(pictures(tmp_path / 'backup')) == 5


def test_keep_leaves_the_frames_with_their_stamps(tmp_path: Path) -> None:
    with opened(tmp_path, keep=True, max_frames=1) as buffer:
        for stamp_s, index in ((5, 0), (6, 1)):
            send(buffer, stamp_s)
            process(buffer, index)
        begin_session(buffer, 1)
        process(buffer, 0)
    first, second = sorted(tmp_path.iterdir())
    assert pictures(first) == ['00000.jpeg', '00001.jpeg']
    assert pictures(second) == ['00000.jpeg', '00001.jpeg']
    with (first / 'stamps.csv').open(newline='') as stamps:
        rows = [(row['file'], row['stamp_ns'], row['index']) for row in csv.DictReader(stamps)]
    assert rows == [('00000.jpeg', '5000000000', '0'), ('00001.jpeg', '6000000000', '1')]


def test_keep_without_frames_leaves_nothing(tmp_path: Path) -> None:
    opened(tmp_path, keep=True).close()
    assert not list(tmp_path.iterdir())


def test_kept_frames_of_a_killed_run_stay(tmp_path: Path) -> None:
    killed_run(tmp_path, 'keep')
    with opened(tmp_path):
        pass
    assert len(pictures(tmp_path)) == 5


def test_snapshot_holds_the_newest_session_and_outlives_the_buffer(tmp_path: Path) -> None:
    with opened(tmp_path, max_frames=2) as buffer:
        for stored in send_all(buffer, [1, 2, 3, 4]):
            process(buffer, stored.number)
        snapshot = buffer.snapshot()
        linked = (snapshot / '00003.jpeg').stat()
        assert linked.st_nlink == 2
        send_all(buffer, [5, 6, 7])
    with opened(tmp_path):
        pass
    assert pictures(snapshot) == ['00002.jpeg', '00003.jpeg']
    assert list(tmp_path.iterdir()) == [snapshot]
    assert (snapshot / 'stamps.csv').read_text().splitlines() == [
        'file,stamp_ns,header_stamp_ns,frame_id,index',
        '00002.jpeg,3000000000,3000000000,camera,2', '00003.jpeg,4000000000,4000000000,camera,3']


def test_snapshot_is_copied_where_the_file_system_has_no_links(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, 'Operation not permitted')

    with opened(tmp_path) as buffer:
        send(buffer, 1)
        monkeypatch.setattr(os, 'link', refuse)
        snapshot = buffer.snapshot()
        assert (snapshot / '00000.jpeg').stat().st_nlink == 1
    assert (snapshot / '00000.jpeg').read_bytes() == payload(10)


def test_snapshot_of_nothing_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as buffer, pytest.raises(FrameError, match='no frame is buffered yet'):
        buffer.snapshot()
    assert not list(tmp_path.iterdir())


def test_snapshots_of_a_private_buffer_stay(temporary: Path) -> None:
    with opened(None) as buffer:
        send_all(buffer, [1, 2])
        snapshots = [buffer.snapshot(), buffer.snapshot()]
    assert [len(pictures(snapshot)) for snapshot in snapshots] == [2, 2]


def test_no_temporary_file_has_a_name_that_stock_would_read(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real_rename = Path.rename

    def rename(part: Path, target: Path) -> None:
        seen.extend(file.name for file in part.parent.iterdir())
        real_rename(part, target)

    monkeypatch.setattr(Path, 'rename', rename)
    with opened(tmp_path) as buffer:
        send(buffer, 1)
    assert sorted(seen) == ['.00000.part', '.sam2_tracker_session']


def test_session_that_ends_while_its_last_frame_is_deleted_leaves_nothing(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SessionFolder(tmp_path / 'session', keep=False)
    folder.write(0, payload())
    listed = list(folder.path.iterdir())
    folder.remove(0)
    monkeypatch.setattr(Path, 'iterdir', lambda _: iter(listed))
    folder.close()
    assert not folder.path.exists()
