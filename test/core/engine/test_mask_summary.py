# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes, areas, centroids and label images are those of the masks."""

from __future__ import annotations

import numpy as np
import pytest
from sam2_tracker.core.engine import mask_summary
from sam2_tracker.core.engine.graphs.recorder import Tensors
from sam2_tracker.core.engine.graphs.replays import Work
from sam2_tracker.core.engine.mask_summary import (
    drop_islands,
    fill_holes,
    summarise_masks,
    upsample,
)
from sam2_tracker.core.engine.memory.object_memory import LowResMask
from sam2_tracker.core.protocols import MaskSummary
from sam2_tracker.core.types import Box, MaskRules, Wanted
import torch

HW = (8, 12)


def as_it_is(_kind: object, work: Work, inputs: Tensors) -> Tensors:
    return work(inputs)


def output(logits: np.ndarray, score_logit: float = 4.0) -> LowResMask:
    return LowResMask(torch.tensor(logits, dtype=torch.float32)[None, None],
                      torch.tensor([[score_logit]]))


def rectangle(box: Box, inside: float = 5.0, hw: tuple[int, int] = HW) -> np.ndarray:
    logits = np.full(hw, -5.0)
    logits[box.y:box.y + box.height, box.x:box.x + box.width] = inside
    return logits


def test_box_area_and_centroid_are_those_of_the_mask():
    box = Box(x=3, y=1, width=4, height=2)
    found = summarise_masks([output(rectangle(box))], [7], HW, Wanted())
    assert found.objects[0].box == box
    assert found.objects[0].area_px == 8
    assert found.objects[0].centroid_xy == (4.5, 1.5)
    assert found.objects[0].visible
    assert found.objects[0].score == pytest.approx(1 / (1 + np.exp(-4)))
    assert np.array_equal(found.masks[0], rectangle(box) > 0)
    assert np.array_equal(found.label_image, np.where(rectangle(box) > 0, 7, 0))
    assert found.label_image.dtype == np.uint16


def test_where_objects_overlap_the_label_is_the_likelier_and_the_masks_keep_both():
    weak, strong = Box(0, 0, 6, 4), Box(4, 2, 6, 4)
    outputs = [output(rectangle(weak, 2.0)), output(rectangle(strong, 3.0))]
    for order in ((0, 1), (1, 0)):
        found = summarise_masks([outputs[i] for i in order], [300 + i for i in order], HW,
                                Wanted())
        assert found.label_image[3, 5] == 301
        assert found.label_image[0, 0] == 300
        assert all(mask[3, 5] for mask in found.masks)
        assert [each.area_px for each in found.objects] == [24, 24]


@pytest.mark.parametrize(('score_logit', 'inside'), [(-0.1, 5.0), (4.0, -1.0)])
def test_an_absent_object_or_an_empty_mask_is_not_visible(score_logit, inside):
    seen, absent = Box(0, 0, 2, 2), Box(5, 5, 3, 3)
    outputs = [output(rectangle(seen)), output(rectangle(absent, inside), score_logit)]
    found = summarise_masks(outputs, [1, 2], HW, Wanted())
    score = found.objects[1].score
    assert found.objects[1] == MaskSummary(score, visible=False)
    assert (score > 0.5) == (score_logit > 0)
    assert not found.masks[1].any()
    assert set(np.unique(found.label_image)) == {0, 1}


def test_masks_are_those_of_stock_upsampling_at_any_size():
    torch.manual_seed(0)
    logits = torch.randn(1, 1, 32, 32)
    found = summarise_masks([LowResMask(logits, torch.ones(1, 1))], [1], (97, 131), Wanted())
    stock = torch.nn.functional.interpolate(logits, size=(97, 131), mode='bilinear',
                                            align_corners=False)[0, 0]
    assert np.array_equal(found.masks[0], stock.numpy() > 0)
    assert upsample(logits, (32, 32)).data_ptr() == logits.data_ptr()


def test_the_threshold_decides_what_belongs_to_an_object():
    outputs = [output(rectangle(Box(0, 0, 2, 2), 1.0))]
    assert summarise_masks(outputs, [1], HW, Wanted(), MaskRules(1.5)).objects[0].area_px == 0
    assert summarise_masks(outputs, [1], HW, Wanted(), MaskRules(0.5)).objects[0].area_px == 4


def test_only_what_is_wanted_is_made():
    outputs = [output(rectangle(Box(0, 0, 2, 2)))]
    found = summarise_masks(outputs, [1], HW, Wanted(label_image=False, masks=False))
    assert (found.masks, found.label_image) == ((), None)
    assert found.objects[0].area_px == 4


def test_no_objects_make_an_empty_label_image():
    found = summarise_masks([], [], HW, Wanted())
    assert (found.objects, found.masks) == ((), ())
    assert not found.label_image.any()
    assert found.label_image.shape == HW


def test_more_objects_than_a_byte_can_count_keep_their_ids():
    outputs = [output(rectangle(Box(number % 12, number // 12 % 8, 1, 1), 1.0 + number))
               for number in range(300)]
    found = summarise_masks(outputs, list(range(1000, 1300)), HW, Wanted(masks=False))
    assert found.label_image[299 // 12 % 8, 299 % 12] == 1299


def test_small_holes_are_filled_in_mask_area_and_label():
    logits = rectangle(Box(1, 1, 8, 6))
    logits[2, 2] = logits[4, 4:7] = -5.0
    found = summarise_masks([output(logits)], [9], HW, Wanted(), MaskRules(fill_hole_area=2))
    assert found.objects[0].area_px == 8 * 6 - 3
    assert found.label_image[2, 2] == 9
    assert found.label_image[4, 5] == 0
    assert found.masks[0][2, 2]
    assert not summarise_masks([output(logits)], [9], HW, Wanted()).masks[0][2, 2]


def test_another_objects_pixels_in_a_filled_hole_stay_its_own():
    ring = rectangle(Box(1, 1, 8, 6))
    ring[3:5, 3:5] = -5.0
    outputs = [output(ring), output(rectangle(Box(3, 3, 1, 1)))]
    found = summarise_masks(outputs, [1, 2], HW, Wanted(masks=False), MaskRules(fill_hole_area=4))
    assert found.label_image[3, 3] == 2
    assert found.label_image[4, 4] == 1
    assert found.masks == ()


def test_holes_in_nothing_stay_nothing():
    assert not fill_holes(np.zeros(HW, bool), 1000).any()


@pytest.mark.parametrize('wanted', [Wanted(), Wanted(masks=False), Wanted(label_image=False),
                                    Wanted(label_image=False, masks=False)], ids=str)
@pytest.mark.parametrize('count', [1, 2, 7])
@pytest.mark.parametrize('rules', [MaskRules(0.5), MaskRules(0.5, 3), MaskRules(0.5, 3, 4)])
def test_all_objects_at_once_have_the_results_of_one_after_the_other(
        one_thread, wanted, count, rules):
    torch.manual_seed(count)
    for hw in ((97, 131), (32, 32)):
        # Coarse numbers: many pixels belong to two objects with equal logits.
        outputs = [LowResMask(torch.randn(1, 1, 32, 32).mul(3).round(),
                              torch.tensor([[1.5 - number % 3]])) for number in range(count)]
        outputs.append(LowResMask(torch.full((1, 1, 32, 32), -1.0), torch.ones(1, 1)))
        ids = [65535, *range(7, 7 + count)]
        one, other = (summarise_masks(outputs, ids, hw, wanted, rules, replay)
                      for replay in (None, as_it_is))
        assert one.objects == other.objects
        assert np.array_equal(one.masks, other.masks)
        assert (one.label_image is None) == (other.label_image is None) == (not wanted.label_image)
        if wanted.label_image:
            assert np.array_equal(one.label_image, other.label_image)
            assert other.label_image.dtype == np.uint16 and 65535 in other.label_image
        assert not one.objects[-1].visible


def test_what_is_too_large_at_once_is_done_one_after_the_other(monkeypatch):
    monkeypatch.setattr(mask_summary, '_AT_ONCE_BYTES', 10)
    summarise_masks([output(rectangle(Box(0, 0, 2, 2)))], [1], HW, Wanted(), replay=never)


def never(_kind: object, work: Work, inputs: Tensors) -> Tensors:
    raise AssertionError('it is too large')


def test_specks_are_dropped_from_mask_box_area_and_label():
    logits = rectangle(Box(1, 1, 4, 4))
    logits[0, 11] = logits[6, 8:10] = 5.0
    outputs = [output(logits)]
    plain = summarise_masks(outputs, [9], HW, Wanted())
    assert (plain.objects[0].box, plain.objects[0].area_px) == (Box(1, 0, 11, 7), 19)
    for wanted in (Wanted(), Wanted(masks=False)):
        found = summarise_masks(outputs, [9], HW, wanted, MaskRules(min_island_area=3))
        assert (found.objects[0].box, found.objects[0].area_px) == (Box(1, 1, 4, 4), 16)
        assert np.array_equal(found.label_image == 9, rectangle(Box(1, 1, 4, 4)) > 0)
    found = summarise_masks(outputs, [9], HW, Wanted(), MaskRules(min_island_area=2))
    assert found.objects[0].area_px == 18


def test_a_dropped_speck_is_given_to_the_object_that_it_lies_in():
    logits = rectangle(Box(0, 0, 3, 3), 9.0)
    logits[6, 8] = 9.0
    outputs = [output(logits), output(rectangle(Box(6, 4, 5, 4)))]
    found = summarise_masks(outputs, [1, 2], HW, Wanted(masks=False),
                            MaskRules(min_island_area=2))
    assert found.label_image[6, 8] == 2
    assert summarise_masks(outputs, [1, 2], HW, Wanted()).label_image[6, 8] == 1


def test_an_object_that_is_all_specks_keeps_the_largest():
    mask = np.zeros(HW, bool)
    mask[1, 1:3] = mask[5, 5] = True
    assert drop_islands(mask, 100).nonzero()[0].tolist() == [1, 1]
    assert not drop_islands(np.zeros(HW, bool), 100).any()


def test_a_small_mask_with_little_around_it_is_not_filled_to_its_box():
    logits = np.full(HW, -5.0)
    logits[2, 2] = logits[3, 3] = 5.0
    found = summarise_masks([output(logits)], [9], HW, Wanted(masks=False),
                            MaskRules(fill_hole_area=50))
    assert found.objects[0].area_px == 2


def test_random_masks_are_mended_within_their_boxes_as_on_the_whole_picture():
    rng = np.random.default_rng(3)
    for _ in range(50):
        blocks = rng.random((6, 8)) < rng.choice([0.2, 0.5, 0.8])
        mask = np.kron(blocks, np.ones((4, 4))) > 0
        mask ^= rng.random(mask.shape) < 0.03
        if not mask.any():
            continue
        logits = np.where(mask, 5.0, -5.0)
        found = summarise_masks([output(logits)], [3], mask.shape, Wanted(),
                                MaskRules(fill_hole_area=12, min_island_area=9))
        whole = drop_islands(fill_holes(mask, 12), 9)
        assert np.array_equal(found.masks[0], whole)
        assert found.objects[0].area_px == whole.sum()
        assert np.array_equal(found.label_image == 3, whole)
