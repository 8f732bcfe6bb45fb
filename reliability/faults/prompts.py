# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts files, and masks beside them, that mean too much, or not what they seem to."""

from __future__ import annotations

import os
from pathlib import Path
import re

import numpy as np
import PIL.Image
from reliability.faults.images import png_of_zeros
from reliability.pictures import encoded
from reliability.processes import Ended
from reliability.stage import Stage
from reliability.verdicts import expect, fault, lied

_ENTRY = '- {frame: 0, points: [[48, 60]]}\n'
_MOST_MIB = 700
_LONGEST_S = 20.0
_USAGE = 2


def _bombs() -> dict[str, str]:
    laughs = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n' + ''.join(
        f'a{level}: &a{level} [{", ".join([f"*a{level - 1}"] * 10)}]\n' for level in range(1, 9))
    return {
        'laughs_points': f'{laughs}prompts:\n- {{frame: 0, points: *a8}}\n',
        'laughs_label': f'{laughs}prompts:\n- {{frame: 0, label: *a8, points: [[1, 1]]}}\n',
        'laughs_frame': f'{laughs}prompts:\n- {{frame: *a8, points: [[1, 1]]}}\n',
        'recursive': 'prompts: &p\n- *p\n',
        'huge_file': 'prompts:\n' + _ENTRY * 100_000}


BAD_VALUES = {
    'a tag of int': 'frame: !!int abc, points: [[1, 1]]',
    'a tag of timestamp': 'frame: 0, label: !!timestamp foo, points: [[1, 1]]',
    'a tag of bool': 'frame: 0, label: !!bool foo, points: [[1, 1]]',
    'a tag of Python': 'frame: 0, label: !!python/object/apply:os.system ["true"], '
                       'points: [[1, 1]]',
    'a frame of 5000 digits': f'frame: {"9" * 5000}, points: [[1, 1]]',
    'a point of 400 digits': f'frame: 0, points: [[{"9" * 400}, 1]]',
    'a time of 400 digits': f'time_s: {"9" * 400}, points: [[1, 1]]',
    'a label of 400 digits': f'frame: 0, points: [[1, 1]], point_labels: [{"9" * 400}]',
    'a box of 400 digits': f'frame: 0, box: [0, 0, 1, {"9" * 400}]',
    'a stamp of 5000 digits': f'stamp: "{"9" * 5000}.0", points: [[1, 1]]',
    'an endless time': 'time_s: .inf, points: [[1, 1]]',
    'points that are a text': 'frame: 0, points: abc',
    'points that are a mapping': 'frame: 0, points: {x: 1}',
    'a list as key': 'frame: 0, ? [a] : b',
    'a mask of no name': 'frame: 0, mask: "a\\0b"',
    'a mask that is a folder': 'frame: 0, mask: "."',
    'a mask of a long name': f'frame: 0, mask: "{"a" * 5000}"',
}
BAD_FILES = {
    'deep nesting': 'prompts: ' + '[' * 5000 + ']' * 5000 + '\n',
    'a set': 'prompts: !!set {a, b}\n', 'a list on top': '- a\n', 'nothing': '',
    'a tabulator': '\tprompts:\n', 'two documents': f'prompts:\n{_ENTRY}---\nprompts:\n{_ENTRY}'}


def _with(stage: Stage, content: str, timeout_s: float = _LONGEST_S) -> Ended:
    file = stage.folder / 'prompts.yaml'
    file.write_text(content)
    return stage.process(stage.folder / 'clip', '--prompts', file, '--csv',
                         stage.folder / 'out.csv', '--overwrite', timeout_s=timeout_s)


def _refused(ended: Ended, what: str) -> None:
    expect(ended.code == _USAGE, f'{what}: exit code {ended.code}: {ended.last_words[:100]}')
    expect(ended.err.strip() and len(ended.err) < 2000, f'{what}: {len(ended.err)} characters')
    expect(ended.peak_mib < _MOST_MIB, f'{what}: {ended.peak_mib:.0f} MiB were taken')


@fault(f'{len(BAD_VALUES) + len(BAD_FILES)} prompts files with bad tags, numbers of '
       'thousands of digits, nesting: each refused with a sentence.', limit_s=150.0)
def bad_prompts_files(stage: Stage) -> None:
    stage.clip(2)
    for what, entry in BAD_VALUES.items():
        _refused(_with(stage, f'prompts:\n- {{{entry}}}\n'), what)
    for what, content in BAD_FILES.items():
        _refused(_with(stage, content), what)


@fault('A label like a date that is none: a text like any other, and the name in the table.')
def label_like_a_date(stage: Stage) -> None:
    stage.clip(2)
    ended = _with(stage, 'prompts:\n- {frame: 0, label: 2024-13-45, points: [[48, 60]]}\n', 60.0)
    expect(ended.code == 0, f'exit code {ended.code}: {ended.last_words[:100]}')
    expect('2024-13-45' in (stage.folder / 'out.csv').read_text(), 'the label is another one')


@fault('`prompts:` twice: refused with the line, not half of it dropped.')
def prompts_twice(stage: Stage) -> None:
    stage.clip(2)
    ended = _with(stage, f'prompts:\n{_ENTRY}prompts:\n- {{frame: 1, points: [[9, 9]]}}\n')
    expect(ended.code == _USAGE, f'exit code {ended.code}, the first block is dropped silently')
    expect(re.search(r'line 3|prompts', ended.err), f'no line is named: {ended.last_words}')


@fault('A key twice in one prompt, and a merge key: refused with a sentence.')
def keys_twice(stage: Stage) -> None:
    stage.clip(2)
    _refused(_with(stage, 'prompts:\n- {frame: 0, points: [[48, 60]], points: [[9, 9]]}\n'),
             'points twice')
    _refused(_with(stage, f'x: &x\n  prompts:\n  {_ENTRY}<<: *x\n'), 'a merge key')


@fault(f'Prompts files that unfold (billion laughs, 100,000 entries): refused within '
       f'{_LONGEST_S:.0f} s and {_MOST_MIB} MiB, Ctrl-C works.', limit_s=150.0)
def prompts_bombs(stage: Stage) -> None:
    stage.clip(2)
    for what, content in _bombs().items():
        _refused(_with(stage, content), what)


def _broken_masks(folder: Path) -> list[str]:
    good = encoded(np.eye(64, dtype=np.uint8) * 255, 'PNG')
    contents = {'cut.png': good[:len(good) // 2], 'checksum.png': good[:60] + b'\xff' + good[61:],
                'text.png': b'hello', 'bomb.png': png_of_zeros(30_000),
                'large.png': png_of_zeros(13_000)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / 'pipe.png')
    return [*contents, 'pipe.png', '/dev/zero']


@fault('Masks that are cut, damaged, a bomb, a FIFO, an endless device: each refused with a '
       'sentence.', limit_s=150.0)
def broken_masks(stage: Stage) -> None:
    stage.clip(2)
    for name in _broken_masks(stage.folder):
        _refused(_with(stage, f'prompts:\n- {{frame: 0, mask: {name}}}\n'), name)


@fault('A prompts file that is a FIFO or an endless device: refused with a sentence.')
def endless_prompts_file(stage: Stage) -> None:
    clip, pipe = stage.clip(2), stage.folder / 'pipe.yaml'
    os.mkfifo(pipe)
    for file in (pipe, Path('/dev/zero')):
        _refused(stage.process(clip, '--prompts', file, '--csv', stage.folder / 'o.csv',
                               timeout_s=10.0), file.name)


def _first_area(stage: Stage) -> float:
    rows = (stage.folder / 'out.csv').read_text().splitlines()
    columns = rows[0].split(',')
    return float(rows[1].split(',')[columns.index('area')])


@fault('A mask PNG with an alpha channel, white everywhere: its alpha is the mask, or it is '
       'refused.')
def transparent_mask(stage: Stage) -> None:
    clip = stage.clip(3)
    alpha = np.zeros((120, 160), np.uint8)
    alpha[45:75, 33:63] = 255
    file = stage.folder / 'mask.png'
    PIL.Image.fromarray(np.dstack([np.full((120, 160, 3), 255, np.uint8), alpha])).save(file)
    ended = stage.process(clip, '--mask', file, '--csv', stage.folder / 'out.csv')
    if ended.code == 0:
        area = _first_area(stage)
        expect(area < 3000, f'the whole picture was taken: an area of {area:.0f}, not 900')


@fault('A grey mask of soft values (anti-aliased, JPEG-like): refused, or taken by a '
       'threshold, never by "everything but 0".')
def soft_mask(stage: Stage) -> None:
    clip = stage.clip(3)
    grey = np.random.default_rng(0).integers(1, 20, (120, 160)).astype(np.uint8)
    grey[45:75, 33:63] = 250
    file = stage.folder / 'mask.png'
    PIL.Image.fromarray(grey).save(file)
    ended = stage.process(clip, '--mask', file, '--csv', stage.folder / 'out.csv')
    if ended.code == 0:
        area = _first_area(stage)
        expect(area < 3000, f'everything but 0 was taken: an area of {area:.0f}, not 900')


@fault('`label: no` in a prompts file stays `no`.')
def label_no(stage: Stage) -> None:
    stage.clip(2)
    ended = _with(stage, 'prompts:\n- {frame: 0, label: no, points: [[48, 60]]}\n', 45.0)
    if ended.code == _USAGE:
        expect('label' in ended.err, ended.last_words)
        lied(f'it is refused: {ended.last_words}')
    expect(',no,' in (stage.folder / 'out.csv').read_text(), 'it is another label')
