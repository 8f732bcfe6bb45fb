# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""One object's whole memory as plain tensors, so that tracking goes on exactly in another run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TYPE_CHECKING

import torch

from sam2_tracker.core.engine.checks import own_memory
from sam2_tracker.core.engine.memory.object_memory import Entry, ObjectMemory
from sam2_tracker.core.engine.memory.transfer import CondBank
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.protocols import Memory

if TYPE_CHECKING:
    from sam2_tracker.core.engine.predictor import Predictor

# What later frames read of a frame; how its mask looked is not among it.
_FIELDS = ('maskmem_features', 'obj_ptr', 'object_score_logits')
_KINDS = ('cond', 'tracked')


def state_of(memory: Memory) -> dict[str, torch.Tensor] | None:
    """
    Return what the frames after the newest can read, by names that say where it belongs.

    :returns: None after a prompt on the newest frame: its memory is encoded with the next one
    """
    own = own_memory(memory)
    if own.unsettled:
        return None
    found = {}
    for kind, entries in zip(_KINDS, (own.cond, own.tracked), strict=True):
        # SAM 2 reads them in the order in which they came.
        for order, (index, entry) in enumerate(entries.items()):
            for field in _FIELDS:
                if entry[field] is not None:
                    found[f'{kind}.{order}.{index}.{field}'] = entry[field].cpu().contiguous()
    return found


def restored(predictor: Predictor, video_hw: tuple[int, int],
             state: Mapping[str, Any]) -> ObjectMemory:
    """
    Return a memory to track on with.

    :param video_hw: height and width of the source images
    :param state: as `state_of` gave it
    :raises ModelError: if it is not such a state
    """
    try:
        entries = _entries(state)
    except (ValueError, KeyError) as error:
        raise ModelError(f'the state of an object cannot be read: {error!r}') from error
    memory = predictor.new_memory(video_hw)
    position = _position(predictor, video_hw, next(iter(entries['cond'].values())))
    for kind, target in zip(_KINDS, (memory.cond, memory.tracked), strict=True):
        for (_, index), entry in sorted(entries[kind].items()):
            target[index] = {**_on(position, entry), 'maskmem_pos_enc': [position]}
    return memory


def _entries(state: Mapping[str, Any]) -> dict[str, dict[tuple[int, int], Entry]]:
    """Return each kind's entries by order and frame."""
    entries: dict[str, dict[tuple[int, int], Entry]] = {kind: {} for kind in _KINDS}
    for name, tensor in state.items():
        kind, order, frame, field = name.split('.')
        if field not in _FIELDS:
            raise ValueError(f'{name} is unknown')
        key = int(order), int(frame)
        entry = entries[kind].setdefault(key, dict.fromkeys((*_FIELDS, 'pred_masks')))
        entry[field] = tensor
    cond, tracked = (list(entries[kind].values()) for kind in _KINDS)
    # Maps of tracked frames are forgotten before their pointers.
    found = [entry[field] for entry in cond for field in _FIELDS]
    found += [entry['obj_ptr'] for entry in tracked]
    if not cond or any(tensor is None for tensor in found):
        raise ValueError('something is missing')
    return entries


def _on(position: torch.Tensor, entry: Entry) -> Entry:
    return {field: None if value is None else value.to(position.device)
            for field, value in entry.items()}


def _position(predictor: Predictor, video_hw: tuple[int, int], entry: Entry) -> torch.Tensor:
    """Return the memory maps' position encoding, which is the same for all of a model's maps."""
    maps, pointer, score = (entry[field] for field in _FIELDS)
    bank = CondBank(maps, pointer, score, predictor.fingerprint(), predictor.image_size)
    probe = predictor.new_memory(video_hw)
    predictor.import_cond(probe, bank)
    position: torch.Tensor = probe.cond[-1]['maskmem_pos_enc'][0]
    return position
