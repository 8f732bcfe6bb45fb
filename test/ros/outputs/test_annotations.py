# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The outlines of masks, as Foxglove and Lichtblick draw them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sam2_tracker.ros.outputs.annotations import (
    annotation_outputs,
    MOST_CORNERS,
    MOST_OUTLINES,
    outlines,
    TOLERANCE_PX,
)

DOMAIN_ID = 79


def mask(*boxes: tuple[int, int, int, int], hw: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Return a mask of boxes: left, top, width, height."""
    drawn = np.zeros(hw, bool)
    for x, y, width, height in boxes:
        drawn[y:y + height, x:x + width] = True
    return drawn


def test_an_outline_goes_through_the_middles_of_the_outermost_pixels():
    outline, = outlines(mask((20, 10, 30, 20)))
    assert sorted(map(tuple, outline.tolist())) == [
        (20.5, 10.5), (20.5, 29.5), (49.5, 10.5), (49.5, 29.5)]


def test_each_part_has_an_outline_the_largest_first_and_holes_have_none():
    ring = mask((2, 2, 6, 6), (20, 10, 30, 20))
    ring[15:20, 25:40] = False
    small, large = mask((2, 2, 6, 6)), mask((20, 10, 30, 20))
    found = outlines(ring)
    assert [each.tolist() for each in found] == [
        *(each.tolist() for part in (large, small) for each in outlines(part))]


def test_a_round_mask_keeps_its_form_with_fewer_corners():
    rows, columns = np.ogrid[:400, :400]
    round_mask = (rows - 200) ** 2 + (columns - 200) ** 2 < 150 ** 2
    outline, = outlines(round_mask)
    assert len(outline) < 60
    drawn = np.zeros(round_mask.shape, np.uint8)
    cv2.fillPoly(drawn, [np.floor(outline).astype(np.int32)], 1)
    reach = np.ones((3, 3), np.uint8)
    grown, shrunk = cv2.dilate(drawn, reach, iterations=2), cv2.erode(drawn, reach, iterations=2)
    assert TOLERANCE_PX <= 1 and (shrunk <= round_mask).all() and (round_mask <= grown).all()


def test_of_a_mask_full_of_specks_the_largest_parts_are_drawn():
    specks = mask((0, 40, 30, 19), *((x, y, 2, 2) for x in range(0, 80, 4)
                                     for y in range(0, 36, 4)))
    found = outlines(specks)
    assert len(found) == MOST_OUTLINES
    assert cv2.contourArea(found[0].astype(np.float32)) > 400


def test_a_torn_mask_of_a_large_picture_has_no_more_corners_than_a_viewer_draws():
    rows, columns = np.ogrid[:1080, :1920]
    noise = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    torn = (cv2.resize(noise, (1920, 1080)) > 0) & (columns > 900)
    torn |= (rows - 500) ** 2 + (columns - 400) ** 2 < 300 ** 2
    found = outlines(torn)
    assert MOST_CORNERS / 10 < sum(map(len, found)) <= MOST_CORNERS
    disc = min(found, key=lambda each: abs(each[:, 0].mean() - 400))
    away = np.hypot(disc[:, 0] - 400, disc[:, 1] - 500) - 300
    assert len(disc) > 8 and np.abs(away).max() < 3


@pytest.mark.parametrize('boxes', [(), ((5, 5, 1, 1),)], ids=['empty', 'a pixel'])
def test_nothing_is_drawn_where_there_is_nothing_to_go_around(boxes):
    assert outlines(mask(*boxes)) == []


def test_without_the_messages_there_is_no_output(graph):
    assert annotation_outputs(graph.node, None) == ()
