# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""JSON, Markdown, targets and the page that is made of them."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import replace
from pathlib import Path
import sys
import time

from benchmarks import machine, report, targets
from benchmarks.__main__ import ON_CPU, ON_CUDA, run, run_program, Table
from benchmarks.machine import Conditions
from benchmarks.machine import conditions as conditions_now
from benchmarks.results import load_all, markdown, Result, save
from benchmarks.spread import slope, spread
import pytest
import torch

PAGE = '# Page\n<!-- figures: memory -->\nold\n<!-- end of figures -->\nrest\n'


def test_a_slope_is_found_through_noise() -> None:
    frames = range(0, 5000, 50)
    noisy = [300_000 + 0.7 * frame + (40 if frame % 100 else -40) for frame in frames]
    assert slope(frames, noisy) == pytest.approx(0.7, abs=0.01)


def test_a_slope_needs_two_places() -> None:
    with pytest.raises(ValueError, match='two places'):
        slope([3, 3], [1.0, 2.0])


def test_half_of_the_measurements_are_below_p50_and_19_of_20_below_p95() -> None:
    found = spread([float(value) for value in range(101)])
    assert (found.p50, found.p95) == (50.0, 95.0)
    with pytest.raises(ValueError, match='nothing'):
        spread([])


def test_a_table_read_again_is_the_table_written(result: Result, tmp_path: Path) -> None:
    assert save(result, tmp_path) == 0
    assert load_all(tmp_path) == [result]
    assert not list(tmp_path.glob('*.tmp'))


def test_a_refused_row_fails_the_table_and_is_printed(
        result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert save(replace(result, refused=('ours: other masks',)), tmp_path) == 1
    assert '**Refused**: ours: other masks' in capsys.readouterr().out


def test_json_of_another_kind_is_named_and_left_out(
        result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(result, tmp_path)
    (tmp_path / 'other.json').write_text('{"model": "nano"}')
    assert [each.name for each in load_all(tmp_path)] == ['memory_cpu']
    assert 'other.json' in capsys.readouterr().err


def test_markdown_has_a_line_for_each_row() -> None:
    assert markdown(['a', 'b'], [['1', '2']]) == '| a | b |\n|---|---:|\n| 1 | 2 |'


def test_the_machine_is_described_as_it_is() -> None:
    found = conditions_now()
    assert 'torch' in found.versions and found.cores >= 1
    assert found.device in found.sentence and found.commit in found.sentence


def test_a_table_without_models_asks_for_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, 'find_checkpoint', lambda _: pytest.fail('asked for'))
    assert machine.parser_for('Measure.').parse_args([]).device == 'cpu'


def test_a_device_that_is_chosen_by_itself_is_named() -> None:
    options = machine.parser_for('Measure.').parse_args(['--device', 'auto'])
    assert options.device == ('cuda:0' if torch.cuda.is_available() else 'cpu')


def verdict(name: str, results: list[Result]) -> targets.Verdict:
    return next(each for each in targets.judge(results) if name in each.target.target.name)


@pytest.mark.parametrize(('figure', 'word'), [(0.5, 'met'), (1.5, '**not met**')])
def test_a_target_is_held_against_its_figure(result: Result, figure: float, word: str) -> None:
    measured = replace(result, figures={'slope': figure})
    assert verdict('memory slope', [measured]).word == word


def test_what_was_not_measured_is_said_to_be_so(result: Result) -> None:
    assert verdict('CUDA', [result]).word == 'not measured here'
    assert 'GPU' in verdict('CUDA', [result]).remark
    assert verdict('memory slope', []).word == 'not measured here'


def test_what_the_arithmetic_allows_is_shown_beside_the_target(result: Result) -> None:
    gains = replace(result, name='objects_sam2.1_hiera_tiny_512_float32_cpu',
                    figures={'ours, 8': 1.5})
    stages = replace(result, name='stages_sam2.1_hiera_tiny_512_float32_cpu',
                     figures={'limit, 8': 1.61})
    found = verdict('float32, 8 object(s)', [gains, stages])
    assert found.word == '**not met**'
    assert 'at most 1.61x' in found.remark


def test_all_targets_are_in_the_table() -> None:
    lines = targets.table([]).splitlines()
    assert len(lines) == 2 + len(targets.TARGETS)


def test_only_what_is_between_the_markers_is_replaced(result: Result) -> None:
    page = report.render(PAGE, [result])
    assert page.startswith('# Page\n<!-- figures: memory -->\n\n### Memory\n')
    assert page.endswith('| a |\n\n<!-- end of figures -->\nrest\n')
    assert report.render(page, [result]) == page


def test_a_table_without_a_place_on_the_page_is_named(result: Result) -> None:
    with pytest.raises(ValueError, match='no place for node'):
        report.render(PAGE, [replace(result, table='node')])


def test_an_outdated_page_is_told(result: Result, tmp_path: Path) -> None:
    save(result, tmp_path)
    page = tmp_path / 'page.md'
    page.write_text(PAGE)
    options = ['--page', str(page), '--results', str(tmp_path)]
    assert report.main([*options, '--check']) == 1
    assert report.main(options) == 0
    assert report.main([*options, '--check']) == 0


def test_the_committed_page_shows_the_committed_results() -> None:
    assert report.main(['--check']) == 0


def test_the_page_has_a_place_for_every_table(conditions: Conditions) -> None:
    page = report.PAGE.read_text()
    for table in (*ON_CPU, *ON_CUDA):
        report.render(page, [Result('x', table.module, 'x', conditions, (), 'x')])


def test_a_table_that_fails_does_not_stop_the_others(
        result: Result, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save(result, tmp_path)
    tables = [Table('no_such_table'), Table('targets')]
    failed = run(tables, ['--results', str(tmp_path)], 'cpu')
    assert failed == ['no_such_table  (exit code 1)']
    assert '| memory slope, KiB a frame | at most 1 | 0.50 | met |' in capfd.readouterr().out


def command_lines() -> Iterator[str]:
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        # Processes come and go.
        with contextlib.suppress(OSError):
            yield path.read_text(errors='replace')


def test_a_table_that_hangs_is_ended_with_all_that_it_started() -> None:
    child = 'import subprocess, time; subprocess.run(["sleep", "31.4159"])'
    begun = time.monotonic()
    assert run_program([sys.executable, '-c', child], timeout_s=1.5) != 0
    assert time.monotonic() - begun < 20
    while any('sleep\x0031.4159' in line for line in command_lines()):
        assert time.monotonic() - begun < 20, 'what it started goes on'
        time.sleep(0.05)
