# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every command ends with a sentence and exit code 2 where what it was given is of no use."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
import re

import pytest
from test_structure import ROOT

FOLDERS = ('benchmarks', 'demo', 'sam2_tracker', 'tools', 'training')
TABLE = ['benchmarks', 'benchmarks.exactness', 'benchmarks.memory', 'benchmarks.transport']
WITH_MODELS = [f'benchmarks.{name}' for name in (
    'cameras', 'node', 'objects', 'offline', 'prompts', 'robustness', 'stages')]
LARGEST = 'sam2.1_hiera_large'
# Module, wrong arguments, and what of them the sentence names.
WRONG = [
    *((name, '--device nonsense', 'nonsense') for name in TABLE + WITH_MODELS),
    *((name, f'--device {device}', f"unknown device '{device}'") for name in TABLE
      for device in ('hpu', 'meta', 'privateuseone')),
    *((name, '--threads 1000000000000', '1000000000000 is more than') for name in TABLE),
    *((name, f'--results {{file}}{inside}', 'file is a file') for name in TABLE + WITH_MODELS
      for inside in ('', '/in')),
    *((name, '--threads 0', "'0' is not a whole number above 0") for name in TABLE),
    *((name, '--model sam9', 'sam9') for name in WITH_MODELS),
    *((name, f'--model {LARGEST}', f'no checkpoint of {LARGEST}') for name in WITH_MODELS),
    *((f'benchmarks.{name}', '--image-size 100', 'image_size 100') for name in (
        'cameras', 'exactness', 'memory', 'node', 'objects', 'prompts', 'stages')),
    *((f'benchmarks.{name}', '--frames 0', "'0'") for name in (
        'exactness', 'memory', 'node', 'objects', 'offline', 'stages')),
    ('benchmarks', '--only nonsense', 'nonsense'),
    ('benchmarks.accuracy', '--sequences nonsense', 'nonsense'),
    ('benchmarks.accuracy', '--model sam9', 'sam9'),
    ('benchmarks.accuracy', '--threads 0', "'0'"),
    ('benchmarks.cameras', '--seconds nan', "'nan' is not a number above 0"),
    ('benchmarks.console', 'clicks --count -1', "'-1'"),
    ('benchmarks.gpu', '--device cpu --minutes 0', "'0'"),
    ('benchmarks.gpu.carry', '{file}/in', 'file'),
    ('benchmarks.memory', '--frames 100 --warm-up 100', '--frames 100 leaves 1 point'),
    ('benchmarks.memory', '--stock-frames 1', '--stock-frames 1 leaves 1 point'),
    ('benchmarks.objects', '--frame-size 640', "'640'"),
    ('benchmarks.report', '--page {nothing}', 'nothing'),
    ('benchmarks.report', '--page {file} --results {nothing}', 'no result in'),
    ('benchmarks.report', '--results {folder} --check', 'no result in'),
    ('benchmarks.report', '--device cpu', 'unrecognized arguments'),
    ('benchmarks.robustness', '--seeds 3 1', '[3, 1]'),
    ('benchmarks.targets', '--device cpu', 'unrecognized arguments'),
    ('benchmarks.targets', '--results {nothing}', 'nothing'),
    ('demo.console', '--model sam9', 'sam9'),
    ('demo.davis', 'nonsense', 'nonsense'),
    ('demo.davis', 'dog --frames 0', "'0'"),
    ('demo.run', '--model sam9', 'sam9'),
    ('demo.verify', '{nothing}', 'nothing'),
    ('sam2_tracker.models.fetch', 'sam9', 'sam9'),
    ('sam2_tracker.models.fetch', 'nano --url nonsense', 'nonsense'),
    ('training.export', '{file}', 'file'),
    ('training.heldback', '--data {nothing}', 'nothing'),
    ('training.pack', '--data {nothing} --output {folder}/pack.zip', 'nothing'),
    ('training.pack', '--mb 0 --output {folder}/pack.zip', "'0'"),
    ('training.soup', '{file} --output {folder}/mixed.pt', 'file'),
    ('training.start', '--data {nothing} --output {folder}/start.pt', 'nothing'),
    ('training.start', '--experiment {file} --data {file} --output {folder}/start.pt', 'file'),
    ('training.start', '--experiment {nothing} --data {file} --output {folder}/s.pt', 'nothing'),
    ('training.start', '--data {file} --output {folder}', 'a folder'),
    ('training.train', '--data {file} --output {folder}', 'file is damaged'),
    ('training.train', '--data {file} --output {folder} --device nonsense', 'nonsense'),
    ('training.train', f'--data {{file}} --output {{folder}} --seed {10 ** 24}', f'{10 ** 24}'),
    ('training.train', '--data {file} --output {folder} --seed -1', "'-1' is not a whole number"),
    ('training.train', '--data {nothing} --output {folder}', 'nothing'),
    ('training.train', '--data {file} --output {file}', 'file'),
]
# Those with no arguments of their own, that only help another, or with tests of their own.
ELSEWHERE = {
    'benchmarks.external_example', 'benchmarks.node_process', 'benchmarks.transport_process',
    'demo.fetch_clip', 'tools.docs', 'tools.set_up', 'tools.transport',
    'sam2_tracker.offline', 'sam2_tracker.ros.camera.video_source',
    'sam2_tracker.ros.client.console', 'sam2_tracker.ros.client.prompt',
    'sam2_tracker.ros.client.wait_until_active', 'sam2_tracker.ros.lift.lift',
    'sam2_tracker.ros.node.tracker_main'}


@pytest.mark.parametrize(('module', 'line', 'named'), WRONG)
def test_wrong_arguments_end_a_command_with_a_sentence_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    module: str, line: str, named: str,
) -> None:
    monkeypatch.setenv('SAM2_TRACKER_CACHE', str(tmp_path))
    (tmp_path / 'file').write_text('nothing of use')
    (tmp_path / 'folder').mkdir()
    places = {name: tmp_path / name for name in ('file', 'folder', 'nothing')}
    arguments = [part.format(**places) for part in line.split()]
    is_package = (ROOT / module.replace('.', '/')).is_dir()
    command = import_module(f'{module}.__main__' if is_package else module)
    with pytest.raises(SystemExit) as end:
        raise SystemExit(command.main(arguments))
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    *usage, sentence = said.splitlines()
    assert named in sentence, said
    assert all(re.match('usage:| ', each) for each in usage), said


def commands() -> set[str]:
    """Return the modules that can be run."""
    found = set()
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob('*.py')):
        is_run = path.name == '__main__.py' or any(
            isinstance(each, ast.If) and '__main__' in ast.unparse(each.test)
            for each in ast.parse(path.read_text()).body)
        if is_run:
            name = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
            found.add(name.removesuffix('.__main__'))
    return found


def test_every_command_is_tried_with_wrong_arguments() -> None:
    assert commands() == {module for module, *_ in WRONG} | ELSEWHERE
