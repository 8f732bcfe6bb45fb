# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""COCO's masks as polygons, as other code reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from results import result
from sam2_tracker.offline.sinks.annotations import Classes, CocoFile, polygons


def fill(sink: CocoFile) -> None:
    for number in range(6):
        sink.write(result(number))
    sink.finish()


def test_polygons_are_the_very_pixels_to_the_official_coco_code():
    masks = pytest.importorskip('pycocotools.mask', reason='pycocotools is not installed')
    rng = np.random.default_rng(5)
    patterns = [rng.random((19, 23)) < density for density in (0.02, 0.2, 0.5, 0.8, 0.98)]
    ring = np.zeros((19, 23), bool)
    ring[2:15, 3:20] = True
    ring[5:12, 6:17] = False
    ring[7:10, 8:14] = True
    pixel = np.zeros((19, 23), bool)
    pixel[18, 22] = True
    for mask in (*patterns, ring, pixel, np.ones((19, 23), bool)):
        found = masks.merge(masks.frPyObjects(polygons(mask), 19, 23))
        assert np.array_equal(masks.decode(found).astype(bool), mask)


def test_coco_has_polygons_where_they_are_asked_for(tmp_path: Path):
    classes = Classes.of(['cup', '', 'cup'])
    coco_code = pytest.importorskip('pycocotools.coco', reason='pycocotools is not installed')
    fill(CocoFile(tmp_path / 'out.json', 'clip', classes, has_polygons=True))
    fill(CocoFile(tmp_path / 'rle.json', 'clip', classes))
    coco = coco_code.COCO(str(tmp_path / 'out.json'))
    with_rle = coco_code.COCO(str(tmp_path / 'rle.json'))
    for one in coco.loadAnns(coco.getAnnIds()):
        assert isinstance(one['segmentation'], list)
        (same,) = with_rle.loadAnns([one['id']])
        assert np.array_equal(coco.annToMask(one), with_rle.annToMask(same))
