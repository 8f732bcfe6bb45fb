# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Change valid inputs a little: bytes, trees of JSON, texts; equally for equal seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
import struct
from typing import Any

_HEAD_BYTES = 700
_FIELDS = (0, 1, 2, 127, 128, 255, 32767, 32768, 65535)
_DEEPEST = 4
ODD_VALUES: tuple[Any, ...] = (
    None, 0, -1, 1, 1.5, True, '', 'x', [], {}, [1], 10 ** 30, -1e308, float('nan'), '\ud800',
    'BF16', 'F32', 'I8', [1, 64, 4, 4], [0, 512], [0, 2 ** 62], '9' * 5000, '²')


def _place(content: bytearray, random: Random) -> int:
    # Most of what decides lies in the head.
    reach = len(content) if random.random() < 0.5 else min(len(content), _HEAD_BYTES)
    return random.randrange(max(1, reach))


def _flip(content: bytearray, random: Random) -> None:
    content[_place(content, random)] ^= 1 << random.randrange(8)


def _extreme(content: bytearray, random: Random) -> None:
    content[_place(content, random)] = random.choice((0, 1, 127, 128, 254, 255))


def _delete(content: bytearray, random: Random) -> None:
    place = _place(content, random)
    del content[place:place + random.randrange(1, 60)]


def _insert(content: bytearray, random: Random) -> None:
    place = _place(content, random)
    content[place:place] = random.randbytes(random.randrange(1, 20))


def _field(content: bytearray, random: Random) -> None:
    place = _place(content, random)
    content[place:place + 2] = struct.pack(random.choice(('>H', '<H')), random.choice(_FIELDS))


def _splice(content: bytearray, random: Random) -> None:
    place, source = _place(content, random), _place(content, random)
    content[place:place] = content[source:source + random.randrange(1, 80)]


def _truncate(content: bytearray, random: Random) -> None:
    del content[random.randrange(len(content)):]


_CHANGES: Sequence[Callable[[bytearray, Random], None]] = (
    _flip, _flip, _extreme, _delete, _insert, _field, _splice)


def mutate(content: bytes, random: Random, times: int = 0) -> bytes:
    """
    Return changed bytes.

    :param times: how many changes; 0 for one, a few, seldom many
    """
    changed = bytearray(content)
    for _ in range(times or random.choice((1, 1, 2, 3, 8, 30))):
        if not changed:
            changed = bytearray(b'\0')
        random.choice(_CHANGES)(changed, random)
    if changed and random.random() < 0.05:
        _truncate(changed, random)
    return bytes(changed)


def mutate_tree(node: Any, random: Random, depth: int = 0) -> None:
    """Change one place of a tree of dicts and lists."""
    if not isinstance(node, (dict, list)) or not node:
        return
    key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
    chance = random.random()
    if isinstance(node[key], (dict, list)) and node[key] and chance < 0.6 and depth < _DEEPEST:
        mutate_tree(node[key], random, depth + 1)
    elif chance < 0.75 or isinstance(node, list):
        node[key] = random.choice(ODD_VALUES)
    elif chance < 0.85:
        node.pop(key)
    else:
        node[random.choice(('a', '', '1.maps', '__metadata__', f'{key}x'))] = random.choice(
            ODD_VALUES)


def mutate_words(content: bytes, words: Sequence[str], random: Random) -> bytes:
    """Replace a word of a text by one of a list, or by another word of the text."""
    parts = content.replace(b'\n', b' \n ').split(b' ')
    place = random.randrange(len(parts))
    parts[place] = (random.choice(words).encode() if random.random() < 0.8
                    else random.choice(parts))
    return b' '.join(parts).replace(b' \n ', b'\n')
