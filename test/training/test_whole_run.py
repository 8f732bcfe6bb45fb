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
from training.weights import scale_logits

SIZE = 64
STEPS = 4
SMALL = ('--size', '64', '--side', '64', '--still-side', '64', '--clips', '1', '--gather', '2',
         '--report-steps', '2', '--save-minutes', '0', '--measure-minutes', '9', '--trunk', '0.1',
         '--seed', '3')


def command(module: ModuleType, *line: object) -> None:
    module.main([str(word) for word in line])


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


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


def test_a_stop_from_outside_ends_with_a_checkpoint_of_whole_steps(
        packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = train.Trainer.learn

    def stop(trainer: train.Trainer, rate: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        learn(trainer, rate)

    monkeypatch.setattr(train.Trainer, 'learn', stop)
    command(train, '--data', packed, '--output', tmp_path, '--steps', 50, *SMALL)
    assert torch.load(tmp_path / 'last.pt', weights_only=True)['steps'] == 1
