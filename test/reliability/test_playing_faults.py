# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of faults whose programs die, freeze, lie and do well; and what is left of them."""

from __future__ import annotations

import json
from pathlib import Path
import sys
import tempfile
import time

import pytest
from reliability import disks
from reliability.faults.__main__ import main, report, rows
from reliability.playing import play_apart, play_here
from reliability.processes import run_command, state_of
from reliability.stage import Stage
from reliability.verdicts import expect, Fault, FAULTS, Finding, Verdict

PYTHON = sys.executable


def fault_of(run=lambda stage: None, why_not=lambda: '', limit_s: float = 20.0) -> Fault:
    return Fault('made_up', 'Something is done.', run, why_not, limit_s)


def found_of(run, folder: Path) -> Finding:
    play_here(fault_of(run), folder, 0)
    fields = json.loads((folder / 'found.json').read_text())
    return Finding(**{**fields, 'verdict': Verdict[fields['verdict']]})


def commanded(code: str, timeout_s: float = 10.0):
    return lambda stage: stage.command([PYTHON, '-c', code], timeout_s)


def test_a_command_that_ends_by_a_signal_has_died(tmp_path: Path) -> None:
    found = found_of(commanded('import os; os.kill(os.getpid(), 11)'), tmp_path)
    assert (found.verdict, found.why) == (Verdict.DIED, 'ended by signal SIGSEGV')


def test_a_command_that_ends_with_a_traceback_has_died(tmp_path: Path) -> None:
    found = found_of(commanded('raise KeyError("lost")'), tmp_path)
    assert found.verdict is Verdict.DIED
    assert 'traceback' in found.why and 'KeyError' in found.why


def test_a_command_that_ignores_ctrl_c_is_frozen(tmp_path: Path) -> None:
    code = 'import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)'
    found = found_of(commanded(code, 0.5), tmp_path)
    assert (found.verdict, 'Ctrl-C did not end it' in found.why) == (Verdict.FROZE, True)


def test_a_command_that_only_ctrl_c_ends_is_frozen_too(tmp_path: Path) -> None:
    code = ('import sys, time\ntry: time.sleep(60)\n'
            'except KeyboardInterrupt: sys.exit(130)')
    found = found_of(commanded(code, 3.0), tmp_path)
    assert (found.verdict, 'Ctrl-C ended it' in found.why) == (Verdict.FROZE, True)


def test_a_promise_that_does_not_hold_is_a_lie(tmp_path: Path) -> None:
    def run(stage: Stage) -> None:
        stage.lost = '3 of 8 frames'
        ended = stage.command([PYTHON, '-c', 'print("all went well")'])
        expect(ended.code != 0, 'exit code 0')
    found = found_of(run, tmp_path)
    assert (found.verdict, found.why) == (Verdict.LIED, 'exit code 0')
    assert (found.said, found.lost) == ('all went well', '3 of 8 frames')


def test_a_fault_that_is_borne_is_right(tmp_path: Path) -> None:
    found = found_of(commanded('pass'), tmp_path)
    assert (found.verdict, found.why) == (Verdict.RIGHT, '')


def test_a_mistake_of_the_check_itself_is_no_verdict_on_the_program(tmp_path: Path) -> None:
    found = found_of(lambda stage: {}['nothing'], tmp_path)
    assert found.verdict is Verdict.BROKEN and not found.is_well
    assert found.why.startswith('KeyError')


def test_a_player_that_takes_too_long_is_frozen_and_ended_with_its_children(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('reliability.playing._SLACK_S', 0.0)
    told = tmp_path / 'pid'
    code = (f'import subprocess, sys, time\nchild = subprocess.Popen(["sleep", "60"])\n'
            f'open({str(told)!r}, "w").write(str(child.pid))\ntime.sleep(60)')
    found = play_apart(fault_of(limit_s=3.0), 0, [PYTHON, '-c', code])
    assert found.verdict is Verdict.FROZE
    child = int(told.read_text())
    end_s = time.monotonic() + 10.0
    while state_of(child) not in ('', 'Z') and time.monotonic() < end_s:
        time.sleep(0.01)
    assert state_of(child) in ('', 'Z')


def test_a_player_that_ends_without_a_finding_is_a_broken_check() -> None:
    found = play_apart(fault_of(), 0, [PYTHON, '-c', 'raise SystemExit("no stage")'])
    assert found.verdict is Verdict.BROKEN
    assert 'no stage' in found.why


def test_what_the_machine_cannot_run_is_listed_with_the_reason() -> None:
    found = play_apart(fault_of(why_not=lambda: 'needs a volcano'), 0, ['false'])
    assert (found.verdict, found.why, found.is_well) == (Verdict.NOT_RUN, 'needs a volcano', True)


def test_disks_of_a_fault_are_unmounted_even_when_they_hang(tmp_path: Path) -> None:
    if reason := disks.no_freezing():
        pytest.skip(reason)
    disk = disks.mount_ext4(tmp_path / 'disk')
    disks.freeze(disk)
    disks.release_below(tmp_path)
    assert not list(disks.mounts_below(tmp_path))


def test_a_full_disk_is_full(tmp_path: Path) -> None:
    if reason := disks.no_tmpfs():
        pytest.skip(reason)
    disk = disks.mount_tmpfs(tmp_path / 'disk', 256)
    try:
        filler = disks.fill(disk)
        with pytest.raises(OSError, match='No space left'):
            (disk / 'more').write_bytes(bytes(5000))
        filler.unlink()
        (disk / 'more').write_bytes(bytes(5000))
    finally:
        disks.release_below(tmp_path)


def test_memory_that_a_command_takes_is_measured(tmp_path: Path) -> None:
    code = 'import time; held = bytearray(b"x" * 200_000_000); time.sleep(0.5)'
    assert run_command([PYTHON, '-c', code], tmp_path, 30.0).peak_mib > 150


def test_the_table_has_a_row_for_each_finding_and_counts_verdicts() -> None:
    findings = [Finding('late', 'engine', 'It hangs.', Verdict.FROZE, 'no answer'),
                Finding('fine', 'camera', 'It is | odd.', Verdict.RIGHT)]
    shown = report(findings)
    assert '| engine | `late` | It hangs. | **froze** | no answer |' in shown
    assert 'It is \\| odd.' in shown
    assert '2 faults: 1 right, 1 froze.' in shown
    assert [row[0] for row in rows(findings)] == ['camera', 'engine']


def test_every_fault_says_what_is_done_and_belongs_to_something(
        capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['--list']) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(FAULTS) > 80
    assert all(each.about and each.done.endswith('.') for each in FAULTS.values())


def test_a_fault_is_played_in_a_folder_that_is_gone_afterwards() -> None:
    folders = Path(tempfile.gettempdir())
    before = set(folders.glob('made_up_*'))
    play_apart(fault_of(), 0, [PYTHON, '-c', 'pass'])
    assert set(folders.glob('made_up_*')) <= before
