# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Files of tensors and a few words, in the safetensors format, read and written as bytes.

The format's own way to open a file leaves it mapped for as long as a tensor of it lives: whoever
shortens the file then ends the process, and whoever writes into it changes the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from sam2_tracker.core.plain_file import read_whole
import torch

# 1000 objects with 4 prompted frames of 0.5 MB each: the most tracked at once, as it comes.
MOST_BYTES = 2 << 30
_LENGTH_BYTES = 8


class DamagedFileError(ValueError):
    """A file is not of the format, or not all of it is there."""


@dataclass(frozen=True, eq=False)
class TensorFile:
    """
    What such a file holds.

    :param words: its metadata
    :param tensors: on the CPU, with memory of their own
    """

    words: dict[str, str]
    tensors: dict[str, torch.Tensor]


def tensor_file_bytes(tensors: Mapping[str, torch.Tensor], words: Mapping[str, str]) -> bytes:
    """
    Return the content of a file, the same bytes for the same content.

    The format's own writer puts the words into another order each time, and refuses tensors that
    share memory, as an anchor does with the frame that it was learnt from.
    """
    written = save(_apart(tensors), dict(words))
    begin = _LENGTH_BYTES + int.from_bytes(written[:_LENGTH_BYTES], 'little')
    head = json.loads(written[_LENGTH_BYTES:begin])
    head['__metadata__'] = dict(sorted(words.items()))
    text = json.dumps(head, separators=(',', ':')).encode()
    # Tensors begin at a multiple of eight, as the format's writer has it.
    text += b' ' * (-len(text) % _LENGTH_BYTES)
    length = len(text).to_bytes(_LENGTH_BYTES, 'little')
    return b''.join((length, text, memoryview(written)[begin:]))


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy each tensor whose memory one before it has."""
    apart: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in taken else tensor
        taken.add(place)
    return apart


def read_tensor_file(path: Path) -> TensorFile:
    """
    Read a file; what becomes of it later changes nothing.

    :raises OSError: it cannot be read, is no regular file or too large
    :raises DamagedFileError: it is not of the format
    """
    content = read_whole(path, MOST_BYTES)
    try:
        # This checks the head; reading the words from it again is all that is left.
        tensors = load(content)
    except SafetensorError as error:
        raise DamagedFileError(str(error)) from error
    return TensorFile(_words(content), tensors)


def _words(content: bytes) -> dict[str, str]:
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], 'little')
    words: dict[str, str] = json.loads(content[_LENGTH_BYTES:end]).get('__metadata__') or {}
    return words
