# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Files of object memories: whatever is wrong with one is said in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
from safetensors.torch import save_file
import torch

from sam2_tracker.core.engine.memory.file import (
    FORMAT,
    load_fitting,
    load_memory,
    model_name_of,
    refuse_other_file,
    save_memory,
    SavedObject,
)
from sam2_tracker.core.engine.memory.transfer import CondBank
from sam2_tracker.core.errors import ModelError, StorageError, TrackerError

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
    assert model_name_of(path) == 'nano'
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(('head', 'tensors', 'sentence'), [
    ({}, {'maps': torch.ones(2, WIDTH, SIDE)}, 'whose maps are torch.float32 of shape'),
    ({}, {'pointers': torch.ones(2, WIDTH, dtype=torch.int64)}, 'whose pointers are torch.int64'),
    ({}, {'maps': torch.full((2, WIDTH, SIDE, SIDE), torch.nan)}, 'maps are not all numbers'),
    ({}, {'pointers': torch.ones(3, WIDTH)}, 'empty or differ in length'),
    ({'bank': {'model': 'abc', 'image_size': 'big'}}, {}, "image size 'big'"),
    ({'bank': {'model': 'abc', 'image_size': 64}}, {}, 'does not describe an object'),
    ({'bank': {}}, {}, 'without model, image_size'),
    ({'object_id': 0}, {}, 'object id 0 is not 1 to 65535'),
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
