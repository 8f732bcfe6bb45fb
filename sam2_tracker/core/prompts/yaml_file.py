# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
YAML files of a user, read so that nothing in one can be dropped, run, or grow.

Values are those of YAML 1.2 (`no` is a text, `010` is ten), of nulls, switches, numbers, texts,
lists and mappings. A key twice is refused, and so are aliases, merge keys and other tags. Nothing
here recurses or takes long without coming back to the interpreter: Ctrl-C works.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
import re
from typing import Any

from sam2_tracker.core.errors import one_line, PromptError, reason
from sam2_tracker.core.plain_file import read_whole
from sam2_tracker.core.text import shown
import yaml

# 10,000 entries of 400 characters.
MOST_BYTES = 4 << 20
# A list that grows beyond is refused there, before the rest costs seconds of parsing.
MOST_ITEMS = 10_000
# A prompts file has five: its mapping, the list, an entry, its points, a point.
DEEPEST = 16
# What a 64-bit integer takes in any case.
MOST_DIGITS = 18

# the same events; libyaml's take a tenth of the time, and are in every wheel of PyYAML
_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)

_TAG = 'tag:yaml.org,2002:'
_NULL = re.compile(r'~|null|Null|NULL|')
_SWITCH = re.compile(r'true|True|TRUE|false|False|FALSE')
_WHOLE = re.compile(r'[-+]?[0-9]+')
_NUMBER = re.compile(r'[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?')
# JSON writes a character beyond 16 bits as two escapes; a backslash that is escaped begins none.
_PAIR = re.compile(
    r'\\\\|\\u(?P<high>d[89ab][0-9a-f]{2})\\u(?P<low>d[c-f][0-9a-f]{2})', re.IGNORECASE)
_NO_NUMBER = re.compile(r'([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)')


class LinedList(list[Any]):
    """
    A list that knows where its items are.

    :ivar lines: each item's line, from 1
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def load_yaml(path: Path, text_keys: Collection[str] = ()) -> Any:
    """
    Read a file; its lists are `LinedList`.

    :param text_keys: what stands behind these keys is text as it is written, `007` for example
    :raises PromptError: with the line, if it cannot be read, is no such YAML or is too large
    """
    try:
        text = read_whole(path, MOST_BYTES).decode('utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f'{path}: cannot be read: {reason(error)}') from error
    if text.lstrip()[:1] in ('{', '['):
        text = _PAIR.sub(_character, text)
    reader = _Reader(path, text_keys)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.YAMLError as error:
        raise PromptError(f'{path}: is not YAML: {one_line(error)}') from error
    except (ValueError, OverflowError) as error:
        # PyYAML itself, of an escape that is no character or a version that is no number.
        raise PromptError(f'{path}: is not YAML: {error}') from error
    return reader.content


def _character(found: re.Match[str]) -> str:
    """Return what two escapes of JSON stand for, which YAML does not put together."""
    if found['high'] is None:
        return found[0]
    return bytes.fromhex(found['high'] + found['low']).decode('utf-16-be')


class _Mapping:
    """A mapping that is being read: the line of each key, and the key whose value comes next."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.lines: dict[str, int] = {}
        self.key: str | None = None


class _Reader:
    """
    Puts the parser's events together.

    :ivar content: what the file says, None for nothing
    """

    def __init__(self, path: Path, text_keys: Collection[str]) -> None:
        self.content: Any = None
        self._path = path
        self._text_keys = text_keys
        self._open: list[_Mapping | LinedList] = []
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event in."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._refusal(line, 'a second document begins: one is expected')
        elif isinstance(event, yaml.AliasEvent):
            raise self._refusal(line, f'alias *{event.anchor}: write out what it stands for')
        elif isinstance(event, yaml.ScalarEvent):
            self._put(line, event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._begin(line, event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._end(line)

    def _refusal(self, line: int, reason: str) -> PromptError:
        return PromptError(f'{self._path}, line {line}: {reason}')

    def _begin(self, line: int, event: yaml.CollectionStartEvent) -> None:
        is_list = isinstance(event, yaml.SequenceStartEvent)
        if event.tag not in (None, '!', _TAG + ('seq' if is_list else 'map')):
            raise self._refusal(line, f'tag {shown(event.tag)} is not accepted')
        if self._is_at_key():
            raise self._refusal(line, 'a key that is no text')
        if len(self._open) == DEEPEST:
            raise self._refusal(line, f'lists or mappings more than {DEEPEST} deep')
        self._note_line(line)
        self._open.append(LinedList() if is_list else _Mapping())

    def _end(self, line: int) -> None:
        ended = self._open.pop()
        self._add(ended.values if isinstance(ended, _Mapping) else ended)

    def _is_at_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], _Mapping) and (
            self._open[-1].key is None)

    def _note_line(self, line: int) -> None:
        if not self._open or not isinstance(self._open[-1], LinedList):
            return
        lines = self._open[-1].lines
        if len(lines) == MOST_ITEMS:
            raise self._refusal(
                line, f'a list of more than {MOST_ITEMS} items: at most {MOST_ITEMS} are taken')
        lines.append(line)

    def _put(self, line: int, event: yaml.ScalarEvent) -> None:
        if self._is_at_key():
            self._begin_entry(line, event)
            return
        self._note_line(line)
        self._add(self._value(line, event))

    def _begin_entry(self, line: int, event: yaml.ScalarEvent) -> None:
        mapping, key = self._open[-1], event.value
        assert isinstance(mapping, _Mapping)
        if key == '<<' and event.implicit[0]:
            raise self._refusal(line, "merge key '<<': write out what it stands for")
        if key in mapping.lines:
            raise self._refusal(
                line, f'{shown(key)} is there twice, in line {mapping.lines[key]} too: '
                'one of them would be lost')
        mapping.lines[key] = line
        mapping.key = key

    def _add(self, value: Any) -> None:
        if not self._open:
            self.content = value
            return
        parent = self._open[-1]
        if isinstance(parent, LinedList):
            parent.append(value)
        else:
            assert parent.key is not None
            parent.values[parent.key] = value
            parent.key = None

    def _value(self, line: int, event: yaml.ScalarEvent) -> Any:
        text = event.value
        parent = self._open[-1] if self._open else None
        if event.tag in ('!', f'{_TAG}str') or (event.tag is None and not event.implicit[0]):
            return text
        if event.tag is not None:
            raise self._refusal(line, f'tag {shown(event.tag)} is not accepted')
        if isinstance(parent, _Mapping) and parent.key in self._text_keys:
            return None if _NULL.fullmatch(text) else text
        if _WHOLE.fullmatch(text) and len(text.lstrip('+-')) > MOST_DIGITS:
            raise self._refusal(
                line, f'the number {shown(text)} has more than {MOST_DIGITS} digits')
        return _plain_value(text)


def _plain_value(text: str) -> Any:
    """Return what a text without quotes means."""
    if _NULL.fullmatch(text):
        return None
    if _SWITCH.fullmatch(text):
        return text.lower() == 'true'
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    infinite = _NO_NUMBER.fullmatch(text)
    if infinite is None:
        return text
    return float(f'{infinite[1]}inf') if infinite[2] else float('nan')
