# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""An interrupted run leaves nothing that looks whole, and goes on to the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from command_rig import content, FRAMES, outputs, whole_looking
import pytest

from sam2_tracker.offline.command import main


def start(bag: Path, prompts: Path, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Begin a run in a process of its own and wait until some frames are written."""
    command = [sys.executable, '-m', 'sam2_tracker.offline', str(bag), '--prompts', str(prompts)]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [*command, *outputs(folder), *options],
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root)},
        stderr=subprocess.PIPE,
    )
    draft = folder / 'masks' / '.first.part' / 'first'
    deadline_s = time.monotonic() + 120
    while len(list(draft.glob('*.png'))) < 3:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    return process


def test_a_killed_run_leaves_no_half_output_and_resumes_to_the_same_bytes(
    tmp_path: Path, bags: list[Path], prompts: Path, finished: dict[str, bytes]
):
    process = start(bags[0], prompts, tmp_path)
    process.kill()
    process.wait()
    assert whole_looking(tmp_path) == []
    arguments = [str(bags[0]), '--prompts', str(prompts), *outputs(tmp_path), '--resume']
    assert main(arguments) == 0
    assert content(tmp_path) == finished


@pytest.mark.parametrize('direction', ['forward', 'both'])
def test_a_resumed_run_does_not_track_again_what_was_tracked(
    tmp_path: Path,
    bags: list[Path],
    prompts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    direction: str,
):
    from sam2_tracker.core.tracking.tracker import Tracker

    frames, bag = (FRAMES, bags[0]) if direction == 'forward' else (2 * FRAMES, bags[2])
    arguments = [str(bag), '--prompts', str(prompts), '--direction', direction]
    for folder in ('calm', 'broken'):
        (tmp_path / folder).mkdir()
    assert main([*arguments, *outputs(tmp_path / 'calm')]) == 0
    tracked: list[int] = []
    advance = Tracker.advance

    def counted(self: Tracker, frame: Any, following: Any = None) -> None:
        if frame.index == stop:
            raise KeyboardInterrupt
        tracked.append(frame.index)
        advance(self, frame, following)

    monkeypatch.setattr(Tracker, 'advance', counted)
    options = [*arguments, *outputs(tmp_path / 'broken'), '--save-every', '1e-9']
    # Going back from frame 3 reads up to frame 18: only then there is a state to go on from.
    stop = frames - 1
    assert main(options) == 130
    assert whole_looking(tmp_path / 'broken') == []
    assert tracked == list(range(stop))
    tracked[:], stop = [], -1
    assert main([*options, '--resume']) == 0
    assert 0 < len(tracked) < frames and tracked == list(range(tracked[0], frames))
    assert content(tmp_path / 'broken') == content(tmp_path / 'calm')
    assert f'({tracked[0]} of them by an earlier run)' in capsys.readouterr().out


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, bags: list[Path], prompts: Path, number: int, code: int
):
    process = start(bags[0], prompts, tmp_path)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert b'--resume' in said and b'Traceback' not in said
    assert whole_looking(tmp_path) == []
    assert not [name for name in content(tmp_path) if '.part' in name]


def test_resuming_a_complete_run_does_nothing(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / 'out.csv'
    table.write_text('complete')
    options = ['--csv', str(table), '--resume']
    assert main([str(bags[0]), '--prompts', str(prompts), *options]) == 0
    assert 'complete already' in capsys.readouterr().err
    assert table.read_text() == 'complete'
