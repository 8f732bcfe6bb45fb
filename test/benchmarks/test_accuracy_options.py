# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the measurement of accuracy refuses before it measures."""

from __future__ import annotations

from pathlib import Path

from benchmarks.accuracy import main, parse_arguments
from benchmarks.sequences import DAVIS, GROUPS
import cv2
import numpy as np
import pytest


@pytest.mark.parametrize('line, sentence', [
    ('--prompts mask,lasso', "--prompts takes some of mask,box,click, not 'lasso'"),
    ('--frames 0', '--frames must be 3 or more'),
    ('--frames -3', '--frames must be 3 or more'),
    ('--threads 0', "--threads: '0' is not a whole number above 0"),
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


@pytest.fixture(name='sequences')
def sequences_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write three frames of two sequences where the development data are looked for."""
    monkeypatch.setenv('SAM2_TRACKER_DATA', str(tmp_path))
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[8:20, 8:20] = 255
    for group, name in (('davis2016', DAVIS[0]), (GROUPS['chair'], 'chair')):
        for kind, suffix in (('JPEGImages', 'jpg'), ('Annotations', 'png')):
            folder = tmp_path / 'dev' / group / kind / name
            folder.mkdir(parents=True)
            for number in range(3):
                assert cv2.imwrite(str(folder / f'{number:05d}.{suffix}'), picture)
    return tmp_path / 'dev'


@pytest.mark.parametrize('line, sentence', [
    ('--sequences blackswan,blackswam',
     "has 0 frames and 0 masks of 'blackswam': there are blackswan, chair"),
    ('--sequences chair --checkpoint nowhere.pt', 'nowhere.pt'),
    ('--sequences chair --model nana', "'nana'"),
    ('--sequences chair --image-size 7', '7'),
])
def test_what_is_not_there_is_said_in_a_sentence(
        line: str, sentence: str, sequences: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(line.split())
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith('python -m benchmarks.accuracy: ') and sentence in said


def test_without_any_sequence_it_is_said_where_they_are_looked_for(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('SAM2_TRACKER_DATA', str(tmp_path))
    with pytest.raises(SystemExit, match='2'):
        main(['--sequences', 'dog'])
    assert f'{tmp_path}/dev/davis2016 has 0 frames' in (said := capsys.readouterr().err)
    assert 'set SAM2_TRACKER_DATA to the folder' in said


def test_a_picture_that_cannot_be_read_is_said_in_a_sentence(
        sequences: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = next(sequences.glob('pumavos/Annotations/chair/*.png'))
    mask.write_bytes(b'no picture')
    with pytest.raises(SystemExit, match='2'):
        main(['--sequences', 'chair'])
    (said,) = capsys.readouterr().err.splitlines()
    assert str(mask) in said
