# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What was learnt of objects, as a file: for later runs, other recordings, other cameras."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from sam2_tracker.core.engine.memory.tensor_file import (
    DamagedFileError,
    read_tensor_file,
    tensor_file_bytes,
    TensorFile,
)
from sam2_tracker.core.engine.memory.transfer import CondBank, refuse_misshapen
from sam2_tracker.core.errors import ModelError, reason, StorageError
from sam2_tracker.core.plain_file import write_whole
from sam2_tracker.core.text import shown, text_fault
from sam2_tracker.core.types import MAX_OBJECT_ID

if TYPE_CHECKING:
    from sam2_tracker.core.engine.predictor import Predictor

FORMAT = 'sam2_tracker object memory 1'


@dataclass(frozen=True, eq=False)
class SavedObject:
    """
    One object and what its prompted frames taught.

    :param label: display name, may be empty
    """

    object_id: int
    label: str
    bank: CondBank


@dataclass(frozen=True)
class _Entry:
    """What the file's head says of one object, besides its tensors."""

    object_id: int
    label: str
    bank: dict[str, str]


def save_memory(path: Path, objects: Sequence[SavedObject], model_name: str) -> None:
    """
    Write objects to a file, which is there whole or not at all.

    :param model_name: as people call the model; the weights' own hash is in the banks
    :raises StorageError: if there is no object, or the file cannot be written
    """
    if not objects:
        raise StorageError(f'{path} was not written: there is no object whose memory to save')
    tensors = {
        f'{position}.{name}': tensor
        for position, each in enumerate(objects)
        for name, tensor in each.bank.tensors().items()
    }
    entries = [
        asdict(_Entry(each.object_id, each.label, each.bank.metadata())) for each in objects
    ]
    head = {'format': FORMAT, 'model_name': model_name, 'objects': json.dumps(entries)}
    try:
        write_whole(path, tensor_file_bytes(tensors, head))
    except OSError as error:
        raise StorageError(f'object memory {path} cannot be written: {error}') from error


def load_memory(path: Path) -> tuple[SavedObject, ...]:
    """
    Read objects from a file; `Predictor.import_cond` checks that its model can read them.

    :raises StorageError: if the file cannot be read
    :raises ModelError: if it is not an object memory, or a damaged one
    """
    return tuple(_objects(path, _read(path)))


def load_fitting(path: Path, predictor: Predictor) -> tuple[SavedObject, ...]:
    """
    Read a file of objects that this model can use.

    :raises StorageError: if it cannot be read
    :raises ModelError: if another model made it, or the same one with another image size
    """
    content = _read(path)
    objects = tuple(_objects(path, content))
    for each in objects:
        if each.bank.image_size != predictor.image_size:
            raise ModelError(
                f'{path} was made with image size {each.bank.image_size}, this model has '
                f'{predictor.image_size}: set image_size to {each.bank.image_size} '
                f'(--image-size {each.bank.image_size})'
            )
        if each.bank.model != predictor.fingerprint():
            raise ModelError(
                f'{path} was made with other weights ({_model_name(content) or "unknown"}, '
                f'{each.bank.model[:12]}) than these ({predictor.fingerprint()[:12]}): object '
                'memories fit the weights that made them only'
            )
        refuse_misshapen(path, each.bank, predictor.model)
    return objects


def refuse_other_file(path: Path) -> None:
    """
    Make sure that writing to a path replaces nothing but an object memory.

    :raises StorageError: if something else is there
    """
    if not os.path.lexists(path):
        return
    try:
        is_ours = read_tensor_file(path).words.get('format') == FORMAT
    except (OSError, DamagedFileError):
        is_ours = False
    if not is_ours:
        raise StorageError(
            f'{path} is there and is no object memory, so it is not replaced: take another name'
        )


def _read(path: Path) -> TensorFile:
    try:
        content = read_tensor_file(path)
    except OSError as error:
        raise StorageError(f'object memory {path} cannot be read: {reason(error)}') from error
    except DamagedFileError as error:
        raise ModelError(f'{path} is damaged, or no object memory: {error}') from error
    if content.words.get('format') != FORMAT:
        raise ModelError(f'{path} is no object memory: it was not written by save_memory')
    return content


def _model_name(content: TensorFile) -> str:
    return content.words.get('model_name', '')


def _objects(path: Path, content: TensorFile) -> Iterable[SavedObject]:
    for position, entry in enumerate(_entries(path, content.words)):
        prefix = f'{position}.'
        own = {
            name.removeprefix(prefix): tensor
            for name, tensor in content.tensors.items()
            if name.startswith(prefix)
        }
        try:
            bank = CondBank.read(own, entry.bank)
        except ModelError as error:
            raise ModelError(f'{path}: object {entry.object_id}: {error}') from error
        yield SavedObject(entry.object_id, entry.label, bank)


def _entries(path: Path, head: dict[str, str]) -> list[_Entry]:
    try:
        entries = [_entry(**each) for each in json.loads(head['objects'])]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f'{path}: its list of objects cannot be read: {error}') from error
    if not entries:
        raise ModelError(f'{path}: holds no object')
    if len({entry.object_id for entry in entries}) != len(entries):
        raise ModelError(f'{path}: names an object twice')
    return entries


def _entry(object_id: Any, label: Any, bank: Any) -> _Entry:
    if not isinstance(object_id, int) or not 1 <= object_id <= MAX_OBJECT_ID:
        raise ValueError(f'object id {shown(object_id)} is not 1 to {MAX_OBJECT_ID}')
    if not isinstance(bank, dict) or not all(isinstance(each, str) for each in bank.values()):
        raise ValueError(f'{shown(bank)} does not describe an object')
    fault = text_fault(label) if isinstance(label, str) else f'{shown(label)} is not a text'
    if fault:
        raise ValueError(f'the label of object {object_id} {fault}')
    return _Entry(object_id, label, bank)
