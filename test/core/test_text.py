# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Texts from outside: which are taken, and that none reaches a log as it must not."""

from __future__ import annotations

import pickle

import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.text import printable, printable_lines, shown, text_fault

UNPRINTABLE = ['\ud800', 'a\udcffb', '\x1b[31mred', 'a\nb', 'a\0b', '\x9b2J', '\u202eabc',
               'a\u2028b', '\ufeffa', '\x7f']
PRINTABLE = ['', 'cup', 'Größe 3', '青い\u3000箱', 'می\u200cخواهم', '👩\u200d🚒', 'a\u00a0b',
             'c"\\\'']


@pytest.mark.parametrize('text', UNPRINTABLE)
def test_a_text_that_cannot_be_encoded_or_shown_is_refused(text: str) -> None:
    assert 'has characters that cannot be printed' in text_fault(text)
    assert text_fault(text).isprintable()


@pytest.mark.parametrize('text', PRINTABLE)
def test_names_in_any_script_are_taken_and_logged_as_they_are(text: str) -> None:
    assert text_fault(text) == '' and printable(text) == text


def test_a_text_has_at_most_256_characters() -> None:
    assert text_fault('é' * 256) == ''
    assert text_fault('é' * 257) == 'has 257 characters: at most 256 are accepted'


@pytest.mark.parametrize('text', UNPRINTABLE)
def test_no_refusal_takes_over_a_terminal_whatever_it_quotes(text: str) -> None:
    error = PromptError(f'{text} is no file')
    assert str(error).isprintable() and str(error).endswith(' is no file')
    assert str(error).encode()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_value_is_shown_cut_short() -> None:
    assert shown([1] * 1000) == f'[{"1, " * 66}1... (3000 characters)'
    assert shown('cup') == "'cup'"


def test_a_traceback_keeps_its_lines_in_the_log_and_takes_over_no_terminal() -> None:
    written = printable_lines('a fault:\n  line \x1b[2J\n\ttab')
    assert written == 'a fault:\n  line \\x1b[2J\n\\ttab'
