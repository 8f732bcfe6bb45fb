# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The examples that need no ROS, as a reader starts them, and what all examples have in common."""

from __future__ import annotations

import ast
import csv
from pathlib import Path
import re
import subprocess
import sys

import cv2
from demo.fetch_clip import VIDEO
from demo.scene import box_iou, FIRST_FRAME, HAND_BOXES
import numpy as np
import pytest
from sam2_tracker.core.types import Box
from sam2_tracker.offline.sources.video import VideoSource

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / 'examples').glob('*.py'))
FRAME_COUNT = 6
MAN, BAG = HAND_BOXES[0]['man'], HAND_BOXES[0]['bag']


def run(*command: object, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, capture_output=True,
        text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Cut two recordings, folders of pictures, from the demo's shot: a bag on a bicycle."""
    if not VIDEO.is_file():
        pytest.skip(f'{VIDEO} is missing: python -m demo.fetch_clip')
    folder = tmp_path_factory.mktemp('clips')
    # By the end of the shot the man who walks past has left.
    for name, first in (('early', 0), ('late', 45)):
        (folder / name).mkdir()
        frames = VideoSource(VIDEO).frames(FIRST_FRAME + first)
        for number, frame in zip(range(FRAME_COUNT), frames, strict=False):
            cv2.imwrite(str(folder / name / f'{number}.png'), frame.image_rgb[..., ::-1])
    return folder / 'early', folder / 'late'


def corners(box: Box) -> list[str]:
    return [str(edge) for edge in (box.x, box.y, box.x + box.width, box.y + box.height)]


def box_of(mask: np.ndarray) -> Box:
    return Box(*cv2.boundingRect(mask))


def test_a_video_is_tracked_from_python(clips: tuple[Path, Path], tmp_path: Path) -> None:
    output = run('examples/track_video.py', clips[0], *corners(MAN), tmp_path / 'masks')
    lines = output.splitlines()
    assert len(lines) == FRAME_COUNT
    masks = [
        cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        for path in sorted((tmp_path / 'masks').iterdir())
    ]
    assert len(masks) == FRAME_COUNT
    assert box_iou(box_of(masks[0]), MAN) > 0.6
    for number, (line, mask) in enumerate(zip(lines, masks, strict=True)):
        assert set(np.unique(mask)) <= {0, 255}
        assert line.startswith(f'frame {number}: ')
        assert line.endswith(f' {np.count_nonzero(mask)} pixels')


def test_an_object_is_found_again_in_another_recording(
    clips: tuple[Path, Path], tmp_path: Path
) -> None:
    memory = tmp_path / 'bag.safetensors'
    known, other = clips
    output = run('examples/find_again.py', known, *corners(BAG), other, '--memory', memory)
    assert memory.is_file()
    boxes = [
        Box(*map(int, numbers))
        for numbers in re.findall(r'x=(\d+), y=(\d+), width=(\d+), height=(\d+)', output)
    ]
    assert len(boxes) == FRAME_COUNT, output
    # Frame 48 of the shot; of a box nano takes the carrier behind the bag too. Elsewhere it is 0.
    assert box_iou(boxes[3], HAND_BOXES[48]['bag']) > 0.4


def test_a_bag_of_results_is_read(clips: tuple[Path, Path], tmp_path: Path) -> None:
    bag, table = tmp_path / 'bag', tmp_path / 'objects.csv'
    run('-m', 'sam2_tracker.offline', clips[0], '--box', ','.join(corners(BAG)), '--label', 'bag',
        '--output', bag, '--csv', table, '--quiet')
    output = run('examples/read_bag.py', bag)
    with table.open() as rows:
        seen = [row for row in csv.DictReader(rows) if row['state'] == 'visible']
    places = [f'({float(row["centroid_x"]):.0f}, {float(row["centroid_y"]):.0f})' for row in seen]
    assert places
    assert f'object 1 bag: visible on {len(places)} of {FRAME_COUNT} frames' in output
    assert ' -> '.join(places) in output


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.name)
def test_help_has_an_example(path: Path, request: pytest.FixtureRequest) -> None:
    source = path.read_text()
    if 'rclpy' in source:
        pytest.importorskip('rclpy')
    environment = request.getfixturevalue('environment') if 'vision_msgs' in source else None
    said = run(path, '--help', environment=environment)
    assert f'For example: python examples/{path.name}' in said


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_read_on_one_screen_and_listed(path: Path) -> None:
    source = path.read_text()
    docstring = ast.parse(source).body[0]
    code = [line for line in source.splitlines()[docstring.end_lineno:] if line]
    assert 30 <= len(code) <= 60
    assert f'[{path.name}]({path.name})' in (ROOT / 'examples' / 'README.md').read_text()
