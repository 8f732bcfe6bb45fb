# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A real bag, three objects: what is written is what stock SAM 2 finds, frame for frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
import pytest
from rosbags.highlevel import AnyReader
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.offline.command import main
from sam2_tracker.offline.sources.bag import BagSource

FRAMES = 66
OBJECTS = (1, 2, 3)


@pytest.fixture(scope='module')
def bag(data_dir: Path) -> Path:
    path = data_dir / 'dev' / 'bags' / 'dogs-jump_mcap'
    if not path.is_dir():
        pytest.skip(f'{path} is missing')
    return path


@pytest.fixture(scope='module')
def truth(data_dir: Path) -> list[np.ndarray]:
    folder = data_dir / 'dev' / 'davis2017' / 'Annotations' / 'dogs-jump'
    if not folder.is_dir():
        pytest.skip(f'{folder} is missing')
    return [np.array(Image.open(path)) for path in sorted(folder.glob('*.png'))]


@pytest.fixture(scope='module')
def out(bag: Path, truth: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the command; give the folder with its outputs."""
    folder = tmp_path_factory.mktemp('shown')
    lines = ['prompts:']
    for number in OBJECTS:
        Image.fromarray(np.uint8(255) * (truth[0] == number)).save(folder / f'{number}.png')
        lines += ['  - frame: 0', f'    object: {number}', f'    mask: {number}.png']
    (folder / 'prompts.yaml').write_text('\n'.join(lines))
    options = ['--prompts', str(folder / 'prompts.yaml'), '--output', str(folder / 'out')]
    options += ['--video', str(folder / 'out.mp4'), '--coco', str(folder / 'out.json')]
    assert main([str(bag), *options, '--masks', str(folder / 'out_masks')]) == 0
    return folder


@pytest.fixture(scope='module')
def labels(out: Path) -> list[np.ndarray]:
    folder = out / 'out_masks' / 'dogs-jump_mcap'
    return [np.array(Image.open(path)) for path in sorted(folder.glob('*.png'))]


@pytest.fixture(scope='module')
def stock_logits(
    bag: Path, truth: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> list[np.ndarray]:
    """Give stock's logits on every frame, (3, height, width)."""
    from sam2_tracker.models.device import core_count_for_two
    from sam2_tracker.models.loader import build_stock_predictor
    import torch

    torch.set_num_threads(core_count_for_two())
    frames = tmp_path_factory.mktemp('frames')
    for number, frame in enumerate(BagSource(bag).frames()):
        (frames / f'{number:05d}.jpg').write_bytes(frame.payload)
    stock: Any = build_stock_predictor(ModelConfig())
    state = stock.init_state(str(frames))
    for number in OBJECTS:
        stock.add_new_mask(state, 0, number, torch.from_numpy(truth[0] == number))
    return [logits[:, 0].numpy() for _, _, logits in stock.propagate_in_video(state)]


def test_every_frame_is_in_every_output(out: Path, labels: list[np.ndarray]):
    assert len(labels) == FRAMES
    assert len(json.loads((out / 'out.json').read_text())['images']) == FRAMES
    video = cv2.VideoCapture(str(out / 'out.mp4'))
    assert sum(video.grab() for _ in range(FRAMES + 5)) == FRAMES


def test_the_masks_are_stocks_pixel_for_pixel(
    labels: list[np.ndarray], stock_logits: list[np.ndarray]
):
    for label, logits in zip(labels, stock_logits, strict=True):
        expected = np.where(logits.max(0) > 0, logits.argmax(0) + 1, 0)
        assert np.array_equal(label, expected)


def test_the_coco_masks_are_stocks_object_by_object(out: Path, stock_logits: list[np.ndarray]):
    from supervision import rle_to_mask

    coco = json.loads((out / 'out.json').read_text())
    found = {(one['image_id'] - 1, one['track_id']): one for one in coco['annotations']}
    for number, logits in enumerate(stock_logits):
        for object_id in OBJECTS:
            expected = logits[object_id - 1] > 0
            one = found.get((number, object_id))
            assert (one is not None) == expected.any()
            if one is not None:
                height, width = expected.shape
                decoded = rle_to_mask(one['segmentation']['counts'], (width, height))
                assert np.array_equal(decoded, expected)


def test_the_bag_has_the_sources_stamps_and_three_objects(out: Path, bag: Path):
    source = [(frame.stamp_ns, frame.recorded_ns) for frame in BagSource(bag).frames()]
    found: dict[str, list[Any]] = {}
    with AnyReader([out / 'out']) as reader:
        for connection, recorded_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            stamp = message.header.stamp
            times = (stamp.sec * 10**9 + stamp.nanosec, recorded_ns)
            assert message.header.frame_id == 'camera_optical_frame'
            found.setdefault(connection.topic, []).append((times, message))
    for messages in found.values():
        assert [times for times, _ in messages] == source
    for _, message in found['/sam2_tracker/objects']:
        assert [item.id for item in message.objects] == list(OBJECTS)


def test_the_bag_and_the_pngs_agree(out: Path, labels: list[np.ndarray]):
    with AnyReader([out / 'out']) as reader:
        connections = [one for one in reader.connections if one.topic.endswith('label_image')]
        for label, (connection, _, raw) in zip(labels, reader.messages(connections), strict=True):
            message: Any = reader.deserialize(raw, connection.msgtype)
            pixels = message.data.view('<u2').reshape(message.height, message.width)
            assert np.array_equal(pixels, label)


def test_the_three_dogs_score_what_the_accuracy_benchmark_says(
    out: Path, truth: list[np.ndarray], data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    from benchmarks.accuracy import measure_sequence
    from benchmarks.davis import score_frames
    from benchmarks.sequences import load_sequence
    from sam2_tracker.models.loader import build_tracking_predictor
    from supervision import rle_to_mask

    height, width = truth[0].shape
    found = {number: [np.zeros((height, width), bool)] * FRAMES for number in OBJECTS}
    for one in json.loads((out / 'out.json').read_text())['annotations']:
        mask = rle_to_mask(one['segmentation']['counts'], (width, height))
        found[one['track_id']][one['image_id'] - 1] = mask
    scores = [
        score_frames(found[number], [label == number for label in truth]).region
        for number in OBJECTS
    ]
    monkeypatch.setenv('SAM2_TRACKER_DATA', str(data_dir))
    sequence = load_sequence('dogs-jump')
    predictor = build_tracking_predictor(ModelConfig())
    measured = measure_sequence(predictor, sequence, 'mask', None)
    assert float(np.mean(scores)) == pytest.approx(measured.score.region, abs=0.005)
