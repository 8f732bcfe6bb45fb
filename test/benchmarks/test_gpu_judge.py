# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The judge of a GPU, rehearsed on a CPU; what it leaves when a part fails or time is up."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys

from benchmarks.gpu import __main__ as judge
from benchmarks.gpu import carry
from benchmarks.gpu.notes import Notes, plan_for
import pytest


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / 'gpu.jsonl').read_text().splitlines()]


def test_a_rehearsal_leaves_figures_of_every_part(tmp_path):
    names = ['resize', 'stages', 'prompts', 'memory', 'attention']
    assert judge.main(['--device', 'cpu', '--out', str(tmp_path), '--only', *names]) == 0
    rows = lines_of(tmp_path)
    assert (rows[0]['part'], rows[-1]['part']) == ('conditions', 'end')
    assert {row['part'] for row in rows} == {'conditions', 'end', *names}
    assert all(row['equal'] for row in rows if row['part'] == 'resize')
    assert not any('failed' in row for row in rows)


def test_speed_has_stock_and_both_ways_of_ours(tmp_path):
    assert judge.main(['--device', 'cpu', '--out', str(tmp_path), '--only', 'speed']) == 0
    rows = [row for row in lines_of(tmp_path) if row['part'] == 'speed']
    assert [row['way'] for row in rows] == 2 * [
        'stock, finished clip', 'ours, batching auto', 'ours, batching never']
    assert all(row['p50_ms'] > 0 for row in rows)
    assert all(row['gain'] > 0 for row in rows if row['way'] != 'stock, finished clip')


def test_exactness_compares_with_stock_and_with_the_truth(tmp_path, data_dir):
    assert judge.main(['--device', 'cpu', '--out', str(tmp_path), '--only', 'exactness']) == 0
    rows = [row for row in lines_of(tmp_path) if row['part'] == 'exactness']
    assert {(row['precision'], row['objects']) for row in rows} == {
        (precision, count) for precision in ('float32', 'bfloat16') for count in (3, 1)}
    exact = [row for row in rows if row['precision'] == 'float32']
    assert all(row['equal_frames'] == row['frames'] for row in exact)
    # At the rehearsal's 64 px the first dog alone is too small to be seen.
    assert all(0 < row['true_j'] < 1 for row in rows if row['objects'] == 3)


def test_without_the_development_data_exactness_is_judged_on_a_made_clip(
        tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('SAM2_TRACKER_DATA', str(tmp_path / 'nothing'))
    assert judge.main(['--device', 'cpu', '--out', str(tmp_path), '--only', 'exactness']) == 0
    rows = [row for row in lines_of(tmp_path) if row['part'] == 'exactness']
    assert {(row['clip'], row['objects']) for row in rows} == {('made', 3), ('made', 1)}
    assert all(row['equal_frames'] == row['frames'] for row in rows
               if row['way'] == 'batching never' and row['precision'] == 'float32')
    assert 'a made clip stands in for a real one' in capsys.readouterr().err


def test_without_the_development_data_the_folder_has_no_clip(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('SAM2_TRACKER_DATA', str(tmp_path / 'nothing'))
    monkeypatch.setattr(carry, '_write_wheels', lambda folder: folder.mkdir())
    assert carry.main([str(tmp_path / 'folder')]) == 0
    assert not (tmp_path / 'folder' / 'data').exists()
    assert (tmp_path / 'folder' / 'source' / 'benchmarks' / 'gpu' / '__main__.py').is_file()
    assert 'exactness is judged on a made one' in capsys.readouterr().err
    # its figures are told with the commit that was carried
    told = subprocess.run(
        [sys.executable, '-c', 'from benchmarks.machine import conditions; '
         'print(conditions("cpu").commit)'], cwd=tmp_path / 'folder' / 'source', check=True,
        capture_output=True, text=True).stdout
    head = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=carry.ROOT, check=True,
                          capture_output=True, text=True).stdout
    assert told == head


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('SAM2_TRACKER_DATA', str(tmp_path / 'nothing'))
    monkeypatch.setattr(carry, '_write_wheels', lambda folder: folder.mkdir())
    mine = tmp_path / 'home' / 'thesis.tex'
    mine.parent.mkdir()
    mine.write_text('years of work')
    for folder in (mine.parent, mine):
        with pytest.raises(SystemExit, match='2'):
            carry.main([str(folder)])
        assert 'name a folder that is new or empty' in capsys.readouterr().err
        assert mine.read_text() == 'years of work'
    made = tmp_path / 'folder'
    made.mkdir()
    assert carry.main([str(made)]) == 0
    (made / 'old').touch()
    assert carry.main([str(made)]) == 0         # its own is made anew
    assert not (made / 'old').exists()


def test_a_part_that_fails_or_runs_late_does_not_lose_the_rest(tmp_path, capsys):
    notes = Notes(tmp_path / 'gpu.jsonl', budget_s=1000)

    def fail() -> None:
        notes.add('first', half=1)
        raise ValueError('no such thing')
    notes.run('first', fail)
    notes.run('second', lambda: notes.add('second', all=2))
    notes._budget_s = notes.passed_s + 3.0001
    notes.run('late', lambda: (setattr(notes, '_budget_s', -1.0), notes.check()))
    notes.run('never', fail)
    notes.close()
    rows = [{key: value for key, value in row.items() if key != 'at_s'}
            for row in lines_of(tmp_path)]
    assert rows == [{'part': 'first', 'half': 1},
                    {'part': 'first', 'failed': 'ValueError: no such thing'},
                    {'part': 'second', 'all': 2}, {'part': 'late', 'cut_off': 'the time was up'},
                    {'part': 'never', 'skipped': 'no time was left'}]
    assert 'no such thing' in capsys.readouterr().err


def test_without_a_gpu_it_says_so(capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(SystemExit) as refusal:
        judge.main([])
    assert refusal.value.code == 2
    assert '--device cpu rehearses' in capsys.readouterr().err


def test_on_a_gpu_rows_come_in_the_order_in_which_they_matter():
    plan = plan_for('cuda')
    assert [(row.model.rpartition('_')[2], row.objects) for row in plan.rows[:8]] == [
        *(('tiny', count) for count in (1, 16, 4, 32, 1, 16)), ('large', 1), ('large', 16)]
    assert plan.clip_frames == 56


def test_the_folder_runs_the_judge_and_the_tests_from_its_own_wheels():
    for part in ('PIP_NO_INDEX=1', 'benchmarks.gpu', 'test/cuda'):
        assert part in carry._RUN


@pytest.mark.parametrize('status', [0, 3])
def test_the_folder_leaves_nothing_of_its_wheels_behind(tmp_path, status):
    """As on the other machine, with a judge that ends with a status of its own."""
    folder, temporary = tmp_path / 'gpu_folder', tmp_path / 'tmp'
    for each in (temporary, folder / 'wheels', folder / 'source' / 'benchmarks' / 'gpu'):
        each.mkdir(parents=True)
    (folder / 'run.sh').write_text(carry._RUN)
    (folder / 'needed.txt').touch()
    (folder / 'source/benchmarks/gpu/__main__.py').write_text(
        f"""import os, sys
assert any(os.path.realpath(each).startswith(os.environ['TMPDIR']) for each in sys.path)
sys.exit({status})""")
    done = subprocess.run(['bash', folder / 'run.sh', '--only', 'resize'], timeout=120,
                          env={**os.environ, 'TMPDIR': str(temporary)})
    assert done.returncode == status
    assert not list(temporary.iterdir())
