# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A memory on its way: what prompted frames taught (a bank), and a whole state to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
import hashlib
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING

from sam2_tracker.core.engine.memory.belief import Standing
from sam2_tracker.core.engine.memory.entry import (
    Entry,
    READ_LATER,
    RELIED_ON,
    SEEN,
    Seen,
)
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory, own_memory
from sam2_tracker.core.errors import ModelError, PromptError
from sam2_tracker.core.protocols import Memory
from sam2_tracker.core.text import shown
import torch
from torch import nn

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base

_BANK_FIELDS = ('maps', 'pointers', 'score_logits')
_KINDS = ('cond', 'tracked', 'anchor')
# What is believed of the newest frames.
_STANDING = 'standing'
_DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
# Measured with nano: what it learns is below 45, and scores are no numbers any more from about
# 1e19 on, where a square is infinite in float32.
LARGEST_VALUE = 10_000.0


@dataclass(frozen=True, eq=False)
class CondBank:
    """
    The memory of C prompted frames of one object: tensors and a few words, as safetensors has it.

    :param maps: (C, mem_dim, h, w) bfloat16, the memory maps
    :param pointers: (C, hidden_dim) object pointers
    :param score_logits: (C, 1) object scores before the sigmoid
    :param model: fingerprint of the weights that made it, which alone can read it
    :param image_size: side of that model's square input in pixels
    """

    maps: torch.Tensor
    pointers: torch.Tensor
    score_logits: torch.Tensor
    model: str
    image_size: int

    def __len__(self) -> int:
        return len(self.maps)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors to be written to a file, on the CPU."""
        return {name: getattr(self, name).cpu().contiguous() for name in _BANK_FIELDS}

    def metadata(self) -> dict[str, str]:
        """Return the words to be written beside the tensors."""
        return {'model': self.model, 'image_size': str(self.image_size)}

    @classmethod
    def read(cls, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> CondBank:
        """
        Make a bank of what a file holds.

        :raises ModelError: if something is missing or cannot be
        """
        missing = [name for name in _BANK_FIELDS if name not in tensors]
        missing += [name for name in ('model', 'image_size') if name not in metadata]
        if missing:
            raise ModelError(f'object memory file without {", ".join(missing)}')
        _refuse_unlikely(tensors)
        if not re.fullmatch(r'[0-9]{1,6}', metadata['image_size']):
            raise ModelError(
                f'object memory file with image size {shown(metadata["image_size"])}')
        return cls(tensors['maps'], tensors['pointers'], tensors['score_logits'],
                   metadata['model'], int(metadata['image_size']))


def export_cond(memory: ObjectMemory, model: str, image_size: int) -> CondBank:
    """
    Gather what is remembered of an object's prompted frames, in the order of their prompts.

    :param model: fingerprint of the weights
    :raises PromptError: if the object was never prompted
    """
    entries = list(memory.cond.values())
    if not entries:
        raise PromptError('an object that was never prompted has no memory to export')
    return CondBank(torch.cat([entry['maskmem_features'] for entry in entries]),
                    torch.cat([entry['obj_ptr'] for entry in entries]),
                    torch.cat([entry['object_score_logits'] for entry in entries]),
                    model, image_size)


def import_cond(memory: ObjectMemory, bank: CondBank, position: torch.Tensor) -> None:
    """
    Remember prompted frames of another sequence as the frames -C, ..., -2, -1 of this one.

    :param position: the memory maps' position encoding, (1, mem_dim, h, w)
    """
    device = position.device
    for row in range(len(bank)):
        one = slice(row, row + 1)
        memory.cond[row - len(bank)] = {
            'maskmem_features': bank.maps[one].to(device), 'maskmem_pos_enc': [position],
            'pred_masks': None, 'obj_ptr': bank.pointers[one].to(device),
            'object_score_logits': bank.score_logits[one].to(device)}


def refuse_misshapen(path: Path, bank: CondBank, model: SAM2Base) -> None:
    """
    Make sure that a model can read a bank.

    :param path: the file that it is from
    :raises ModelError: if its tensors are of other sizes than the model's
    """
    side = model.image_size // model.backbone_stride
    expected = ((model.mem_dim, side, side), (model.hidden_dim,), (1,))
    found = (bank.maps.shape[1:], bank.pointers.shape[1:], bank.score_logits.shape[1:])
    if tuple(map(tuple, found)) != expected:
        raise ModelError(f'{path} is damaged: its tensors are '
                         f'{", ".join(str(tuple(shape)) for shape in found)}, this model has '
                         f'{", ".join(map(str, expected))}')


def fingerprint(model: nn.Module) -> str:
    """Return a hash of all weights: equal for equal models wherever and as whatever they lie."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f'{name} {tuple(tensor.shape)}'.encode())
        # Weights may be held in half precision, which must not make them others.
        rounded = tensor.detach().to('cpu', torch.bfloat16).contiguous()
        digest.update(rounded.view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _refuse_unlikely(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, dimensions in zip(_BANK_FIELDS, (4, 2, 2), strict=True):
        if tensors[name].dim() != dimensions or tensors[name].dtype not in _DTYPES:
            raise ModelError(f'object memory file whose {name} are {tensors[name].dtype} of '
                             f'shape {tuple(tensors[name].shape)}')
        if not bool(tensors[name].isfinite().all()):
            raise ModelError(f'object memory file whose {name} are not all numbers')
        largest = float(tensors[name].abs().max()) if tensors[name].numel() else 0.0
        if largest > LARGEST_VALUE:
            raise ModelError(f'object memory file whose {name} go up to {largest:.6g}: at most '
                             f'{LARGEST_VALUE:g} is accepted, far more than any model learns')
    if len({len(tensors[name]) for name in _BANK_FIELDS}) != 1 or not len(tensors['maps']):
        raise ModelError('object memory file whose tensors are empty or differ in length')


def state_of(memory: Memory) -> dict[str, torch.Tensor] | None:
    """
    Return what the frames after the newest can read, by names that say where it belongs.

    :returns: None after a prompt on the newest frame: its memory is encoded with the next one
    """
    own = own_memory(memory)
    own.take_in()
    if own.unsettled:
        return None
    found = {}
    for kind, entries in zip(_KINDS, (own.cond, own.tracked, own.anchors), strict=True):
        # SAM 2 reads them in the order in which they came.
        for order, (index, entry) in enumerate(entries.items()):
            for field in READ_LATER:
                if entry[field] is not None:
                    found[f'{kind}.{order}.{index}.{field}'] = entry[field].cpu().contiguous()
            if SEEN in entry:
                found[f'{kind}.{order}.{index}.{SEEN}'] = _plain(entry[SEEN].numbers)
            if RELIED_ON in entry:
                found[f'{kind}.{order}.{index}.{RELIED_ON}'] = torch.tensor(entry[RELIED_ON])
    for order, (index, standing) in enumerate(own.beliefs.standings.items()):
        found[f'{_STANDING}.{order}.{index}.{SEEN}'] = _plain(standing.numbers)
    return found


def _plain(numbers: Iterable[float]) -> torch.Tensor:
    return torch.tensor(tuple(numbers), dtype=torch.float64)


def _flag(tensor: torch.Tensor) -> bool:
    if tensor.dtype != torch.bool:
        raise ValueError(f'{tensor.dtype} is neither true nor false')
    return bool(tensor.item())


# What policies learnt, and how it is read from a tensor.
_LEARNT: dict[str, Callable[[torch.Tensor], Any]] = {SEEN: Seen.of_numbers, RELIED_ON: _flag}


def restore(memory: ObjectMemory, state: Mapping[str, Any], position: torch.Tensor) -> None:
    """
    Remember what a state holds, to track on with.

    :param memory: an empty one
    :param state: as `state_of` gave it
    :param position: the memory maps' position encoding, (1, mem_dim, h, w)
    :raises ModelError: if it is not such a state
    """
    try:
        standings = {name: tensor for name, tensor in state.items()
                     if name.startswith(f'{_STANDING}.')}
        entries = _entries({name: tensor for name, tensor in state.items()
                            if name not in standings}, memory.policy.learnt)
        _check_maps(entries, position)
        memory.beliefs.standings.update(_standings(standings))
    except (ValueError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        raise ModelError(f'the state of an object cannot be read: {error!r}') from error
    targets = memory.cond, memory.tracked, memory.anchors
    for kind, target in zip(_KINDS, targets, strict=True):
        for (_, index), entry in sorted(entries[kind].items()):
            target[index] = {**_on(position.device, entry), 'maskmem_pos_enc': [position]}


def _entries(state: Mapping[str, Any], learnt: Sequence[str]
             ) -> dict[str, dict[tuple[int, int], Entry]]:
    """
    Return each kind's entries by order and frame.

    :param learnt: what must be known of tracked frames beside what the model remembers
    """
    entries: dict[str, dict[tuple[int, int], Entry]] = {kind: {} for kind in _KINDS}
    for name, tensor in state.items():
        kind, order, frame, field = name.split('.')
        if field not in (*READ_LATER, *_LEARNT):
            raise ValueError(f'{name} is unknown')
        key = int(order), int(frame)
        entry = entries[kind].setdefault(key, dict.fromkeys((*READ_LATER, 'pred_masks')))
        entry[field] = _LEARNT[field](tensor) if field in _LEARNT else tensor
    # Maps of tracked frames are forgotten before their pointers.
    needed = dict(zip(_KINDS, (READ_LATER, ('obj_ptr', *learnt), READ_LATER), strict=True))
    missing = (f'{kind}.{order}.{frame} has no {field}' for kind, fields in needed.items()
               for (order, frame), entry in entries[kind].items() for field in fields
               if entry.get(field) is None)
    fault = next(missing, None) if entries['cond'] else 'it has no prompted frame'
    if fault:
        raise ValueError(f'something is missing: {fault}')
    return entries


def _check_maps(entries: Mapping[str, Mapping[tuple[int, int], Entry]],
                position: torch.Tensor) -> None:
    """
    Make sure that memory maps are of the size that the model has.

    :param position: their position encoding, (1, mem_dim, h, w)
    :raises ValueError: if they are not
    """
    needed = list(position.shape[1:])
    for (_, frame), entry in (item for kind in entries.values() for item in kind.items()):
        maps = entry.get('maskmem_features')
        if maps is not None and list(maps.shape[1:]) != needed:
            raise ValueError(f'the memory map of frame {frame} is {list(maps.shape[1:])}, this '
                             f"model's are {needed}: another image size made it")


def _standings(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[int, Standing]]:
    for name, numbers in state.items():
        _, _, frame, _ = name.split('.')
        yield int(frame), Standing.of_numbers(numbers.tolist())


def _on(device: torch.device, entry: Entry) -> Entry:
    return {field: value.to(device) if isinstance(value, torch.Tensor) else value
            for field, value in entry.items()}
