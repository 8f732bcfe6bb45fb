# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""An interrupted run leaves nothing that looks whole, and goes on to the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
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
from video_making import blank_packets, VideoKind, write_video

# The command, which never gets beyond frame 5: the frames before were handed to all outputs.
CHILD = """
import runpy, time
from sam2_tracker.core.tracking.tracker import Tracker
advance = Tracker.advance
def stuck_at_6(self, frame, following=None):
    if frame.index == 6:
        time.sleep(600)
    advance(self, frame, following)
Tracker.advance = stuck_at_6
runpy.run_module('sam2_tracker.offline', run_name='__main__')
"""


@pytest.fixture
def under_way(
    tmp_path: Path, bags: list[Path], prompts: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Begin a run in a process of its own and wait until some frames are written."""
    arguments = [str(bags[0]), '--prompts', str(prompts), *outputs(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, '-c', CHILD, *arguments],
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root)},
        stderr=subprocess.PIPE,
    )
    try:
        draft = tmp_path / 'masks' / '.first.part' / 'first'
        deadline_s = time.monotonic() + 120
        while len(list(draft.glob('*.png'))) < 3:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_killed_run_leaves_no_half_output_and_resumes_to_the_same_bytes(
    tmp_path: Path,
    bags: list[Path],
    prompts: Path,
    finished: dict[str, bytes],
    under_way: subprocess.Popen[bytes],
):
    under_way.kill()
    under_way.wait()
    assert whole_looking(tmp_path) == []
    arguments = [str(bags[0]), '--prompts', str(prompts), *outputs(tmp_path), '--resume']
    assert main(arguments) == 0
    assert content(tmp_path) == finished


@pytest.fixture
def every_frame_begins_a_shot(monkeypatch: pytest.MonkeyPatch) -> None:
    from sam2_tracker.core.tracking import cuts

    monkeypatch.setattr(cuts, 'LEAST_DISTANCE', -1)


@pytest.mark.usefixtures('every_frame_begins_a_shot')
@pytest.mark.parametrize(('direction', 'memory', 'beliefs'), [
    ('forward', 'stock', []), ('both', 'stock', []), ('forward', 'selective', ['--cuts']),
    ('both', 'distractor', ['--cuts', '--doubt'])])
def test_a_resumed_run_does_not_track_again_what_was_tracked(
    tmp_path: Path,
    bags: list[Path],
    prompts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    direction: str,
    memory: str,
    beliefs: list[str],
):
    from sam2_tracker.core.tracking.tracker import Tracker

    frames, bag = (FRAMES, bags[0]) if direction == 'forward' else (2 * FRAMES, bags[2])
    arguments = [str(bag), '--prompts', str(prompts), '--direction', direction,
                 '--memory', memory, *beliefs, '--image-size', '128']
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
    tmp_path: Path, under_way: subprocess.Popen[bytes], number: int, code: int
):
    under_way.send_signal(number)
    _, said = under_way.communicate(timeout=120)
    assert under_way.returncode == code
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


def damaged_video(folder: Path) -> Path:
    return blank_packets(write_video(folder, VideoKind('clip.mp4', 'mpeg4', count=6)), {2})


def test_resuming_a_complete_run_says_again_what_was_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    video = damaged_video(tmp_path)
    arguments = [str(video), '--point', '20,20', '--csv', str(tmp_path / 'out.csv')]
    arguments += ['--image-size', '128', '--resume']
    assert main(arguments) == 6
    capsys.readouterr()
    assert main(arguments) == 6
    said = capsys.readouterr().err
    assert 'complete already' in said
    assert f'warn: {video} is damaged: 1 damaged packet (the first at 0.080 s), 5 frames' in said


def test_a_resumed_run_says_what_was_damaged_in_a_recording_that_was_done_before(
    tmp_path: Path, bags: list[Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    from sam2_tracker.core.tracking.tracker import Tracker

    video = damaged_video(tmp_path)
    arguments = [str(video), str(bags[1]), '--point', '20,20', '--masks', str(tmp_path / 'masks')]
    arguments += ['--image-size', '128', '--resume']
    tracked, advance = [], Tracker.advance

    def interrupted(self: Tracker, frame: Any, following: Any = None) -> None:
        tracked.append(frame.index)
        if tracked.count(0) == 2:
            raise KeyboardInterrupt
        advance(self, frame, following)

    monkeypatch.setattr(Tracker, 'advance', interrupted)
    assert main(arguments) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert main(arguments) == 6
    said = capsys.readouterr().out
    assert f'{video.stem}: complete already\n  {video} is damaged: 1 damaged packet' in said
