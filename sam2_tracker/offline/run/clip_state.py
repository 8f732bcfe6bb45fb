# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Where the tracking of a recording was, as a file: what a resumed run goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from sam2_tracker.core.tracking.visibility import Visibility
from sam2_tracker.core.types import ObjectState
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.sinks.staging import write_whole

# A label may hold any character, a tensor's name none of these.
_SEPARATOR = '/'


@dataclass(frozen=True, eq=False)
class KnownObject:
    """
    One object and all that is remembered of it.

    :param memory: tensors as `core.memory_state` names them
    """

    object_id: int
    label: str
    visibility: Visibility
    memory: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ClipState:
    """
    The objects after a frame.

    :param index: the frame's number
    """

    index: int
    objects: tuple[KnownObject, ...]


def save_state(path: Path, state: ClipState) -> None:
    """
    Write a state; it is there whole or not at all.

    :raises OutputError: if it cannot be written
    """
    from safetensors.torch import save

    tensors = {f'{each.object_id}{_SEPARATOR}{name}': tensor for each in state.objects
               for name, tensor in each.memory.items()}
    objects = [{'object_id': each.object_id, 'label': each.label,
                'state': int(each.visibility.state),
                'hidden_since_ns': each.visibility.hidden_since_ns} for each in state.objects]
    head = {'index': str(state.index), 'objects': json.dumps(objects)}
    write_whole(path, save(tensors, head))


def load_state(path: Path) -> ClipState:
    """
    Read a state.

    :raises OutputError: if it is damaged
    """
    from safetensors import safe_open, SafetensorError

    try:
        with safe_open(path, framework='pt') as file:
            head = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        objects = tuple(_known(entry, tensors) for entry in json.loads(head['objects']))
        return ClipState(int(head['index']), objects)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f'{path} is damaged, the run cannot be resumed; start it without '
                          f'--resume: {error}') from error


def _known(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> KnownObject:
    prefix = f'{entry["object_id"]}{_SEPARATOR}'
    visibility = Visibility(ObjectState(entry['state']), entry['hidden_since_ns'])
    memory = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()
              if name.startswith(prefix)}
    return KnownObject(entry['object_id'], entry['label'], visibility, memory)
