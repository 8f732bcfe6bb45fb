# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the measurement of accuracy refuses before it measures."""

from __future__ import annotations

from benchmarks.accuracy import parse_arguments
import pytest


@pytest.mark.parametrize('line, sentence', [
    ('--prompts mask,lasso', "--prompts takes some of mask,box,click, not 'lasso'"),
    ('--frames 0', '--frames must be 3 or more'),
    ('--frames -3', '--frames must be 3 or more'),
    ('--frames 2', '--frames must be 3 or more'),
    ('--frames 40 --check', '--check compares with figures of whole sequences'),
])
def test_what_would_measure_nothing_or_something_else_is_refused(
        line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(line.split())
    assert sentence in capsys.readouterr().err


def test_few_frames_of_few_sequences_are_measured() -> None:
    assert parse_arguments(['--frames', '3', '--prompts', 'box,click']).frames == 3
