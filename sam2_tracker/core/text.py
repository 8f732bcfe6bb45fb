# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What a text from outside may be: names are shown, logged, published and written to files."""

from __future__ import annotations

import re
import unicodedata

LONGEST_TEXT = 256
# Of a path, as Linux has it.
LONGEST_PATH = 4096
# Control characters (terminal escapes begin with one), invisible and reordering ones, halves of
# surrogate pairs, which no encoding takes, and separators of lines and paragraphs.
_UNPRINTABLE = {'Cc', 'Cf', 'Cs', 'Zl', 'Zp'}
# Words of several scripts and pictograms are joined by these.
_JOINERS = {'\u200c', '\u200d'}
_LONGEST_SHOWN = 200
# A node or a topic in ROS: relative, private or from the root.
ROS_NAME = '(~?/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*'
_STAMP = re.compile(r'([0-9]{1,10})(?:\.([0-9]{1,9}))?')


def text_fault(text: str, longest: int = LONGEST_TEXT) -> str:
    """
    Say what is wrong with a text from outside, '' if nothing is.

    :param longest: most characters
    :returns: the end of a sentence that begins with the text's name
    """
    if len(text) > longest:
        return f'has {len(text)} characters: at most {longest} are accepted'
    if not is_printable(text):
        return (f'{shown(text)} has characters that cannot be printed: text without control '
                'characters is expected')
    return ''


def is_printable(text: str) -> bool:
    """Return whether a text can be encoded and shown without doing anything to a terminal."""
    return text.isprintable() or not any(map(_is_unprintable, text))


def printable(text: str) -> str:
    """Return a text for the log: what cannot be printed is escaped as in a Python literal."""
    if text.isprintable():
        return text
    return ''.join(
        repr(character)[1:-1] if _is_unprintable(character) else character for character in text
    )


def printable_lines(text: str) -> str:
    """Return a text for the log as `printable` does, its lines kept: a fault has a traceback."""
    return '\n'.join(printable(line) for line in text.split('\n'))


def stamp_in(text: str) -> int | None:
    """Return the stamp in seconds.nanoseconds, as ROS tools print it; None if it is none."""
    match = _STAMP.fullmatch(text)
    return int(match[1]) * 10**9 + int((match[2] or '0').ljust(9, '0')) if match else None


def counted(number: int, noun: str) -> str:
    """Say how many there are of something."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def shown(value: object) -> str:
    """Return a value as a message shows it: quoted if it is a text, cut short if it is long."""
    written = repr(value)
    if len(written) <= _LONGEST_SHOWN:
        return written
    return f'{written[:_LONGEST_SHOWN]}... ({len(written)} characters)'


def _is_unprintable(character: str) -> bool:
    return unicodedata.category(character) in _UNPRINTABLE and character not in _JOINERS
