# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""The demo as a user runs it: real processes, a real video."""

import itertools
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from demo.fetch_clip import VIDEO
from demo.outputs import mean_hand_box_iou
from demo.recording import load
from demo.run import main
from demo.scene import FIRST_FRAME, FRAME_COUNT, LAST_FRAME
from sam2_tracker.offline.sources.video import VideoSource

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not VIDEO.is_file(), reason=f'{VIDEO} is missing: python -m demo.fetch_clip'
)


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope='module')
def output(needs_ros, tmp_path_factory) -> Path:
    """Run the demo once for all tests here."""
    folder = tmp_path_factory.mktemp('demo') / 'demo_output'
    done = run('demo.run', '--output', folder)
    assert done.returncode == 0, done.stderr
    assert str(folder / 'annotated.mp4') in done.stdout
    assert 'mean box IoU with boxes drawn by hand: ' in done.stdout
    return folder


def test_the_clip_is_one_shot_of_the_montage():
    frames = list(VideoSource(VIDEO).frames(FIRST_FRAME - 1))[: FRAME_COUNT + 2]
    assert LAST_FRAME - FIRST_FRAME + 1 == FRAME_COUNT
    pairs = itertools.pairwise(frame.image_rgb.astype(int) for frame in frames)
    changes = [float(np.abs(after - before).mean()) for before, after in pairs]
    assert min(changes[0], changes[-1]) > 2 * max(changes[1:-1]), 'a cut before and after'


def test_the_demo_loses_no_frame_and_reports_its_figures(output):
    report = json.loads((output / 'report.json').read_text())
    assert (report['frames_in'], report['frames_tracked'], report['dropped']) == (
        FRAME_COUNT,
        FRAME_COUNT,
        0,
    )
    assert report['fps'] > 0
    assert 0 < report['latency_ms']['p50'] <= report['latency_ms']['p95']
    assert {item['label'] for item in report['objects']} == {'man', 'bag', 'bollard'}
    assert all(item['frames_visible'] > 10 for item in report['objects'])
    (man,) = [item for item in report['objects'] if item['label'] == 'man']
    assert man['frames_visible'] >= 0.95 * man['frames_in_picture'] > 25


def test_the_demo_tracks_with_the_memory_that_is_asked_for(needs_ros, tmp_path, monkeypatch):
    shows = []
    monkeypatch.setattr('demo.run.record', lambda output, show: shows.append(show))
    monkeypatch.setattr('demo.run._write', lambda output, outcome: None)
    assert main(['--output', str(tmp_path / 'out'), '--memory', 'distractor']) == 0
    assert main(['--output', str(tmp_path / 'out')]) == 0
    assert [show.memory for show in shows] == ['distractor', 'stock']


def test_the_demo_leaves_a_video_a_sheet_frames_and_masks(output):
    capture = cv2.VideoCapture(str(output / 'annotated.mp4'))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == FRAME_COUNT
    assert cv2.imread(str(output / 'sheet.png')).shape[1] > 1000
    assert len(list((output / 'frames').glob('*.jpeg'))) == FRAME_COUNT
    assert len(list((output / 'masks').glob('0*.png'))) == FRAME_COUNT
    for object_id in (1, 2, 3):
        assert len(list((output / 'masks' / f'object_{object_id}').glob('*.png'))) > 30


def test_every_published_mask_is_stock_sam2_s(output):
    verified = run('demo.verify', output)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.count('lowest 1.000000') == 3


def test_boxes_are_where_a_person_draws_them(output):
    assert mean_hand_box_iou(load(output)) > 0.65


def test_an_interrupted_demo_ends_its_processes(needs_ros, tmp_path):
    demo = subprocess.Popen(
        [sys.executable, '-m', 'demo.run', '--output', tmp_path / 'out'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log = tmp_path / 'out' / 'logs' / 'video_source.log'
    deadline = time.monotonic() + 120
    while not (log.is_file() and 'waiting for a subscriber' in log.read_text()):
        assert time.monotonic() < deadline
        assert demo.poll() is None, demo.communicate()[0]
        time.sleep(0.1)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert 'interrupted' in output and 'Traceback' not in output
    log_of_tracker = (tmp_path / 'out' / 'logs' / 'tracker.log').read_text()
    assert 'finalized' in log_of_tracker and 'Traceback' not in log_of_tracker


def test_another_folder_s_files_are_not_replaced(tmp_path):
    (tmp_path / 'thesis.tex').write_text('years of work')
    done = run('demo.run', '--output', tmp_path)
    assert done.returncode == 1
    assert 'has other files in it; name another folder with --output' in done.stderr
    assert (tmp_path / 'thesis.tex').read_text() == 'years of work'


def test_dog_through_the_node_is_what_the_engine_makes_of_it(data_dir, needs_ros):
    if not (data_dir / 'dev/davis2016/JPEGImages/dog').is_dir():
        pytest.skip(f'{data_dir} has no dog')
    done = run('demo.davis', 'dog', '--frames', 20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'IoU of both: 1.0 on 20 of 20 frames' in done.stdout
