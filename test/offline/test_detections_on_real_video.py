# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A real bag, and boxes of two dogs and a woman in it as a detector would find them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
from pathlib import Path

from bag_making import compressed_image, write_bag
import cv2
from detection_making import coco_results, detection_array, Found, mot_lines
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.offline.command import main
from sam2_tracker.offline.sources.bag import BagSource

FRAMES = 14
CONFIRM = 3
NAMES = ('small dog', 'large dog', 'woman')
TOPIC = '/dogs/detections'


@pytest.fixture(scope='module')
def truth(data_dir: Path) -> list[np.ndarray]:
    folder = data_dir / 'dev' / 'davis2017' / 'Annotations' / 'dogs-jump'
    if not folder.is_dir():
        pytest.skip(f'{folder} is missing')
    return [np.array(Image.open(path)) for path in sorted(folder.glob('*.png'))[:FRAMES]]


@pytest.fixture(scope='module')
def found(truth: list[np.ndarray]) -> dict[int, list[Found]]:
    """Give their boxes, a pixel or two off as detectors are, and a chair seen once."""
    boxes: dict[int, list[Found]] = {}
    for number, labels in enumerate(truth):
        boxes[number] = []
        for place, name in enumerate(NAMES, 1):
            left, top, width, height = cv2.boundingRect((labels == place).astype(np.uint8))
            off = (number + place) % 3 - 1
            boxes[number].append(
                (left + off, top, left + width + off, top + height + 1, 0.6 + place / 10, name))
    boxes[5].append((300, 20, 360, 90, 0.9, 'chair'))
    return boxes


@pytest.fixture(scope='module')
def bag(
    data_dir: Path, found: dict[int, list[Found]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Give the first frames, and the boxes on a topic, each recorded half a second later."""
    path = data_dir / 'dev' / 'bags' / 'dogs-jump_mcap'
    if not path.is_dir():
        pytest.skip(f'{path} is missing')
    messages = []
    for number, frame in enumerate(BagSource(path).frames()):
        if number == FRAMES:
            break
        assert frame.payload is not None
        stamp_ns = frame.stamp_ns
        messages.append(
            ('/camera/image', stamp_ns, compressed_image(frame.payload, stamp_ns)))
        messages.append(
            (TOPIC, stamp_ns + 500_000_000, detection_array(stamp_ns, found[number])))
    messages.sort(key=lambda message: message[1])
    return write_bag(tmp_path_factory.mktemp('dogs') / 'bag', messages)


@pytest.fixture(scope='module')
def process(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def run(*options: str) -> Path:
        folder = tmp_path_factory.mktemp('out')
        outputs = ['--csv', str(folder / 'out.csv'), '--masks', str(folder / 'masks')]
        assert main([str(bag), *outputs, '--coco', str(folder / 'out.json'), *options]) == 0
        return folder
    return run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / 'out.csv').open() as stream:
        return list(csv.DictReader(stream))


def masks(folder: Path) -> list[np.ndarray]:
    return [np.array(Image.open(path)) for path in sorted((folder / 'masks').rglob('*.png'))]


def similarity(found: Sequence[np.ndarray], truth: Sequence[np.ndarray], ids: Sequence[int]
               ) -> float:
    """Return mean J in the order of the names, whatever their ids are."""
    overlaps = [
        np.count_nonzero((labels == object_id) & (true == place))
        / max(1, np.count_nonzero((labels == object_id) | (true == place)))
        for labels, true in zip(found, truth, strict=True)
        for place, object_id in enumerate(ids, 1)]
    return float(np.mean(overlaps))


@pytest.fixture(scope='module')
def detected(process: Callable[..., Path]) -> Path:
    return process('--detections', TOPIC)


def ids_of(folder: Path) -> list[int]:
    return [next(int(row['object']) for row in rows(folder) if row['label'] == name)
            for name in NAMES]


def test_two_dogs_and_a_woman_become_objects_on_the_frame_that_confirmed_them(
    detected: Path,
) -> None:
    seen = rows(detected)
    assert {(row['object'], row['label']) for row in seen} == {
        ('1', 'woman'), ('2', 'large dog'), ('3', 'small dog')}
    assert {int(row['frame']) for row in seen} == set(range(CONFIRM - 1, FRAMES))


def test_masks_are_those_of_prompts_by_the_same_boxes(
    detected: Path, process: Callable[..., Path], found: dict[int, list[Found]],
    truth: list[np.ndarray], tmp_path: Path,
) -> None:
    lines = ['prompts:']
    for object_id, name in enumerate(('woman', 'large dog', 'small dog'), 1):
        left, top, right, bottom = next(
            each for each in found[CONFIRM - 1] if each[5] == name)[:4]
        lines += [f'  - frame: {CONFIRM - 1}', f'    object: {object_id}', f'    label: {name}',
                  f'    box: [{left}, {top}, {right}, {bottom}]']
    (tmp_path / 'prompts.yaml').write_text('\n'.join(lines))
    prompted = process('--prompts', str(tmp_path / 'prompts.yaml'))
    assert all(map(np.array_equal, masks(detected), masks(prompted)))
    j = similarity(masks(detected)[CONFIRM - 1:], truth[CONFIRM - 1:], ids_of(detected))
    assert j > 0.5


def test_files_give_what_the_topic_gives_byte_for_byte(
    detected: Path, process: Callable[..., Path], found: dict[int, list[Found]], tmp_path: Path
) -> None:
    classes = [*NAMES, 'chair']
    named = ','.join(f'{number}={name}' for number, name in enumerate(classes, 1))
    for text in (coco_results(found, classes), mot_lines(found, classes)):
        (tmp_path / 'found').write_text(text)
        other = process('--detections', str(tmp_path / 'found'), '--classes', named)
        for name in ('out.csv', 'out.json'):
            assert (other / name).read_bytes() == (detected / name).read_bytes()


def test_only_wanted_classes_above_the_score_and_no_more_objects_than_there_may_be(
    process: Callable[..., Path],
) -> None:
    few = process('--detections', TOPIC, '--max-objects', '1', '--classes', 'small dog,large dog')
    assert {row['label'] for row in rows(few)} == {'large dog'}
    sure = process('--detections', TOPIC, '--min-score', '0.85', '--confirm-frames', '1')
    assert {row['label'] for row in rows(sure)} == {'woman', 'chair'}


def test_prompts_keep_their_ids_and_their_objects_are_not_found_again(
    process: Callable[..., Path], found: dict[int, list[Found]], tmp_path: Path
) -> None:
    left, top, right, bottom = found[5][2][:4]
    (tmp_path / 'prompts.yaml').write_text(
        f'prompts:\n  - frame: 0\n    object: 7\n    label: mine\n'
        f'    box: {list(found[0][2][:4])}\n'
        f'  - frame: 5\n    object: 1\n    label: late\n'
        f'    box: [{left + 60}, {top}, {right + 60}, {bottom}]\n')
    folder = process('--detections', TOPIC, '--prompts', str(tmp_path / 'prompts.yaml'))
    assert {(row['object'], row['label']) for row in rows(folder)} >= {
        ('7', 'mine'), ('1', 'late'), ('8', 'large dog'), ('9', 'small dog')}
    assert 'woman' not in {row['label'] for row in rows(folder)}


def test_what_does_not_go_together_is_refused(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'found.json').write_text('[]')
    for options, sentence in (
        ([str(bag), '--detections', TOPIC, '--direction', 'both'],
         '--direction both does not go with --detections'),
        ([str(bag), '--detections', TOPIC, '--save-memory', str(tmp_path / 'memory')],
         '--save-memory does not go with --detections'),
        ([str(bag), str(tmp_path), '--detections', str(tmp_path / 'found.json')],
         'is of one recording and there are 2'),
        ([str(bag), '--detections', '/other'],
         'no such topic with vision_msgs/msg/Detection2DArray; it has'),
    ):
        assert main([*options, '--csv', str(tmp_path / 'out.csv')]) in (2, 3)
        assert sentence in capsys.readouterr().err
