# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts files that are damaged, hostile or odd: each is refused in a sentence, or means that."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import struct
import subprocess
import sys
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts import mask_pictures
from sam2_tracker.core.prompts.file import FilePrompt, load_prompt_file

ENTRY = '- {frame: 0, points: [[1, 1]]}\n'
LAUGHS = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]\n' for i in range(1, 9)
)


def load(folder: Path, text: str) -> tuple[FilePrompt, ...]:
    path = folder / 'prompts.yaml'
    path.write_text(text)
    return load_prompt_file(path).prompts


def refusal(folder: Path, text: str) -> str:
    """Return what is said of a file, after the path."""
    with pytest.raises(PromptError) as raised:
        load(folder, text)
    message = str(raised.value)
    assert len(message) < 600 and message.isprintable()
    assert message.startswith(f'{folder}/prompts.yaml')
    return message.removeprefix(f'{folder}/prompts.yaml')


def one(folder: Path, entry: str) -> FilePrompt:
    return load(folder, f'prompts:\n- {entry}\n')[0]


@pytest.mark.parametrize(('text', 'sentence'), [
    (f'prompts:\n{ENTRY}prompts:\n{ENTRY}',
     ", line 3: 'prompts' is there twice, in line 1 too: one of them would be lost"),
    ('prompts:\n- frame: 0\n  box: [1, 2, 3, 4]\n  box: [5, 6, 7, 8]\n',
     ", line 4: 'box' is there twice, in line 3 too: one of them would be lost"),
    (f'x: &x\n  prompts:\n  {ENTRY}<<: *x\n',
     ", line 4: merge key '<<': write out what it stands for"),
    (f'{LAUGHS}prompts:\n{ENTRY}', ', line 2: alias *a0: write out what it stands for'),
    ('prompts: &p\n- *p\n', ', line 2: alias *p: write out what it stands for'),
    (f'prompts: {"[" * 500}{"]" * 500}\n', ', line 1: lists or mappings more than 16 deep'),
    (f'prompts: {"[" * 5000}{"]" * 5000}\n', ': is not YAML: while increasing flow level'),
    (f'prompts:\n{ENTRY}---\nprompts:\n{ENTRY}',
     ', line 3: a second document begins: one is expected'),
    ('prompts:\n- {frame: 0, ? [a] : b}\n', ', line 2: a key that is no text'),
    ('prompts:\n- {frame: !!int abc}\n',
     ", line 2: tag 'tag:yaml.org,2002:int' is not accepted"),
    ('prompts:\n- {label: !!timestamp foo}\n',
     ", line 2: tag 'tag:yaml.org,2002:timestamp' is not accepted"),
    ('prompts: !!set {a, b}\n', ", line 1: tag 'tag:yaml.org,2002:set' is not accepted"),
    ('prompts:\n- !!python/object/apply:os.system ["true"]\n',
     ", line 2: tag 'tag:yaml.org,2002:python/object/apply:os.system' is not accepted"),
    (f'prompts:\n- {{frame: {"9" * 5000}}}\n', f", line 2: the number '{'9' * 199}..."),
    (f'prompts:\n- {{frame: 0, points: [[{"9" * 400}, 1]]}}\n', ", line 2: the number '999"),
    (f'prompts:\n- {{stamp: "{"9" * 5000}.0", points: [[1, 1]]}}\n',
     f", line 2 (prompt 1): stamp '{'9' * 199}... (5004 characters) is not seconds.nanoseconds"),
    ('prompts:\n- {label: "\\UFFFFFFFF"}\n', ': is not YAML: '),
    ('prompts:\n- {label: "\\ud800"}\n', ': is not YAML: '),
    ('prompts:\n- {frame: , points: [[1, 1]]}\n',
     ', line 2 (prompt 1): needs exactly one of frame, time_s, stamp; it has none'),
    ('prompts:\n- {frame: 0, points: 0, box: [0, 0, 5, 5]}\n',
     ', line 2 (prompt 1): points 0 is not a list of [x, y]'),
    (f'prompts:\n- {{frame: 0, points: [{"[1, a], " * 9000}]}}\n',
     ", line 2 (prompt 1): points [[1, 'a'], [1, 'a'], "),
    (f'prompts:\n{ENTRY * 10_001}',
     ', line 10002: a list of more than 10000 items: at most 10000 are taken'),
    ('prompts: [' + ' ' * (4 << 20), f': cannot be read: it has {(4 << 20) + 10} bytes: at most'),
])
def test_what_would_be_lost_run_or_grow_is_refused_in_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert refusal(tmp_path, text).startswith(sentence)


@pytest.mark.parametrize(('label', 'meant'), [
    ('no', 'no'), ('Off', 'Off'), ('y', 'y'), ('true', 'true'), ('007', '007'), ('1.10', '1.10'),
    ('2024-13-45', '2024-13-45'), ('2024-01-02', '2024-01-02'), ('1:30', '1:30'), ('~', ''),
    ('"no"', 'no'), ("'~'", '~'), ('!!str 5', '5'), ('Übergröße 青い', 'Übergröße 青い'),
])
def test_a_label_is_what_is_written(tmp_path: Path, label: str, meant: str) -> None:
    assert one(tmp_path, f'{{frame: 0, label: {label}, box: [1, 2, 3, 4]}}').prompt.label == meant


@pytest.mark.parametrize(('entry', 'reason'), [
    ('label: "\\e[31mred"', "label '\\x1b[31mred' has characters that cannot be printed"),
    ('label: "a\\nb"', "label 'a\\nb' has characters that cannot be printed"),
    (f'label: {"a" * 257}', 'label has 257 characters: at most 256 are accepted'),
    ('source: "a\\u202eb"', "source 'a\\u202eb' has characters that cannot be printed"),
    ('mask: "a\\0b"', "mask 'a\\x00b' has characters that cannot be printed"),
    (f'mask: {"a" * 5000}', 'mask has 5000 characters: at most 4096 are accepted'),
])
def test_text_that_cannot_be_shown_is_refused(tmp_path: Path, entry: str, reason: str) -> None:
    text = f'prompts:\n- {{frame: 0, {entry}, points: [[1, 1]]}}\n'
    assert refusal(tmp_path, text).startswith(f', line 2 (prompt 1): {reason}')


def test_numbers_are_those_of_today_s_yaml(tmp_path: Path) -> None:
    assert one(tmp_path, '{frame: 00010, box: [1, 2, 3, 4]}').frame == 10
    assert one(tmp_path, '{time_s: 1e1, box: [1, 2, 3, .5]}').time_s == 10.0
    assert one(tmp_path, '{time_s: +1.5, box: [1, 2, 3, 4]}').time_s == 1.5
    too_large = one(tmp_path, '{frame: 0, points: [[1e300, -.inf]]}').prompt.points_xy
    assert too_large.tolist() == [[np.inf, -np.inf]]


def png(width: int, height: int, packed: bytes, comment: bytes = b'') -> bytes:
    """Return a PNG of one bit a pixel, with a packed comment."""
    parts = [(b'IHDR', struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)),
             (b'zTXt', b'Comment\0\0' + zlib.compress(comment)), (b'IDAT', packed), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + kind + content
        + struct.pack('>I', zlib.crc32(kind + content)) for kind, content in parts)


def mask_refusal(folder: Path) -> str:
    return refusal(folder, 'prompts:\n- {frame: 0, mask: mask.png}\n').removeprefix(
        ', line 2 (prompt 1): mask mask.png cannot be read: ')


def test_a_damaged_mask_is_refused_in_a_sentence(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 100)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / 'mask.png')
    whole = (tmp_path / 'mask.png').read_bytes()
    for damaged in (whole[:len(whole) // 2], whole[:60] + b'xx' + whole[62:], whole[:20], b'',
                    png(8, 8, b'no deflate'), png(8, 8, b'', bytes(2 << 20)),
                    b'%!PS-Adobe-3.0 EPSF-3.0\n'):
        (tmp_path / 'mask.png').write_bytes(damaged)
        assert mask_refusal(tmp_path)


@pytest.mark.parametrize(('side', 'sentence'), [
    (13_000, 'it is 13000x13000: at most 50000000 pixels are accepted'),
    (30_000, 'it has more than 50000000 pixels'),
])
@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
def test_a_mask_that_unpacks_to_a_gigabyte_is_refused(
    tmp_path: Path, side: int, sentence: str
) -> None:
    (tmp_path / 'mask.png').write_bytes(png(side, side, zlib.compress(b'')))
    assert mask_refusal(tmp_path) == sentence


def test_masks_that_are_too_many_together_are_refused(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_pictures, 'MOST_PIXELS_TOGETHER', 5_000_000)
    Image.new('1', (700, 700), 1).save(tmp_path / 'mask.png')
    reason = refusal(tmp_path, 'prompts:\n' + '- {frame: 0, mask: mask.png}\n' * 11)
    assert reason == (', line 12 (prompt 11): mask mask.png cannot be read: with it the masks '
                      'have 5390000 pixels: at most 5000000 are kept')


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'mask.png')
    assert mask_refusal(tmp_path) == 'it is a pipe: a file is expected'
    with pytest.raises(PromptError, match=r'mask\.png: cannot be read: it is a pipe'):
        load_prompt_file(tmp_path / 'mask.png')
    with pytest.raises(PromptError, match=r'/dev/zero: cannot be read: it is a device'):
        load_prompt_file(Path('/dev/zero'))


def test_reading_a_large_file_can_be_interrupted(tmp_path: Path) -> None:
    entry = '- {frame: 0, points: [' + '[1, 1], ' * 40 + '[1, 1]]}\n'
    (tmp_path / 'large.yaml').write_text('prompts:\n' + entry * 9000)
    program = """
import sys
from pathlib import Path
from sam2_tracker.core.prompts.file import load_prompt_file
print('begins', flush=True)
load_prompt_file(Path(sys.argv[1]))
"""
    with subprocess.Popen([sys.executable, '-c', program, str(tmp_path / 'large.yaml')],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
        assert reading.stdout is not None
        assert reading.stdout.readline() == 'begins\n'
        reading.send_signal(signal.SIGINT)
        _, errors = reading.communicate(timeout=10)
    assert errors.rstrip().endswith('KeyboardInterrupt')


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet='{}[]:,-?&*!|>\'"%@` \n\tab01.~<\\', max_size=60))
def test_any_text_is_understood_or_refused_with_the_file_s_name(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp('odd')
    try:
        load(folder, f'prompts:\n- {{frame: 0, box: [1, 2, 3, 4]}}\n- {text}')
    except PromptError as error:
        assert str(error).startswith(f'{folder}/prompts.yaml')
