# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts in a YAML file, for the node and for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sam2_tracker.core.errors import PromptError, reason
from sam2_tracker.core.prompts.mask_pictures import MaskPictures
from sam2_tracker.core.prompts.mask_pixels import one_mask_in
from sam2_tracker.core.prompts.yaml_file import LinedList, load_yaml
from sam2_tracker.core.text import LONGEST_PATH, LONGEST_TEXT, shown, stamp_in, text_fault
from sam2_tracker.core.types import BoolArray, Float32Array, Int32Array, MAX_OBJECT_ID, Prompt

WHEN = ('frame', 'time_s', 'stamp')
KEYS = (*WHEN, 'source', 'object', 'label', 'points', 'point_labels', 'box', 'mask')
# A stamp of a frame, in nanoseconds, has 64 bits.
MOST_SECONDS = 9_000_000_000
# What stands behind them is taken as it is written.
TEXTS = ('source', 'label', 'mask')


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
    content = load_yaml(path, text_keys=TEXTS)
    entries = content.get('prompts') if isinstance(content, dict) else None
    if not isinstance(entries, LinedList):
        raise PromptError(f"{path}: has no list 'prompts:' at the top")
    masks = MaskPictures()
    return PromptFile(
        path,
        tuple(
            _Entry(path, position, line, entry, masks).parse()
            for position, (line, entry) in enumerate(zip(entries.lines, entries, strict=True), 1)
        ),
    )


class _Entry:
    """One entry of the list, being understood."""

    def __init__(self, path: Path, position: int, line: int, values: Any,
                 masks: MaskPictures) -> None:
        self._folder = path.parent
        self._masks = masks
        self._where = f'{path}, line {line} (prompt {position})'
        if not isinstance(values, Mapping):
            raise self._refusal(f'{shown(values)} is not a prompt: it has no keys')
        self._values = values

    def _refusal(self, reason: str) -> PromptError:
        return PromptError(f'{self._where}: {reason}')

    def parse(self) -> FilePrompt:
        """Return the entry's meaning."""
        for key in self._values:
            if key not in KEYS:
                raise self._refusal(f'unknown key {shown(key)}; known are {", ".join(KEYS)}')
        given = [key for key in WHEN if self._values.get(key) is not None]
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
            raise self._refusal(f'frame {shown(value)} is not a number from 0')
        return value

    def _time_s(self) -> float | None:
        value = self._values.get('time_s')
        if value is None:
            return None
        if not _is_number(value) or not 0 <= value <= MOST_SECONDS:
            raise self._refusal(
                f'time_s {shown(value)} is not a number of seconds from 0 to {MOST_SECONDS}')
        return float(value)

    def _stamp_ns(self) -> int | None:
        value = self._values.get('stamp')
        if value is None:
            return None
        stamp_ns = stamp_in(str(value)) if isinstance(value, (str, int)) else None
        if stamp_ns is None:
            raise self._refusal(
                f'stamp {shown(value)} is not seconds.nanoseconds in quotes, as '
                "'1700000000.125000000'"
            )
        return stamp_ns

    def _text(self, key: str, longest: int = LONGEST_TEXT) -> str:
        value = self._values.get(key)
        if isinstance(value, (Mapping, list)):
            raise self._refusal(f'{key} {shown(value)} is not a text')
        text = '' if value is None else str(value)
        fault = text_fault(text, longest)
        if fault:
            raise self._refusal(f'{key} {fault}')
        return text

    def _prompt(self) -> Prompt:
        object_id = self._values.get('object', 0)
        if not _is_whole(object_id) or not 0 <= object_id <= MAX_OBJECT_ID:
            raise self._refusal(
                f'object {shown(object_id)} is not an id from 1 to {MAX_OBJECT_ID}'
            )
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
        points = self._values.get('points')
        if points is None:
            points = []
        if not isinstance(points, list) or not all(_are_numbers(point, 2) for point in points):
            raise self._refusal(f'points {shown(points)} is not a list of [x, y]')
        # A number that is too large for them is infinite, and refused with the prompt.
        with np.errstate(over='ignore'):
            return np.array(points, np.float64).reshape(-1, 2).astype(np.float32)

    def _labels(self, point_count: int) -> Int32Array:
        labels = self._values.get('point_labels')
        if labels is None:
            return np.ones(point_count, np.int32)
        if not isinstance(labels, list) or not all(_is_whole(label) for label in labels):
            raise self._refusal(
                f'point_labels {shown(labels)} is not a list of 1 (add) and 0 (remove)'
            )
        # Any other whole number is refused with the prompt, whatever its size.
        return np.clip(np.array(labels, np.float64), -1, 2).astype(np.int32)

    def _box(self) -> Float32Array | None:
        box = self._values.get('box')
        if box is None:
            return None
        if not _are_numbers(box, 4):
            raise self._refusal(f'box {shown(box)} is not [left, top, right, bottom]')
        with np.errstate(over='ignore'):
            return np.array(box, np.float64).astype(np.float32)

    def _mask(self) -> BoolArray | None:
        name = self._text('mask', LONGEST_PATH)
        if not name:
            return None
        try:
            return one_mask_in(self._masks.read(self._folder / name))
        except OSError as error:
            raise self._refusal(f'mask {name} cannot be read: {reason(error)}') from error
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
