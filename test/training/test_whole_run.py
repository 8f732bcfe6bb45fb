# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pack, train, resume, export and mix, by the commands, at small size."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import re
import resource
import shutil
import signal
from types import ModuleType

import numpy as np
import pytest
from small_data import HELD, write_data
import torch
from training import export, heldback, pack, soup, train
from training.model import build_nano, PREDICTOR
from training.tracking import SHARPENING
from training.weights import save_exported, scale_logits

SIZE = 64
STEPS = 4
SMALL = ('--size', '64', '--side', '64', '--still-side', '64', '--clips', '1', '--gather', '2',
         '--report-steps', '2', '--save-minutes', '0', '--measure-minutes', '9', '--trunk', '0.1',
         '--seed', '3')


def command(module: ModuleType, *line: object) -> None:
    module.main([str(word) for word in line])


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope='module')
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('training')
    command(pack, '--data', write_data(root / 'data'), '--output', root / 'pack.zip')
    return root / 'pack.zip'


def differences(one: Path, other: Path) -> list[str]:
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    found = [f'{part} {name}' for part in ('model', 'average') for name in first[part]
             if not torch.equal(first[part][name], second[part][name])]
    for number, moments in first['optimizer']['state'].items():
        found += [f'moment {number} {name}' for name, value in moments.items()
                  if not torch.equal(value, second['optimizer']['state'][number][name])]
    if first['chance']['host'] != second['chance']['host']:
        found.append('host generator')
    if not torch.equal(first['chance']['device'], second['chance']['device']):
        found.append('device generator')
    if first['steps'] != second['steps']:
        found.append('steps')
    return found


def test_a_run_that_is_stopped_and_resumed_ends_as_one_that_was_not(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # the schedule goes by the share of all steps, so a part of the run is told to be one
    run = ('--data', packed, '--steps', STEPS, *SMALL)
    command(train, '--output', tmp_path / 'whole', *run)
    told = capsys.readouterr().out
    assert re.search(rf'step {STEPS} .*loss .*\|u-J\|', told)
    assert re.search(r'held back 0\.\d+ \| mask \[.*\| box \[.*\| click \[', told)
    assert HELD in told
    command(train, '--output', tmp_path / 'parts', '--stop-after', STEPS // 2, *run)
    half = torch.load(tmp_path / 'parts/last.pt', weights_only=True)
    assert half['steps'] == STEPS // 2
    command(train, '--output', tmp_path / 'parts', '--resume', *run)
    assert differences(tmp_path / 'whole/last.pt', tmp_path / 'parts/last.pt') == []


def test_what_a_run_leaves_is_exported_loaded_mixed_and_measured(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(train, '--data', packed, '--output', tmp_path, '--minutes', '0.03', *SMALL)
    saved = torch.load(tmp_path / 'best.pt', weights_only=True)
    assert saved['steps'] >= 1
    assert saved['seconds'] >= 1.8

    command(export, tmp_path / 'best.pt', '--output', tmp_path / 'nano.pt')
    exported = torch.load(tmp_path / 'nano.pt', weights_only=True)['model']
    for name, value in scale_logits(saved['average'], SHARPENING).items():
        torch.testing.assert_close(exported[name].float(), value, rtol=1e-3, atol=1e-6)
    build_nano(SIZE, PREDICTOR).load_state_dict(exported)

    command(soup, tmp_path / 'nano.pt', tmp_path / 'nano.pt', '--weights', '0.3', '0.7',
            '--output', tmp_path / 'soup.pt')
    mixed = torch.load(tmp_path / 'soup.pt', weights_only=True)['model']
    for name, value in exported.items():
        torch.testing.assert_close(mixed[name], value)

    capsys.readouterr()
    command(heldback, '--data', packed, '--checkpoint', tmp_path / 'soup.pt', '--size', SIZE)
    assert re.search(rf'held back 0\.\d+ .*\n  {HELD}: mask 0\.\d+, box', capsys.readouterr().out)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_stop_from_outside_ends_with_a_checkpoint_of_whole_steps(
        packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        number: signal.Signals) -> None:
    learn = train.Trainer.learn

    def stop(trainer: train.Trainer, rate: float) -> None:
        os.kill(os.getpid(), number)
        learn(trainer, rate)

    monkeypatch.setattr(train.Trainer, 'learn', stop)
    command(train, '--data', packed, '--output', tmp_path, '--steps', 50, *SMALL)
    assert torch.load(tmp_path / 'last.pt', weights_only=True)['steps'] == 1


def test_an_earlier_run_is_gone_on_from_as_it_was_or_left_alone(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ('--data', packed, '--output', tmp_path, '--steps', 2, *SMALL)
    with pytest.raises(SystemExit):
        command(train, *run, '--resume')
    assert 'to resume: leave --resume out to begin' in capsys.readouterr().err
    command(train, *run, '--stop-after', 1)
    last = (tmp_path / 'last.pt').read_bytes()
    with pytest.raises(SystemExit):
        command(train, *run)
    assert 'go on with it by --resume, or name another folder' in capsys.readouterr().err
    assert '--trunk, --matched and --memory as they were' in refused(
        capsys, train, *run, '--resume', '--matched', 0.5)
    assert (tmp_path / 'last.pt').read_bytes() == last

    # better weights that were written after the last checkpoint, before a power cut, are kept
    better = {**torch.load(tmp_path / 'last.pt', weights_only=True), 'best': 0.99}
    torch.save(better, tmp_path / 'best.pt')
    command(train, *run, '--resume')
    assert torch.load(tmp_path / 'last.pt', weights_only=True)['steps'] == 2
    assert torch.load(tmp_path / 'best.pt', weights_only=True)['best'] == 0.99

    assert "is a run's checkpoint" in refused(
        capsys, soup, tmp_path / 'best.pt', '--output', tmp_path / 'soup.pt')
    (tmp_path / 'last.pt').write_bytes(last[:len(last) // 2])
    assert 'is damaged, or no file of weights: put a copy' in refused(
        capsys, train, *run, '--resume')


@pytest.mark.parametrize('option, before, now', [
    ('--size', 64, 96), ('--clips', 1, 2), ('--seed', 3, 4), ('--rate', 5e-05, 0.001)])
def test_a_run_is_not_gone_on_with_as_another_one(
        begun: Path, packed: Path, option: str, before: float, now: float,
        capsys: pytest.CaptureFixture[str]) -> None:
    last = (begun / 'last.pt').read_bytes()
    assert f'has {option} {before}, not {now}: give {option}' in refused(
        capsys, train, '--data', packed, '--output', begun, '--steps', 2, *SMALL, '--resume',
        option, now)
    assert (begun / 'last.pt').read_bytes() == last


@pytest.mark.parametrize('part, value', [
    ('optimizer', {}), ('model', {}), ('chance', None), ('seconds', 'many'), ('options', 3)])
def test_a_checkpoint_that_lacks_something_is_refused_in_a_sentence(
        begun: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        part: str, value: object) -> None:
    run = (capsys, train, '--data', packed, '--output', tmp_path, '--steps', 2, *SMALL, '--resume')
    saved = torch.load(begun / 'last.pt', weights_only=True)
    torch.save({**saved, part: value}, tmp_path / 'last.pt')
    assert f'{tmp_path / "last.pt"} is no checkpoint of a run' in refused(*run)
    torch.save(saved, tmp_path / 'last.pt')
    torch.save({part: value}, tmp_path / 'best.pt')
    assert f'{tmp_path / "best.pt"} is no checkpoint of a run' in refused(*run)


def test_a_run_of_before_its_options_were_kept_and_a_longer_one_are_gone_on_with(
        begun: Path, packed: Path, tmp_path: Path) -> None:
    saved = torch.load(begun / 'last.pt', weights_only=True)
    del saved['options']
    torch.save(saved, tmp_path / 'last.pt')
    command(train, '--data', packed, '--output', tmp_path, '--steps', 3, *SMALL, '--resume')
    assert torch.load(tmp_path / 'last.pt', weights_only=True)['steps'] == 3


@pytest.fixture(scope='module')
def begun(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train one step of two."""
    output = tmp_path_factory.mktemp('begun')
    command(train, '--data', packed, '--output', output, '--steps', 2, '--stop-after', 1, *SMALL)
    return output


def refused(capsys: pytest.CaptureFixture[str], module: ModuleType, *line: object,
            code: int = 2) -> str:
    """Run a command that ends with an exit code; return the last line that it said."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command(module, *line)
    assert ended.value.code == code
    return capsys.readouterr().err.splitlines()[-1]


def bad_file(folder: Path, kind: str, good: Path) -> Path:
    path = folder / f'{kind}.pt'
    if kind == 'cut':
        path.write_bytes(good.read_bytes()[:-1000])
    elif kind == 'empty':
        path.touch()
    elif kind == 'text':
        path.write_text('no weights at all\n' * 100)
    elif kind == 'tensor':
        torch.save(torch.zeros(3), path)
    elif kind == 'other':
        torch.save({name: {'conv.weight': torch.zeros(3)} for name in ('model', 'average')}, path)
    return path


@pytest.mark.parametrize('module', [export, soup, heldback])
@pytest.mark.parametrize('kind, sentence', [
    ('missing', 'there is no file'), ('cut', 'is damaged, or no file of weights'),
    ('empty', 'is damaged, or no file of weights'), ('text', 'is damaged, or no file of weights'),
    ('tensor', 'holds no weights, but a Tensor'), ('other', 'weights of another model than nano'),
])
def test_files_that_are_no_weights_are_refused_in_a_sentence(
        begun: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        module: ModuleType, kind: str, sentence: str) -> None:
    path = bad_file(tmp_path, kind, begun / 'last.pt')
    line = {export: (path, '--output', tmp_path / 'out.pt'),
            soup: (path, '--output', tmp_path / 'out.pt'),
            heldback: ('--data', packed, '--checkpoint', path, '--size', SIZE)}[module]
    said = refused(capsys, module, *line)
    assert sentence in said and str(path) in said and not (tmp_path / 'out.pt').exists()


def test_wrong_options_and_places_of_these_commands_are_refused_in_a_sentence(
        begun: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nano = tmp_path / 'nano.pt'
    assert 'cannot be written' in refused(
        capsys, export, begun / 'last.pt', '--output', tmp_path / 'nowhere' / 'nano.pt', code=1)
    command(export, begun / 'last.pt', '--output', nano)
    assert "has no 'average' weights" in refused(capsys, export, nano, '--output', nano)
    assert 'cannot be written' in refused(
        capsys, soup, nano, '--output', tmp_path / 'nowhere' / 'soup.pt', code=1)
    output = ('--output', tmp_path / 'soup.pt')
    assert '2 files need as many shares' in refused(
        capsys, soup, nano, nano, *output, '--weights', 1)
    assert 'not [nan, 1.0]' in refused(
        capsys, soup, nano, nano, *output, '--weights', 'nan', 1)
    assert '--sharpened takes a number from 0 to 4' in refused(
        capsys, soup, nano, nano, *output, '--sharpened', 4)
    measure = ('--data', packed, '--checkpoint', nano)
    assert '--size must be a multiple of 32 up to 1024, not 100' in refused(
        capsys, heldback, *measure, '--size', 100)
    assert '--sharpened must be from 0 to 4, not 9' in refused(
        capsys, heldback, *measure, '--sharpened', 9)
    assert f'there is no file {tmp_path / "pack.zip"}' in refused(
        capsys, heldback, '--data', tmp_path / 'pack.zip', '--checkpoint', nano)
    assert 'is damaged, or was not written by training.pack' in refused(
        capsys, heldback, '--data', nano, '--checkpoint', nano, '--size', SIZE)
    assert not (tmp_path / 'soup.pt').exists()


@pytest.mark.parametrize('option, value, sentence', [
    ('--report-steps', 0, '--report-steps must be above 0, not 0'),
    ('--steps', 0, '--steps must be above 0, not 0'),
    ('--minutes', 'nan', '--minutes must be above 0, not nan'),
    ('--singles', 1.5, '--singles must be from 0 to 1, not 1.5'),
    ('--size', 100, '--size must be a multiple of 32 up to 1024, not 100'),
    ('--size', 65536, '--size must be a multiple of 32 up to 1024, not 65536'),
    ('--device', 'cpu --record', '--record is for a GPU, not --device cpu'),
    ('--start', '/nowhere.pt', 'there is no file /nowhere.pt'),
])
def test_what_cannot_be_trained_is_refused_in_a_sentence(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str,
        value: object, sentence: str) -> None:
    with pytest.raises(SystemExit):
        command(train, '--data', packed, '--output', tmp_path / 'run', option,
                *str(value).split())
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


def test_bad_weights_to_start_from_are_refused_before_the_data_is_read(
        packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(train, 'load_pool', lambda *_, **__: pytest.fail('data were read'))
    (tmp_path / 'start.pt').write_text('no weights')
    assert 'is damaged, or no file of weights' in refused(
        capsys, train, '--data', packed, '--output', tmp_path / 'run', '--start',
        tmp_path / 'start.pt')


def test_a_file_is_no_folder_to_train_into(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'file').touch()
    assert 'is a file: name a folder' in refused(
        capsys, train, '--data', packed, '--output', tmp_path / 'file')


def test_a_data_file_that_cannot_be_written_is_refused_before_anything_is_read(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command(pack, '--data', tmp_path / 'nothing', '--output', tmp_path / 'pack.zip')
    assert 'no clips and no stills in' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

    (tmp_path / 'file').touch()
    monkeypatch.setattr(pack, 'Packer', lambda *_: pytest.fail('data were read'))
    for output in (tmp_path, tmp_path / 'file' / 'pack.zip'):
        with pytest.raises(SystemExit):
            command(pack, '--data', tmp_path, '--output', output)
        assert str(tmp_path) in capsys.readouterr().err


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Let no file grow beyond 10 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures('full_disk')
def test_a_disk_that_is_full_ends_packing_with_a_sentence_and_code_1(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 'File too large' in refused(
        capsys, pack, '--data', packed.parent / 'data', '--output', tmp_path / 'pack.zip', code=1)
    assert not list(tmp_path.iterdir())


def test_a_mistake_in_packing_is_no_refusal(
        packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, 'pack_labels', lambda _: np.zeros(2) + np.zeros(3))
    with pytest.raises(ValueError, match='broadcast'):
        command(pack, '--data', packed.parent / 'data', '--output', tmp_path / 'pack.zip')


def test_what_cannot_be_packed_is_refused_in_a_sentence(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shutil.copytree(packed.parent / 'data', tmp_path / 'data')
    line = ('--data', data, '--output', tmp_path / 'pack.zip')
    assert 'MB at the lowest quality' in refused(capsys, pack, *line, '--mb', 0.001)
    damaged = next(data.glob('video/*'))
    (damaged / 'video.mp4').write_bytes(b'no film')
    assert f'{damaged} cannot be read' in refused(capsys, pack, *line)
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_a_damaged_data_file_is_said_to_be_one(
        packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'cut.zip').write_bytes(packed.read_bytes()[:-200])
    assert 'is damaged, or was not written by' in refused(
        capsys, train, '--data', tmp_path / 'cut.zip', '--output', tmp_path / 'run')


def test_a_file_that_would_be_too_large_takes_the_place_of_none(tmp_path: Path) -> None:
    (tmp_path / 'nano.pt').write_bytes(b'the weights of before')
    with pytest.raises(ValueError, match='more than 15000000'):
        save_exported(tmp_path / 'nano.pt', {'wide': torch.zeros(8_000_000)})
    assert (tmp_path / 'nano.pt').read_bytes() == b'the weights of before'
