# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""An interrupted run is found again by the next one, if it is the same run."""

from __future__ import annotations

from pathlib import Path

import pytest
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.run.journal import damage_of_complete, Journal, was_interrupted

SETTINGS = {'model': 'nano', 'model configuration': 'c', 'prompts of a': 'x'}


def journal(folder: Path, settings: dict[str, str] = SETTINGS, resume: bool = False) -> Journal:
    opened = Journal(folder / '.out.resume', settings)
    opened.begin(resume)
    return opened


def test_what_was_finished_is_remembered(tmp_path: Path):
    first = journal(tmp_path)
    first.finish('a', (), 'nano')
    first.close(is_complete=False)
    second = journal(tmp_path, resume=True)
    assert second.finished == {'a': ''}
    assert second.learnt('a') == ()


def test_a_new_run_forgets_an_interrupted_one(tmp_path: Path):
    first = journal(tmp_path)
    first.finish('a', (), 'nano')
    (tmp_path / '.out.resume' / 'a.head').mkdir()
    first.close(is_complete=False)
    second = journal(tmp_path)
    assert second.finished == {}
    assert not (tmp_path / '.out.resume' / 'a.head').exists()


def test_a_complete_run_leaves_nothing(tmp_path: Path):
    journal(tmp_path).close(is_complete=True)
    assert list(tmp_path.iterdir()) == []


def begun(folder: Path) -> None:
    first = journal(folder)
    first.finish('a', (), 'nano')
    first.close(is_complete=False)


def test_a_run_that_finished_nothing_leaves_nothing(tmp_path: Path):
    journal(tmp_path).close(is_complete=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_other_settings_is_not_resumed(tmp_path: Path):
    begun(tmp_path)
    with pytest.raises(OutputError, match=r'had another model, prompts of a: resume it with'):
        journal(tmp_path, {**SETTINGS, 'model': 'tiny', 'prompts of a': 'y'}, resume=True)


def test_a_run_of_an_earlier_version_is_not_resumed(tmp_path: Path):
    before = journal(tmp_path, {'model': 'nano'})
    before.finish('a', (), 'nano')
    before.close(is_complete=False)
    with pytest.raises(OutputError, match='of another version of this program: start the run'):
        journal(tmp_path, SETTINGS, resume=True)


def test_a_recording_that_was_not_done_may_be_mended(tmp_path: Path):
    begun(tmp_path)
    before = {'source a': 'x', 'source b': 'cut off', 'source a.b': 'y', **SETTINGS}
    first = journal(tmp_path, before)
    first.finish('a', (), 'nano')
    for name in ('b', 'a.b'):
        (tmp_path / '.out.resume' / f'{name}.progress').mkdir()
    first.close(is_complete=False)
    said: list[str] = []
    second = Journal(tmp_path / '.out.resume', {**before, 'source b': 'whole'},
                     lambda _, sentence: said.append(sentence))
    second.begin(resume=True)
    assert said == ['b is another recording now: it is tracked from its start']
    assert second.finished == {'a': ''}
    second.close(is_complete=False)
    left = (tmp_path / '.out.resume').glob('*.progress')
    assert [path.name for path in left] == ['a.b.progress']
    # The next one knows it as it is now, and what was done must not have changed.
    third = journal(tmp_path, {**before, 'source b': 'whole'}, resume=True)
    third.finish('b', (), 'nano')
    third.close(is_complete=False)
    with pytest.raises(OutputError, match=r'had another source b: resume it with'):
        journal(tmp_path, before, resume=True)


def test_two_runs_at_a_time_are_refused(tmp_path: Path):
    running = journal(tmp_path)
    second = Journal(tmp_path / '.out.resume', SETTINGS)
    with pytest.raises(OutputError, match='another run is writing these outputs'):
        second.begin(resume=False)
    second.close(is_complete=False)
    assert was_interrupted(tmp_path / '.out.resume')
    running.close(is_complete=False)
    journal(tmp_path)


def test_a_place_where_no_journal_can_be_is_a_sentence(tmp_path: Path):
    (tmp_path / 'file').write_text('in the way')
    nowhere = Journal(tmp_path / 'file' / '.out.resume', SETTINGS)
    with pytest.raises(OutputError, match=r'output folder .*file cannot be written: '):
        nowhere.begin(resume=False)
    nowhere.close(is_complete=False)


@pytest.mark.parametrize('linked', ['.out.resume', 'lock', 'a.head'])
def test_a_link_where_the_journal_is_kept_costs_no_file(tmp_path: Path, linked: str):
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'thesis.tex').write_text('precious')
    place = tmp_path / '.out.resume'
    if linked != place.name:
        place.mkdir()
        place = place / linked
    place.symlink_to(mine / 'thesis.tex' if linked == 'lock' else mine)
    if linked == 'a.head':
        journal(tmp_path).close(is_complete=True)
    else:
        with pytest.raises(OutputError, match='link'):
            journal(tmp_path)
    assert [file.read_text() for file in mine.iterdir()] == ['precious']


def test_a_damaged_journal_is_a_sentence(tmp_path: Path):
    begun(tmp_path)
    (tmp_path / '.out.resume' / 'run.json').write_text('{')
    with pytest.raises(OutputError, match='damaged'):
        journal(tmp_path, resume=True)


def test_without_an_interrupted_run_resuming_begins_anew(tmp_path: Path):
    assert journal(tmp_path, resume=True).finished == {}


def test_what_could_not_be_read_is_remembered_with_what_was_finished(tmp_path: Path):
    first = journal(tmp_path)
    first.finish('a', (), 'nano', 'a.mp4 is damaged: 1 damaged packet')
    first.finish('b', (), 'nano')
    first.close(is_complete=False)
    second = journal(tmp_path, resume=True)
    assert second.finished == {'a': 'a.mp4 is damaged: 1 damaged packet', 'b': ''}


def test_of_a_complete_run_what_could_not_be_read_stays_until_the_next(tmp_path: Path):
    folder = tmp_path / '.out.resume'
    first = journal(tmp_path)
    first.finish('a', (), 'nano', 'a.mp4 is damaged')
    first.finish('b', (), 'nano')
    first.close(is_complete=True)
    assert not was_interrupted(folder)
    assert damage_of_complete(folder) == ('a.mp4 is damaged',)
    assert [left.name for left in folder.iterdir()] == ['damage.json']
    journal(tmp_path).close(is_complete=True)
    assert list(tmp_path.iterdir()) == []
    assert damage_of_complete(folder) == ()


@pytest.mark.parametrize('content', ['{', '[]', '{"a": 1}', '"a"'])
def test_a_journal_with_anything_but_names_and_sentences_is_refused(tmp_path: Path, content: str):
    begun(tmp_path)
    folder = tmp_path / '.out.resume'
    (folder / 'damage.json').write_text(content)
    with pytest.raises(OutputError, match=r'damage\.json is damaged'):
        damage_of_complete(folder)
    written = '{"fingerprint": {}, "finished": ' + content + '}'
    (folder / 'run.json').write_text(written)
    with pytest.raises(OutputError, match='is damaged'):
        journal(tmp_path, {}, resume=True)


def test_what_a_journal_says_does_nothing_to_a_terminal(tmp_path: Path):
    (tmp_path / 'damage.json').write_text('{"a": "\\u001b[31mred"}')
    assert damage_of_complete(tmp_path) == ('\\x1b[31mred',)
