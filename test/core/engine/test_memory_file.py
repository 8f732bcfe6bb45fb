# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Files of object memories: whatever is wrong with one is said in a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
from safetensors.torch import save_file
from sam2_tracker.core.engine.memory.file import (
    FORMAT,
    load_fitting,
    load_memory,
    refuse_other_file,
    save_memory,
    SavedObject,
)
from sam2_tracker.core.engine.memory.transfer import CondBank
from sam2_tracker.core.errors import ModelError, StorageError, TrackerError
import torch

SIDE, WIDTH = 4, 8


def bank(count: int = 2) -> CondBank:
    maps = torch.randn(count, WIDTH, SIDE, SIDE).to(torch.bfloat16)
    return CondBank(maps, torch.randn(count, WIDTH), torch.ones(count, 1), 'abc', 64)


def model(side: int = SIDE) -> Any:
    shape = SimpleNamespace(image_size=64, backbone_stride=64 // side, mem_dim=WIDTH,
                            hidden_dim=WIDTH)
    return SimpleNamespace(image_size=64, fingerprint=lambda: 'abc', model=shape)


def write(path: Path, head: dict[str, Any] | None = None, **tensors: torch.Tensor) -> Path:
    """Write a file of one object, with other tensors or words than it should have."""
    entry = {'object_id': 1, 'label': '', 'bank': bank().metadata()} | (head or {})
    named = {f'0.{name}': tensor for name, tensor in (bank().tensors() | tensors).items()}
    save_file(named, path, {'format': FORMAT, 'objects': json.dumps([entry])})
    return path


def test_objects_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path, first, second = tmp_path / 'new' / 'cups.safetensors', bank(), bank(1)
    save_memory(path, [SavedObject(7, 'cup', first), SavedObject(2, '', second)], 'nano')
    found = load_fitting(path, model())
    assert [(each.object_id, each.label) for each in found] == [(7, 'cup'), (2, '')]
    assert torch.equal(found[0].bank.maps, first.maps)
    assert torch.equal(found[1].bank.pointers, second.pointers)
    with pytest.raises(ModelError, match=r'made with other weights \(nano, abc\) than these \(x'):
        load_fitting(path, SimpleNamespace(image_size=64, fingerprint=lambda: 'xyz'))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_same_objects_are_the_same_bytes(tmp_path: Path) -> None:
    objects, written = [SavedObject(7, 'cup', bank()), SavedObject(2, 'Löffel', bank(1))], set()
    for _ in range(20):
        save_memory(tmp_path / 'cups.safetensors', objects, 'nano')
        written.add((tmp_path / 'cups.safetensors').read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize(('head', 'tensors', 'sentence'), [
    ({}, {'maps': torch.ones(2, WIDTH, SIDE)}, 'whose maps are torch.float32 of shape'),
    ({}, {'pointers': torch.ones(2, WIDTH, dtype=torch.int64)}, 'whose pointers are torch.int64'),
    ({}, {'pointers': torch.ones(2, WIDTH).to(torch.float8_e4m3fn)}, 'are torch.float8_e4m3fn of'),
    ({}, {'maps': torch.full((2, WIDTH, SIDE, SIDE), torch.nan)}, 'maps are not all numbers'),
    ({}, {'maps': torch.full((2, WIDTH, SIDE, SIDE), 3e38)},
     r'maps go up to 3e\+38: at most 10000 is accepted'),
    ({}, {'pointers': torch.full((2, WIDTH), -10001.0)}, r'pointers go up to 10001: at most'),
    ({}, {'score_logits': torch.full((2, 1), 1e19)}, r'score_logits go up to 1e\+19: at most'),
    ({}, {'pointers': torch.ones(3, WIDTH)}, 'empty or differ in length'),
    ({'bank': {'model': 'abc', 'image_size': 'big'}}, {}, "image size 'big'"),
    ({'bank': {'model': 'abc', 'image_size': 64}}, {}, 'does not describe an object'),
    ({'bank': {}}, {}, 'without model, image_size'),
    ({'bank': {'model': 'abc', 'image_size': '9' * 5000}}, {}, "image size '999"),
    ({'object_id': 0}, {}, 'object id 0 is not 1 to 65535'),
    ({'label': ['a']}, {}, r"the label of object 1 \['a'\] is not a text"),
    ({'label': '\x1b[31mred'}, {}, r"the label of object 1 '.x1b\[31mred' has characters that"),
    ({'label': '\ud800'}, {}, r"the label of object 1 '.ud800' has characters that cannot be"),
    ({'label': 'a' * 257}, {}, 'the label of object 1 has 257 characters: at most 256 are'),
    ({'colour': 'red'}, {}, 'its list of objects cannot be read')])
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, head: dict[str, Any],
                                          tensors: dict[str, torch.Tensor],
                                          sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        load_memory(write(tmp_path / 'odd', head, **tensors))


def test_a_file_without_an_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match='there is no object whose memory to save'):
        save_memory(tmp_path / 'none', [], 'nano')
    save_file(bank().tensors(), tmp_path / 'none', {'format': FORMAT, 'objects': '[]'})
    with pytest.raises(ModelError, match='holds no object'):
        load_memory(tmp_path / 'none')


def test_memories_of_another_shape_than_the_model_s_are_refused(tmp_path: Path) -> None:
    assert load_fitting(write(tmp_path / 'whole'), model())
    with pytest.raises(ModelError, match=r'its tensors are \(8, 4, 4\), .* has \(8, 2, 2\)'):
        load_fitting(tmp_path / 'whole', model(side=2))


def test_nothing_but_an_object_memory_may_be_replaced(tmp_path: Path) -> None:
    refuse_other_file(tmp_path / 'new')
    refuse_other_file(write(tmp_path / 'memory'))
    save_file({'weights': torch.ones(2)}, tmp_path / 'weights')
    (tmp_path / 'text').write_text('mine')
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to('nowhere')
    for name in ('weights', 'text', 'folder', 'link'):
        with pytest.raises(StorageError, match='is no object memory, so it is not replaced'):
            refuse_other_file(tmp_path / name)


@settings(max_examples=60)
@given(permille=st.integers(0, 1000), junk=st.binary(max_size=20), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
        tmp_path_factory: pytest.TempPathFactory, permille: int, junk: bytes,
        cut: bool) -> None:
    path = write(tmp_path_factory.mktemp('damaged') / 'memory')
    content = path.read_bytes()
    place = permille * len(content) // 1000
    path.write_bytes(content[:place] + junk + (b'' if cut else content[place + len(junk):]))
    try:
        load_fitting(path, model())
    except TrackerError as error:
        assert str(error)


def saved(path: Path) -> SavedObject:
    """Save one object and return it."""
    item = SavedObject(1, 'cup', bank())
    save_memory(path, [item], 'nano')
    return item


def python(program: str, *arguments: object, timeout_s: float = 60) -> tuple[int | None, str]:
    """Run a program that may be killed or stop for ever; None if it stops for ever."""
    try:
        done = subprocess.run([sys.executable, '-c', program, *map(str, arguments)],
                              capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return None, ''
    return done.returncode, done.stdout


def test_a_loaded_object_stays_as_it_was_when_its_file_is_written_over(tmp_path: Path) -> None:
    item = saved(tmp_path / 'cups')
    (loaded,) = load_memory(tmp_path / 'cups')
    with (tmp_path / 'cups').open('r+b') as file:
        file.write(bytes((tmp_path / 'cups').stat().st_size))
    assert torch.equal(loaded.bank.maps, item.bank.maps)
    assert torch.equal(loaded.bank.pointers, item.bank.pointers)


def test_a_loaded_object_lives_on_when_its_file_is_cut_short(tmp_path: Path) -> None:
    saved(tmp_path / 'cups')
    program = """
import os, sys
from pathlib import Path
from sam2_tracker.core.engine.memory.file import load_memory
(item,) = load_memory(Path(sys.argv[1]))
os.truncate(sys.argv[1], 0)
print(bool(item.bank.maps.isfinite().all()))
"""
    assert python(program, tmp_path / 'cups') == (0, 'True\n')


def test_what_is_no_file_is_refused_at_once_and_nothing_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'folder').mkdir()
    program = """
import sys
from pathlib import Path
from sam2_tracker.core.engine.memory.file import load_memory, refuse_other_file
from sam2_tracker.core.errors import TrackerError
for name in sys.argv[1:]:
    for work in (load_memory, refuse_other_file):
        try:
            work(Path(name))
        except TrackerError as error:
            print(error)
"""
    pipe, folder = tmp_path / 'pipe', tmp_path / 'folder'
    assert python(program, pipe, folder, '/dev/zero') == (0, ''.join(
        f'object memory {path} cannot be read: it is {kind}: a file is expected\n'
        f'{path} is there and is no object memory, so it is not replaced: take another name\n'
        for path, kind in ((pipe, 'a pipe'), (folder, 'a folder'), ('/dev/zero', 'a device'))))


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / 'large').open('wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(StorageError, match=f'it has {1 << 40} bytes: at most {2 << 30} are read'):
        load_memory(tmp_path / 'large')


def test_only_files_are_replaced_and_no_planted_link_is_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(StorageError, match='pipe cannot be written: it is a pipe'):
        save_memory(tmp_path / 'pipe', [SavedObject(1, '', bank())], 'nano')
    assert (tmp_path / 'pipe').is_fifo()
    (tmp_path / 'precious').write_text('mine')
    (tmp_path / f'.cups.{os.getpid()}.part').symlink_to(tmp_path / 'precious')
    saved(tmp_path / 'cups')
    assert (tmp_path / 'precious').read_text() == 'mine' and not (tmp_path / 'cups').is_symlink()
    assert sorted(each.name for each in tmp_path.iterdir()) == ['cups', 'pipe', 'precious']
