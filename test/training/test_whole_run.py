# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pack, train, resume, export and mix, by the commands, at small size."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import re
import signal
from types import ModuleType

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
    with pytest.raises(SystemExit, match='--trunk, --matched and --memory as they were'):
        command(train, *run, '--resume', '--matched', 0.5)
    assert (tmp_path / 'last.pt').read_bytes() == last

    # better weights that were written after the last checkpoint, before a power cut, are kept
    better = {**torch.load(tmp_path / 'last.pt', weights_only=True), 'best': 0.99}
    torch.save(better, tmp_path / 'best.pt')
    command(train, *run, '--resume')
    assert torch.load(tmp_path / 'last.pt', weights_only=True)['steps'] == 2
    assert torch.load(tmp_path / 'best.pt', weights_only=True)['best'] == 0.99

    with pytest.raises(ValueError, match="is a run's checkpoint"):
        command(soup, tmp_path / 'best.pt', '--output', tmp_path / 'soup.pt')
    (tmp_path / 'last.pt').write_bytes(last[:len(last) // 2])
    with pytest.raises(SystemExit, match='is damaged: put a copy'):
        command(train, *run, '--resume')


@pytest.mark.parametrize('option, value, sentence', [
    ('--report-steps', 0, '--report-steps must be above 0, not 0'),
    ('--steps', 0, '--steps must be above 0, not 0'),
    ('--minutes', 'nan', '--minutes must be above 0, not nan'),
    ('--singles', 1.5, '--singles must be from 0 to 1, not 1.5'),
    ('--size', 100, '--size must be a multiple of 32, not 100'),
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


def test_a_damaged_data_file_is_said_to_be_one(packed: Path, tmp_path: Path) -> None:
    (tmp_path / 'cut.zip').write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(SystemExit, match='is damaged, or was not written by'):
        command(train, '--data', tmp_path / 'cut.zip', '--output', tmp_path / 'run')


def test_a_file_that_would_be_too_large_takes_the_place_of_none(tmp_path: Path) -> None:
    (tmp_path / 'nano.pt').write_bytes(b'the weights of before')
    with pytest.raises(ValueError, match='more than 15000000'):
        save_exported(tmp_path / 'nano.pt', {'wide': torch.zeros(8_000_000)})
    assert (tmp_path / 'nano.pt').read_bytes() == b'the weights of before'
