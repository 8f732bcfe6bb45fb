# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO labels are found, and read back as the masks that they were made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from results import fill, HW, result, square, tracked_object
from sam2_tracker.offline.sinks.annotations import (
    Classes,
    one_polygon,
    write_names,
    YoloFolder,
)

CLASSES = Classes.of(['cup', '', 'cup'])
Reading = Callable[[np.ndarray], np.ndarray]


def truncated(points: np.ndarray) -> np.ndarray:
    return points.astype(np.int32)


def rounded(points: np.ndarray) -> np.ndarray:
    return np.rint(points).astype(np.int32)


def resampled(points: np.ndarray) -> np.ndarray:
    """Interpolate to many points first, corners among them, as training does."""
    closed = np.concatenate([points, points[:1]])
    at = np.union1d(np.linspace(0, len(points), 1000), np.arange(len(closed)))
    axes = [np.interp(at, np.arange(len(closed)), closed[:, axis]) for axis in (0, 1)]
    return truncated(np.stack(axes, axis=1).astype(np.float32))


READINGS = [truncated, rounded, resampled]


def drawn(
    line: str, reading: Reading = truncated, hw: tuple[int, int] = HW
) -> tuple[int, np.ndarray]:
    """Read a YOLO line: float32, times the picture's size, whole numbers, filled with border."""
    number, *corners = line.split()
    points = np.array(corners, np.float32).reshape(-1, 2) * np.array(hw[::-1], np.float32)
    canvas = np.zeros(hw, np.uint8)
    cv2.fillPoly(canvas, [reading(points)], 1)
    return int(number), canvas.astype(bool)


def one_label(folder: Path, mask: np.ndarray, said: list[str]) -> str:
    one = result(0)
    frame = replace(one.tracked.frame, source_hw=mask.shape)
    tracked = replace(
        one.tracked, frame=frame, objects=(tracked_object(1, 'cup', mask),), masks=(mask,)
    )
    sink = YoloFolder(folder, CLASSES, lambda level, line: said.append(line))
    sink.write(replace(one, tracked=tracked))
    sink.finish()
    return (folder / '00000.txt').read_text()


def small_shapes() -> Iterator[np.ndarray]:
    """Give objects of one pixel, lines, and round ones of up to 60 pixels, at every place."""
    chance = np.random.default_rng(5)
    for number in range(60):
        height, width = (int(side) for side in chance.integers(70, 1200, 2))
        mask = np.zeros((height, width), np.uint8)
        x, y = int(chance.integers(0, width)), int(chance.integers(0, height))
        if number % 3 == 0:
            mask[y, x] = 1
        elif number % 3 == 1:
            cv2.line(mask, (x, y), (x + number % 2 * 9, y + (number + 1) % 2 * 9), 1)
        else:
            radii = (int(chance.integers(1, 30)), int(chance.integers(1, 30)))
            cv2.ellipse(mask, (x, y), radii, number * 20, 0, 360, 1, -1)
        yield mask.astype(bool)


@pytest.mark.parametrize('reading', READINGS)
def test_yolo_outlines_of_small_objects_are_read_back_as_they_were(
    tmp_path: Path, reading: Reading
):
    overlaps = []
    for number, mask in enumerate(small_shapes()):
        line = one_label(tmp_path / str(number), mask, [])
        _, read = drawn(line, reading, mask.shape)
        overlaps.append((mask & read).sum() / (mask | read).sum())
        corners = np.array(line.split()[1:], np.float32).reshape(-1, 2)
        assert len(corners) >= 3 and corners.min() >= 0 and corners.max() <= 1
        assert (np.ptp(corners, axis=0) > 0).all(), 'a box without area is thrown away'
    assert min(overlaps) > 0
    assert np.mean(overlaps) > 0.99


def test_yolo_says_where_holes_are_filled(tmp_path: Path):
    said: list[str] = []
    one_label(tmp_path / 'whole', square(8, 8), said)
    assert said == []
    one_label(tmp_path / 'ring', square(8, 8) & ~square(12, 12, 4), said)
    assert said == [
        'ring: 1 of 1 YOLO outlines are of objects with holes: they are filled, as the format '
        'has none'
    ]


def test_yolo_has_a_polygon_an_object_and_an_empty_file_for_an_empty_frame(tmp_path: Path):
    fill(YoloFolder(tmp_path / 'labels', CLASSES))
    lines = (tmp_path / 'labels' / '00002.txt').read_text().splitlines()
    for line, mask, expected in zip(lines, result(2).tracked.masks, (0, 1), strict=True):
        number, polygon = drawn(line)
        assert number == expected
        assert np.array_equal(polygon, mask)
    assert len((tmp_path / 'labels' / '00003.txt').read_text().splitlines()) == 1


def test_yolo_joins_the_parts_of_an_object_in_one_polygon():
    mask = square(2, 2, 10) | square(30, 5, 8) | square(40, 30, 6)
    polygon = one_polygon(mask)
    canvas = np.zeros(HW, np.uint8)
    cv2.fillPoly(canvas, [polygon], 1)
    missing, added = mask & (canvas == 0), ~mask & (canvas == 1)
    assert not missing.any()
    # The lines between the parts have no width, but drawing gives them a pixel's.
    assert added.sum() < 60


def test_yolo_gives_a_single_pixel_three_corners():
    assert one_polygon(square(7, 9, 1)).tolist() == [[7, 9]] * 3


def test_yolo_class_names_are_quoted(tmp_path: Path):
    yaml = pytest.importorskip('yaml')
    write_names(tmp_path, Classes(('yes', "cook's hat: red", '7')))
    names = yaml.safe_load((tmp_path / 'data.yaml').read_text())['names']
    assert names == {0: 'yes', 1: "cook's hat: red", 2: '7'}


def test_yolo_pictures_are_found_from_wherever_training_is_started(tmp_path: Path):
    yaml = pytest.importorskip('yaml')
    write_names(tmp_path, CLASSES)
    described = yaml.safe_load((tmp_path / 'data.yaml').read_text())
    # A relative `path` counts from the working directory; none means beside the file.
    assert 'path' not in described
    assert described['train'] == described['val'] == 'images'
