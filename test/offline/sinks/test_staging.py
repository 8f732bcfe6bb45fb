# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""An output is there whole or not at all, and nobody's files are lost for it."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import stat

from command_rig import small_disk
import pytest
from results import result
from sam2_tracker.core.errors import ConfigError, StorageError
from sam2_tracker.core.types import Wanted
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.sinks.annotations import Classes, CocoFile, ObjectTable
from sam2_tracker.offline.sinks.bag import BagContent, ResultBag
from sam2_tracker.offline.sinks.pictures import AnnotatedVideo, MaskFolder
from sam2_tracker.offline.sinks.sink import Result, Sink, SinkPlan, SinkSet
from sam2_tracker.offline.sinks.staging import Target, write_whole

CLASSES = Classes(('cup', 'object'))


def plans(folder: Path) -> list[SinkPlan]:
    return [
        SinkPlan(Target(folder / 'out.csv'), ObjectTable, Wanted(False, False)),
        SinkPlan(Target(folder / 'masks', MaskFolder.SUFFIXES), MaskFolder, MaskFolder.WANTED),
    ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_outputs_appear_only_when_they_are_whole(tmp_path: Path):
    sinks = SinkSet(plans(tmp_path))
    sinks.write(result(0))
    assert names(tmp_path) == ['.masks.part', '.out.csv.part']
    sinks.finish()
    assert names(tmp_path) == ['masks', 'out.csv']
    assert names(tmp_path / 'masks') == ['00000.png']


def test_an_aborted_run_leaves_nothing(tmp_path: Path):
    sinks = SinkSet(plans(tmp_path))
    sinks.write(result(0))
    sinks.abort()
    assert names(tmp_path) == []


def test_what_a_killed_run_left_is_replaced_by_the_next(tmp_path: Path):
    SinkSet(plans(tmp_path)).write(result(7))
    sinks = SinkSet(plans(tmp_path))
    sinks.write(result(0))
    sinks.finish()
    assert names(tmp_path) == ['masks', 'out.csv']
    assert names(tmp_path / 'masks') == ['00000.png']


def test_an_existing_output_is_refused_without_overwrite(tmp_path: Path):
    (tmp_path / 'out.csv').write_text('old')
    with pytest.raises(StorageError, match=r'out.csv exists already: .*--overwrite'):
        Target(tmp_path / 'out.csv').check(overwrite=False)
    Target(tmp_path / 'out.csv').check(overwrite=True)


def test_overwriting_replaces_a_folder_as_a_whole(tmp_path: Path):
    for numbers in ((0, 1, 2), (0,)):
        sinks = SinkSet(plans(tmp_path))
        for number in numbers:
            sinks.write(result(number))
        sinks.finish()
    assert names(tmp_path) == ['masks', 'out.csv']
    assert names(tmp_path / 'masks') == ['00000.png']


def test_a_folder_with_a_users_own_files_is_never_overwritten(tmp_path: Path):
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'masks' / 'thesis.tex').write_text('precious')
    target = Target(tmp_path / 'masks', MaskFolder.SUFFIXES)
    with pytest.raises(StorageError, match=r'holds thesis\.tex'):
        target.check(overwrite=True)


@pytest.mark.parametrize('is_folder', [True, False])
def test_a_folder_is_not_mistaken_for_a_file(tmp_path: Path, is_folder: bool):
    place = tmp_path / 'out'
    place.touch() if is_folder else place.mkdir()
    with pytest.raises(StorageError, match='of yours'):
        Target(place, MaskFolder.SUFFIXES if is_folder else ()).check(overwrite=True)


def pipe(place: Path) -> None:
    os.mkfifo(place)


def device(place: Path) -> None:
    try:
        os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip('only root makes devices')


def link(place: Path) -> None:
    place.symlink_to(place.with_name('elsewhere'))
    place.with_name('elsewhere').write_text('precious')


@pytest.mark.parametrize('put', [pipe, device, link])
@pytest.mark.parametrize('suffixes', [(), MaskFolder.SUFFIXES], ids=['file', 'folder'])
def test_only_files_and_folders_are_ever_replaced(
    tmp_path: Path, put: Callable[[Path], None], suffixes: tuple[str, ...]
):
    put(tmp_path / 'out')
    before = (tmp_path / 'out').lstat()
    with pytest.raises(StorageError, match=r'(pipe|device|link) of yours, not an output'):
        Target(tmp_path / 'out', suffixes).check(overwrite=True)
    sinks = SinkSet([SinkPlan(Target(tmp_path / 'out', suffixes), ObjectTable, Wanted())])
    (failure,) = sinks.finish()
    assert 'of yours, not an output' in str(failure.error)
    assert os.path.samestat((tmp_path / 'out').lstat(), before)


def test_a_folder_with_a_link_in_it_is_never_overwritten(tmp_path: Path):
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'masks' / '00000.png').symlink_to(tmp_path / 'photo.png')
    target = Target(tmp_path / 'masks', MaskFolder.SUFFIXES)
    with pytest.raises(StorageError, match=r'holds 00000\.png'):
        target.check(overwrite=True)


def test_what_a_user_puts_into_a_folder_during_a_run_is_not_overwritten(tmp_path: Path):
    sinks = SinkSet(plans(tmp_path))
    sinks.write(result(0))
    (tmp_path / 'masks').mkdir()
    (tmp_path / 'masks' / 'thesis.tex').write_text('precious')
    (failure,) = sinks.finish()
    draft = tmp_path / '.masks.part' / 'masks'
    assert 'holds thesis.tex' in str(failure.error)
    assert str(failure.error).endswith(f'; it is whole as {draft}')
    assert names(draft) == ['00000.png']
    assert names(tmp_path) == ['.masks.part', 'masks', 'out.csv']
    assert names(tmp_path / 'masks') == ['thesis.tex']


def test_a_link_where_an_output_is_made_is_not_followed(tmp_path: Path):
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'thesis.tex').write_text('precious')
    (tmp_path / '.out.csv.part').symlink_to(mine)
    with pytest.raises(StorageError, match=r'out\.csv cannot be written: '):
        SinkSet(plans(tmp_path))
    assert names(mine) == ['thesis.tex']


def test_a_link_where_a_small_file_is_made_is_not_followed(tmp_path: Path):
    mine = tmp_path / 'thesis.tex'
    mine.write_text('precious')
    (tmp_path / '.data.yaml.part').symlink_to(mine)
    (tmp_path / f'.data.yaml.{os.getpid()}.part').symlink_to(mine)
    write_whole(tmp_path / 'data.yaml', b'names')
    assert (tmp_path / 'data.yaml').read_bytes() == b'names'
    assert mine.read_text() == 'precious'


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path):
    (tmp_path / 'file').touch()
    with pytest.raises(StorageError, match=r'out\.csv cannot be written'):
        SinkSet(
            [SinkPlan(Target(tmp_path / 'file' / 'out.csv'), ObjectTable, Wanted(False, False))]
        )


def test_a_place_that_may_not_be_looked_at_is_named(tmp_path: Path):
    # Root may look at everything, but not behind a link to a name that cannot be.
    (tmp_path / 'closed').symlink_to('x' * 300)
    for suffixes in ((), ('.png',)):
        with pytest.raises(OutputError, match=r'out cannot be written: .*name too long'):
            Target(tmp_path / 'closed' / 'out', suffixes).check(overwrite=True)


@pytest.mark.parametrize(
    ('name', 'make', 'suffixes'),
    [
        ('out.csv', ObjectTable, ()),
        ('out.json', lambda path: CocoFile(path, 'clip', CLASSES), ()),
        ('out.mp4', lambda path: AnnotatedVideo(path, 25.0), ()),
        ('bag', lambda path: ResultBag(path, BagContent('mcap')), ('.mcap', '.yaml')),
        ('bag', lambda path: ResultBag(path, BagContent('sqlite3')), ('.db3', '.yaml')),
    ],
)
def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, name: str, make, suffixes: tuple[str, ...]
):
    said: list[str] = []
    plan = SinkPlan(Target(tmp_path / name, suffixes), make, Wanted(True, True))
    with small_disk():
        sinks = SinkSet([plan], lambda level, sentence: said.append(sentence))
        for number in range(3000):
            if sinks.have_all_failed:
                break
            sinks.write(result(number % 20))
        (failure,) = sinks.finish()
    assert isinstance(failure.error, StorageError)
    assert f'{name} cannot be written: ' in str(failure.error)
    assert said == [str(failure.error)]
    assert names(tmp_path) == []


class FallsOver:
    """Writes a line and then fails, as a library does that has an error of its own kind."""

    WANTED = Wanted(False, False)

    def __init__(self, path: Path) -> None:
        path.write_text('half')

    def write(self, _result: Result) -> None:
        raise LookupError('no codec')

    def finish(self) -> None:
        raise AssertionError

    abort = finish


def test_an_output_that_fails_does_not_take_the_others_with_it(tmp_path: Path):
    said: list[str] = []
    failing = SinkPlan(Target(tmp_path / 'out.mp4'), FallsOver, FallsOver.WANTED)
    sinks = SinkSet([failing, *plans(tmp_path)], lambda level, sentence: said.append(sentence))
    for number in range(20):
        sinks.write(result(number % 8))
    (failure,) = sinks.finish()
    assert failure.path == tmp_path / 'out.mp4'
    assert names(tmp_path) == ['masks', 'out.csv']
    assert said == [f'output {tmp_path}/out.mp4 cannot be written: LookupError: no codec']
    assert not sinks.have_all_failed


def test_an_output_that_cannot_be_put_in_its_place_does_not_take_the_others_with_it(
    tmp_path: Path
):
    sinks = SinkSet(plans(tmp_path))
    sinks.write(result(0))
    (tmp_path / 'out.csv').mkdir()
    (failure,) = sinks.finish()
    assert failure.path == tmp_path / 'out.csv'
    assert 'is a folder of yours' in str(failure.error)
    assert (tmp_path / 'masks' / '00000.png').exists()


def test_an_output_that_refuses_what_is_asked_of_it_is_known_before_anything_is_lost(
    tmp_path: Path
):
    def refuse(_path: Path) -> Sink:
        raise ConfigError('detections need vision_msgs')

    sinks = SinkSet([SinkPlan(Target(tmp_path / 'bag'), refuse, Wanted()), *plans(tmp_path)])
    with pytest.raises(ConfigError, match='detections need'):
        sinks.finish()
    sinks.abort()
    assert names(tmp_path) == []
