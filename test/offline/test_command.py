# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The command as a person uses it, on small recordings, with the bundled model."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from bag_making import compressed_image, FIRST_NS, jpeg_of, raw_messages, STEP_NS, write_bag
import numpy as np
from PIL import Image
import pytest
from rosbags.rosbag2 import Reader

from sam2_tracker.offline.command import main

PROMPTS = """
prompts:
  - frame: 0
    object: 1
    label: red
    points: [[{0:.0f}, {1:.0f}]]
  - time_s: 0.12
    object: 4
    points: [[{2:.0f}, {3:.0f}]]
"""
FRAMES = 10


@pytest.fixture(scope='module')
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give two recordings of discs that move, as JPEGs in bags, and both in one."""
    from stock import read_clip, write_clip

    folder = tmp_path_factory.mktemp('bags')
    (folder / 'frames').mkdir()
    pictures = read_clip(write_clip(folder / 'frames', 2 * FRAMES))
    found = []
    parts = {'first': pictures[:FRAMES], 'second': pictures[FRAMES:], 'whole': pictures}
    for name, part in parts.items():
        messages = []
        for index, picture in enumerate(part):
            stamp_ns = FIRST_NS + index * STEP_NS
            message = compressed_image(jpeg_of(picture), stamp_ns)
            messages.append(('/camera/compressed', stamp_ns, message))
        found.append(write_bag(folder / name, messages))
    return found


@pytest.fixture(scope='module')
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stock import disc_xy

    path = tmp_path_factory.mktemp('prompts') / 'prompts.yaml'
    path.write_text(PROMPTS.format(*disc_xy(0, 0), *disc_xy(1, 3)))
    return path


def outputs(folder: Path) -> list[str]:
    """Name every kind of output."""
    return [
        *('--output', str(folder / 'bag'), '--masks', str(folder / 'masks')),
        *('--coco', str(folder / 'out.json'), '--video', str(folder / 'out.mp4')),
        *('--csv', str(folder / 'out.csv'), '--yolo', str(folder / 'yolo')),
        *('--sheet', str(folder / 'sheet.png'), '--frames', str(folder / 'frames')),
    ]


def content(folder: Path) -> dict[str, bytes]:
    """Read every file, hidden ones too."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope='module')
def finished(
    tmp_path_factory: pytest.TempPathFactory, bags: list[Path], prompts: Path
) -> dict[str, bytes]:
    """Give what an undisturbed run writes."""
    folder = tmp_path_factory.mktemp('finished')
    assert main([str(bags[0]), '--prompts', str(prompts), *outputs(folder)]) == 0
    return content(folder)


def test_a_run_writes_every_output_and_nothing_else(finished: dict[str, bytes]):
    numbered = [f'{number:05d}' for number in range(FRAMES)]
    assert sorted(finished) == sorted([
        *(f'masks/first/{name}.png' for name in numbered),
        *(f'yolo/labels/first/{name}.txt' for name in numbered),
        *(f'frames/first/{name}.jpg' for name in numbered),
        *('bag/bag.mcap', 'bag/metadata.yaml', 'out.csv', 'out.json', 'out.mp4', 'sheet.png'),
        'yolo/data.yaml',
    ])  # fmt: skip
    coco = json.loads(finished['out.json'])
    assert len(coco['images']) == FRAMES
    assert {one['track_id'] for one in coco['annotations']} == {1, 4}
    assert [one['name'] for one in coco['categories']] == ['red', 'object']


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


def whole_looking(folder: Path) -> list[str]:
    """Name what a person would take for an output."""
    return [name for name in content(folder) if not name.startswith('.') and '/.' not in name]


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
    from sam2_tracker.core.tracker import Tracker

    frames, bag = (FRAMES, bags[0]) if direction == 'forward' else (2 * FRAMES, bags[2])
    arguments = [str(bag), '--prompts', str(prompts), '--direction', direction]
    for folder in ('calm', 'broken'):
        (tmp_path / folder).mkdir()
    assert main([*arguments, *outputs(tmp_path / 'calm')]) == 0
    tracked: list[int] = []
    advance = Tracker.advance

    def counted(self: Tracker, frame: Any) -> None:
        if frame.index == stop:
            raise KeyboardInterrupt
        tracked.append(frame.index)
        advance(self, frame)

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


def test_an_output_that_exists_is_kept_unless_overwriting_is_asked_for(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / 'out.csv'
    table.write_text('mine')
    arguments = [str(bags[0]), '--prompts', str(prompts), '--csv', str(table)]
    assert main(arguments) == 4
    assert '--overwrite' in capsys.readouterr().err
    assert table.read_text() == 'mine'
    assert main([*arguments, '--overwrite']) == 0
    assert table.read_text().startswith('frame,')


def test_resuming_a_complete_run_does_nothing(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / 'out.csv'
    table.write_text('complete')
    options = ['--csv', str(table), '--resume']
    assert main([str(bags[0]), '--prompts', str(prompts), *options]) == 0
    assert 'complete already' in capsys.readouterr().err
    assert table.read_text() == 'complete'


def test_what_is_learnt_on_one_recording_is_found_on_another(
    tmp_path: Path, bags: list[Path], prompts: Path
):
    both = [str(bag) for bag in bags[:2]]
    together, memory = tmp_path / 'together', tmp_path / 'memory.safetensors'
    options = ['--masks', str(together), '--save-memory', str(memory)]
    assert main([*both, '--prompts', str(prompts), *options]) == 0
    alone = tmp_path / 'alone'
    options = ['--masks', str(alone), '--load-memory', str(memory)]
    assert main([str(bags[1]), *options]) == 0
    found = content(alone / 'second')
    assert found == content(together / 'second')
    labels = [np.array(Image.open(path)) for path in sorted((alone / 'second').iterdir())]
    assert any((label == 1).any() for label in labels)


def test_a_memory_of_another_model_is_refused(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    memory = tmp_path / 'memory.safetensors'
    teach = [str(bags[0]), '--prompts', str(prompts), '--save-memory', str(memory)]
    assert main(teach) == 0
    use = [str(bags[1]), '--load-memory', str(memory), '--masks', str(tmp_path / 'm')]
    assert main([*use, '--image-size', '128']) == 5
    assert ', this model has 128: give --image-size' in capsys.readouterr().err
    memory.write_bytes(memory.read_bytes()[:-100])
    assert main(use) == 5
    assert 'damaged' in capsys.readouterr().err


def broken(tmp_path: Path) -> Path:
    bag = write_bag(tmp_path / 'broken', raw_messages(5))
    file = bag / 'broken.mcap'
    file.write_bytes(file.read_bytes()[:300])
    return bag


@pytest.mark.parametrize(
    ('source', 'options', 'code', 'sentence'),
    [
        (lambda path: path / 'nowhere.mcap', [], 3, 'does not exist'),
        (broken, [], 3, 'cannot be read'),
        (None, ['--topic', '/other'], 3, '--topic one of'),
        (None, ['--at', '99'], 2, 'frame 99 is outside the source: it has frames 0 to 9'),
        (None, ['--point', '999,5'], 2, '--point: object 1: point (999, 5) outside 144x96'),
        (None, ['--model', 'huge'], 5, 'huge'),
        (None, ['--checkpoint', 'nowhere.pt'], 5, 'nowhere.pt'),
        (None, ['--load-memory', 'nowhere.safetensors'], 2, 'nowhere.safetensors'),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_code(
    tmp_path: Path,
    bags: list[Path],
    capsys: pytest.CaptureFixture[str],
    source: Callable[[Path], Path] | None,
    options: list[str],
    code: int,
    sentence: str,
):
    path = bags[0] if source is None else source(tmp_path)
    prompt = [] if '--point' in options else ['--point', '5,5']
    out = tmp_path / 'out'
    assert main([str(path), *prompt, *options, '--csv', str(out / 'out.csv')]) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert 'Traceback' not in said
    assert not whole_looking(out)


def test_one_bad_source_does_not_stop_the_others(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    sources = [str(bags[0]), str(broken(tmp_path)), str(bags[1])]
    masks = tmp_path / 'masks'
    assert main([*sources, '--prompts', str(prompts), '--masks', str(masks)]) == 3
    assert sorted(path.name for path in masks.iterdir() if path.name[0] != '.') == [
        'first',
        'second',
    ]
    assert 'broken: failed' in capsys.readouterr().out


def test_a_bag_may_be_sqlite3_with_the_sources_topics_and_the_annotated_pictures(
    tmp_path: Path, bags: list[Path], prompts: Path
):
    bag = tmp_path / 'bag'
    options = ['--storage', 'sqlite3', '--copy-topics', '--annotated', '--output', str(bag)]
    assert main([str(bags[0]), '--prompts', str(prompts), *options]) == 0
    with Reader(bag) as reader:
        counts = {one.topic: one.msgcount for one in reader.connections}
    assert counts == {
        '/camera/compressed': FRAMES,
        '/sam2_tracker/objects': FRAMES,
        '/sam2_tracker/label_image': FRAMES,
        '/sam2_tracker/annotated/compressed': FRAMES,
        '/sam2_tracker/object_1/mask': FRAMES,
        # It is prompted on frame 3 only.
        '/sam2_tracker/object_4/mask': FRAMES - 3,
    }


def test_no_part_of_ros_is_imported(tmp_path: Path, bags: list[Path], prompts: Path):
    root = Path(__file__).resolve().parents[2]
    program = (
        'import sys\n'
        'from sam2_tracker.offline.command import main\n'
        'code = main(sys.argv[1:])\n'
        "ros = {'rclpy', 'sensor_msgs', 'cv_bridge', 'sam2_tracker_msgs'} & set(sys.modules)\n"
        'sys.exit(code or bool(ros))\n'
    )
    arguments = [str(bags[0]), '--prompts', str(prompts), '--output', str(tmp_path / 'bag')]
    done = subprocess.run(
        [sys.executable, '-c', program, *arguments],
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root)},
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert b'10 frames' in done.stdout
