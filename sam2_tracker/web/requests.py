# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a page may ask: its messages, checked here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
import json
import math
from typing import Any

import numpy as np
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.text import shown
from sam2_tracker.core.types import MAX_OBJECT_ID, MAX_POINTS, Prompt

# Larger ones end the connection; 256 points take 8 KB.
MAX_MESSAGE_BYTES = 16 * 1024
# More than the tracker takes, which says in its own words what is too long.
LONGEST_TYPED = 1024
LONGEST_STAMP = 20
# The tracker takes '' for no word about the label, and blanks for no label.
NO_LABEL = ' '
_SWITCHES = frozenset({'undo', 'reset', 'list'})
_NAMED = frozenset({'save', 'load'})


class PageError(TrackerError):
    """A message of a page is not one that the console knows."""


@dataclass(frozen=True, eq=False)
class PageRequest:
    """
    What a page asks for.

    :param do: prompt, rename, remove, pause, save, load, undo, reset, list, hello or ack
    :param number: comes back in the answer; 0 for those without one
    :param prompt: for prompt and rename
    """

    do: str
    number: int = 0
    stamp_ns: int = 0
    object_id: int = 0
    prompt: Prompt | None = None
    preview_only: bool = False
    flag: bool = False
    text: str = ''


def parse(message: str) -> PageRequest:
    """
    Read a message of a page.

    :raises PageError: with what is wrong
    """
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        raise PageError('the message is not JSON') from None
    if not isinstance(fields, dict):
        raise PageError('the message is not a JSON object')
    do = _text(fields, 'do', 20)
    if do == 'ack':
        return PageRequest('ack')
    if do == 'hello':
        return PageRequest('hello', text=_text(fields, 'token', LONGEST_TYPED))
    number = _whole(fields, 'n', 1, 2**53)
    if do == 'prompt':
        return PageRequest(
            'prompt', number, _stamp(fields), prompt=_prompt(fields),
            preview_only=_flag(fields, 'preview'))
    if do == 'rename':
        object_id = _whole(fields, 'object', 1, MAX_OBJECT_ID)
        label = _text(fields, 'label', LONGEST_TYPED) or NO_LABEL
        return PageRequest('rename', number, prompt=Prompt(object_id=object_id, label=label))
    if do == 'remove':
        return PageRequest(
            'remove', number, object_id=_whole(fields, 'object', 1, MAX_OBJECT_ID))
    if do == 'pause':
        return PageRequest('pause', number, flag=_flag(fields, 'on'))
    if do in _NAMED:
        return PageRequest(do, number, text=_text(fields, 'name', LONGEST_TYPED))
    if do in _SWITCHES:
        return PageRequest(do, number)
    raise PageError(f'the console does not know {shown(do)}')


def _prompt(fields: dict[str, Any]) -> Prompt:
    points = fields.get('points', [])
    if not isinstance(points, list) or len(points) > MAX_POINTS:
        raise PageError(f'points is not a list of at most {MAX_POINTS}')
    rows = [_numbers(point, 3, 'a point is x, y and 1 or 0') for point in points]
    if any(row[2] not in {0, 1} for row in rows):
        raise PageError('a point is x, y and 1 or 0')
    box = fields.get('box')
    corners = None if box is None else _numbers(box, 4, 'a box is left, top, right and bottom')
    if not rows and corners is None:
        raise PageError('a prompt has points or a box')
    return Prompt(
        object_id=_whole(fields, 'object', 0, MAX_OBJECT_ID),
        points_xy=np.array([row[:2] for row in rows], np.float32).reshape(-1, 2),
        point_labels=np.array([row[2] for row in rows], np.int32),
        box_xyxy=None if corners is None else np.array(corners, np.float32))


def _numbers(value: object, count: int, expected: str) -> list[float]:
    if not isinstance(value, list) or len(value) != count or not all(
            type(each) in {int, float} and math.isfinite(each) and abs(each) < 1e7
            for each in value):
        raise PageError(f'{expected}, all of them numbers')
    return [float(each) for each in value]


def _stamp(fields: dict[str, Any]) -> int:
    text = fields.get('stamp')
    if not isinstance(text, str) or len(text) > LONGEST_STAMP or not (
            text.isascii() and text.isdigit()):
        raise PageError('stamp is not a text of nanoseconds')
    return int(text)


def _whole(fields: dict[str, Any], name: str, least: int, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:
        raise PageError(f'{name} is not a whole number from {least} to {most}')
    return value


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if type(value) is not bool:
        raise PageError(f'{name} is not true or false')
    return value


def _text(fields: dict[str, Any], name: str, longest: int) -> str:
    value = fields.get(name, '')
    if not isinstance(value, str) or len(value) > longest:
        raise PageError(f'{name} is not a text of at most {longest} characters')
    if any('\ud800' <= character <= '\udfff' for character in value):
        raise PageError(f'{name} has half of a character in it')
    return value
