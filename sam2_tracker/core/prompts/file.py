# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts in a YAML file, for the node and for the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
import re
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
import yaml

from sam2_tracker.core.errors import one_line, PromptError
from sam2_tracker.core.prompts.mask_pixels import one_mask_in
from sam2_tracker.core.types import BoolArray, Float32Array, Int32Array, MAX_OBJECT_ID, Prompt

WHEN = ('frame', 'time_s', 'stamp')
KEYS = (*WHEN, 'source', 'object', 'label', 'points', 'point_labels', 'box', 'mask')
STAMP = re.compile(r'(\d+)(?:\.(\d{1,9}))?')


@dataclass(frozen=True, eq=False)
class FilePrompt:
    """
    One prompt of a file; exactly one of frame, time_s and stamp_ns is set.

    :param where: file, line and position, as messages begin
    :param frame: number of the frame, from 0
    :param time_s: since the first frame
    :param source: the source that it is for, '' for any
    :param prompt: its object_id is the file's own, 0 for a new object
    """

    where: str
    frame: int | None
    time_s: float | None
    stamp_ns: int | None
    source: str
    prompt: Prompt


@dataclass(frozen=True, eq=False)
class PromptFile:
    """A file's prompts, in their order."""

    path: Path
    prompts: tuple[FilePrompt, ...]

    def for_source(self, *names: str) -> PromptFile:
        """
        Return the prompts for one source: those that name it and those that name none.

        :param names: what the source may be called; none for a live stream
        """
        return replace(
            self,
            prompts=tuple(
                each for each in self.prompts if not each.source or each.source in names
            ),
        )


def load_prompt_file(path: Path) -> PromptFile:
    """
    Read a prompts file and its masks.

    :raises PromptError: naming file, line and value, if it cannot be read or means nothing
    """
    try:
        text = path.read_text(encoding='utf-8')
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f'{path}: cannot be read: {error}') from error
    except yaml.YAMLError as error:
        raise PromptError(f'{path}: is not YAML: {one_line(error)}') from error
    if not isinstance(content, dict) or not isinstance(content.get('prompts'), list):
        raise PromptError(f"{path}: has no list 'prompts:' at the top")
    lines = _entry_lines(root)
    return PromptFile(
        path,
        tuple(
            _Entry(path, position, line, entry).parse()
            for position, (line, entry) in enumerate(
                zip(lines, content['prompts'], strict=True), 1
            )
        ),
    )


def _entry_lines(root: Any) -> Iterator[int]:
    entries = next(value for key, value in root.value if key.value == 'prompts')
    return (entry.start_mark.line + 1 for entry in entries.value)


class _Entry:
    """One entry of the list, being understood."""

    def __init__(self, path: Path, position: int, line: int, values: Any) -> None:
        self._folder = path.parent
        self._where = f'{path}, line {line} (prompt {position})'
        if not isinstance(values, Mapping):
            raise self._refusal(f'{values!r} is not a prompt: it has no keys')
        self._values = values

    def _refusal(self, reason: str) -> PromptError:
        return PromptError(f'{self._where}: {reason}')

    def parse(self) -> FilePrompt:
        """Return the entry's meaning."""
        for key in self._values:
            if key not in KEYS:
                raise self._refusal(f'unknown key {key!r}; known are {", ".join(KEYS)}')
        given = [key for key in WHEN if key in self._values]
        if len(given) != 1:
            raise self._refusal(
                f'needs exactly one of {", ".join(WHEN)}; it has {", ".join(given) or "none"}'
            )
        return FilePrompt(
            self._where,
            self._frame(),
            self._time_s(),
            self._stamp_ns(),
            self._text('source'),
            self._prompt(),
        )

    def _frame(self) -> int | None:
        value = self._values.get('frame')
        if value is not None and (not _is_whole(value) or value < 0):
            raise self._refusal(f'frame {value!r} is not a number from 0')
        return value

    def _time_s(self) -> float | None:
        value = self._values.get('time_s')
        if value is None:
            return None
        if not _is_number(value) or not value >= 0 or value == float('inf'):
            raise self._refusal(f'time_s {value!r} is not a number of seconds from 0')
        return float(value)

    def _stamp_ns(self) -> int | None:
        value = self._values.get('stamp')
        if value is None:
            return None
        match = STAMP.fullmatch(str(value)) if isinstance(value, (str, int)) else None
        if match is None:
            raise self._refusal(
                f"stamp {value!r} is not seconds.nanoseconds in quotes, as '1700000000.125000000'"
            )
        return int(match[1]) * 10**9 + int((match[2] or '0').ljust(9, '0'))

    def _text(self, key: str) -> str:
        value = self._values.get(key)
        if isinstance(value, (Mapping, list)):
            raise self._refusal(f'{key} {value!r} is not a text')
        return '' if value is None else str(value)

    def _prompt(self) -> Prompt:
        object_id = self._values.get('object', 0)
        if not _is_whole(object_id) or not 0 <= object_id <= MAX_OBJECT_ID:
            raise self._refusal(f'object {object_id!r} is not an id from 1 to {MAX_OBJECT_ID}')
        points_xy = self._points()
        return Prompt(
            object_id,
            self._text('label'),
            points_xy,
            self._labels(len(points_xy)),
            self._box(),
            self._mask(),
        )

    def _points(self) -> Float32Array:
        points = self._values.get('points') or []
        if not isinstance(points, list) or not all(_are_numbers(point, 2) for point in points):
            raise self._refusal(f'points {points!r} is not a list of [x, y]')
        return np.array(points, np.float32).reshape(-1, 2)

    def _labels(self, point_count: int) -> Int32Array:
        labels = self._values.get('point_labels')
        if labels is None:
            return np.ones(point_count, np.int32)
        if not isinstance(labels, list) or not all(_is_whole(label) for label in labels):
            raise self._refusal(f'point_labels {labels!r} is not a list of 1 (add) and 0 (remove)')
        # Any other whole number is refused with the prompt, whatever its size.
        return np.clip(np.array(labels, np.float64), -1, 2).astype(np.int32)

    def _box(self) -> Float32Array | None:
        box = self._values.get('box')
        if box is None:
            return None
        if not _are_numbers(box, 4):
            raise self._refusal(f'box {box!r} is not [left, top, right, bottom]')
        return np.array(box, np.float32)

    def _mask(self) -> BoolArray | None:
        name = self._text('mask')
        if not name:
            return None
        try:
            with Image.open(self._folder / name) as picture:
                return one_mask_in(picture)
        except (OSError, UnidentifiedImageError) as error:
            raise self._refusal(f'mask {name} cannot be read: {one_line(error)}') from error
        except PromptError as error:
            raise self._refusal(f'mask {name} {error}') from error


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are_numbers(values: object, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(_is_number(value) for value in values)
    )
