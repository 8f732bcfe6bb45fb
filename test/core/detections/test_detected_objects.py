# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a detector's boxes lead to: confirming, matching, choosing, refining, retiring."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies
import numpy as np
import pytest
from sam2_tracker.core.config import DetectionsConfig
from sam2_tracker.core.detections.detected_objects import (
    DetectedObjects,
    MAX_CANDIDATES,
    MAX_MISSES,
    MAX_UNSEEN,
    Scene,
)
from sam2_tracker.core.detections.detection import Detection, Refusals, sifted
from sam2_tracker.core.log import Level
from sam2_tracker.core.prompts.validation import validate_prompts
from sam2_tracker.core.types import Box, ObjectState, Prompt, TrackedObject

SOURCE_HW = (480, 640)
DOG = (100.0, 100.0, 200.0, 200.0)
CAT = (400.0, 50.0, 500.0, 150.0)


def found(box=DOG, score=0.9, class_id='dog') -> Detection:
    return Detection(box, score, class_id)


def moved(box, pixels) -> tuple[float, float, float, float]:
    return (box[0] + pixels, box[1], box[2] + pixels, box[3])


def tracked(object_id=1, box=DOG, label='dog', state=ObjectState.VISIBLE) -> TrackedObject:
    left, top, right, bottom = map(int, box)
    seen = Box(left, top, right - left, bottom - top) if state is ObjectState.VISIBLE else None
    return TrackedObject(object_id, label, state, 0.9, seen)


def scene(second, *objects, room=32, last_boxes=None, now=None, **fields) -> Scene:
    return Scene(round(second * 1e9), SOURCE_HW, objects, last_boxes or {},
                 objects if now is None else now, room, **fields)


def looking(**settings) -> DetectedObjects:
    return DetectedObjects(DetectionsConfig(**settings), Refusals())


def bring(objects: DetectedObjects, object_id: int, box=DOG, mask=DOG) -> None:
    """Let an object have come of a box of the detector."""
    objects.took(
        tracked(object_id, mask), Prompt(label='dog', box_xyxy=np.array(box, np.float32)))


def prompted(prompts) -> list[tuple[int, str, list[float]]]:
    return [(each.object_id, each.label, each.box_xyxy.tolist()) for each in prompts]


def test_a_box_that_fits_no_object_becomes_one_on_the_newest_frame_that_confirmed_it():
    objects = looking(confirm_frames=3)
    assert objects.consider([found()], scene(1)) == ()
    assert objects.consider([found(moved(DOG, 10))], scene(2)) == ()
    prompts = objects.consider([found(moved(DOG, 20))], scene(3))
    assert prompted(prompts) == [(0, 'dog', [120, 100, 220, 200])]


def test_a_box_that_fits_a_tracked_object_prompts_nothing():
    objects = looking(confirm_frames=1)
    assert objects.consider([found(moved(DOG, 20))], scene(1, tracked())) == ()
    assert prompted(objects.consider([found(moved(DOG, 40))], scene(2, tracked()))) == [
        (0, 'dog', [140, 100, 240, 200])]


def test_what_overlap_counts_as_fit_is_a_setting():
    objects = looking(confirm_frames=1, match_iou=0.2)
    assert objects.consider([found(moved(DOG, 40))], scene(1, tracked())) == ()


def test_one_frame_counts_once_however_often_it_is_seen():
    objects = looking(confirm_frames=2)
    assert objects.consider([found()], scene(1)) == ()
    assert objects.consider([found()], scene(1)) == ()
    assert len(objects.consider([found()], scene(2))) == 1


def test_a_thing_of_another_class_does_not_confirm():
    objects = looking(confirm_frames=2)
    objects.consider([found(class_id='cat')], scene(1))
    assert objects.consider([found()], scene(2)) == ()


def test_a_thing_that_several_frames_in_a_row_do_not_show_begins_anew():
    objects = looking(confirm_frames=2)
    objects.consider([found()], scene(1))
    for second in range(2, 3 + MAX_MISSES):
        objects.consider([], scene(second))
    assert objects.consider([found()], scene(20)) == ()
    objects.consider([], scene(21))
    assert len(objects.consider([found()], scene(22))) == 1


def test_two_boxes_of_one_thing_become_one_object_the_better():
    objects = looking(confirm_frames=1)
    prompts = objects.consider(
        [found(DOG, 0.9, 'dog'), found(moved(DOG, 5), 0.8, 'wolf')], scene(1))
    assert prompted(prompts) == [(0, 'dog', list(DOG))]


def test_all_that_is_confirmed_is_one_batch_best_first_and_never_more_than_there_is_room_for():
    objects = looking(confirm_frames=2)
    boxes = [found(DOG, 0.6), found(CAT, 0.8, 'cat'), found((0, 300, 50, 400), 0.7, 'hen')]
    objects.consider(boxes, scene(1))
    prompts = objects.consider(boxes, scene(2, room=2))
    assert [each.label for each in prompts] == ['cat', 'hen']
    assert objects.consider(boxes[:1], scene(3, room=0)) == ()
    assert [each.label for each in objects.consider(boxes[:1], scene(4, room=1))] == ['dog']


def test_a_hidden_object_of_the_detectors_is_refined_where_it_was_last():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    for state in (ObjectState.OCCLUDED, ObjectState.LOST):
        hidden = tracked(state=state)
        prompts = objects.consider(
            [found(moved(DOG, 10))], scene(1, hidden, last_boxes={1: Box(100, 100, 100, 100)}))
        assert prompted(prompts) == [(1, '', [110, 100, 210, 200])]


def test_in_another_shot_a_box_in_the_place_of_a_hidden_object_is_another_thing():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    hidden = tracked(state=ObjectState.OCCLUDED)
    prompts = objects.consider([found()], scene(
        1, hidden, last_boxes={1: Box(100, 100, 100, 100)}, elsewhere={1}))
    assert prompted(prompts) == [(0, 'dog', list(DOG))]


@pytest.mark.parametrize('changed', [
    {'now': (tracked(),)},
    {'now': (replace(tracked(state=ObjectState.LOST), catching_up=True),)},
    {'is_refinable': False},
])
def test_a_hidden_object_that_needs_no_help_or_can_have_none_is_left_as_it_is(changed):
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    hidden = tracked(state=ObjectState.LOST)
    last_boxes = {1: Box(100, 100, 100, 100)}
    assert objects.consider([found()], scene(1, hidden, last_boxes=last_boxes, **changed)) == ()


def test_a_box_of_another_class_does_not_refine_a_hidden_object():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    hidden = tracked(state=ObjectState.OCCLUDED)
    prompts = objects.consider([found(class_id='cat')], scene(
        1, hidden, last_boxes={1: Box(100, 100, 100, 100)}))
    assert prompted(prompts) == [(0, 'cat', list(DOG))]


def test_a_visible_object_has_its_box_before_a_hidden_one():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    bring(objects, 2)
    hidden = tracked(1, state=ObjectState.OCCLUDED)
    prompts = objects.consider([found()], scene(
        1, hidden, tracked(2, moved(DOG, 20)), last_boxes={1: Box(100, 100, 100, 100)}))
    assert prompts == ()


def test_peoples_own_objects_are_left_alone_and_a_lost_one_holds_no_place():
    objects = looking(confirm_frames=1)
    last_boxes = {1: Box(100, 100, 100, 100)}
    occluded, lost = tracked(state=ObjectState.OCCLUDED), tracked(state=ObjectState.LOST)
    assert objects.consider([found()], scene(1, occluded, last_boxes=last_boxes)) == ()
    prompts = objects.consider([found()], scene(2, lost, last_boxes=last_boxes))
    assert prompted(prompts) == [(0, 'dog', list(DOG))]


def test_an_object_that_somebody_prompted_is_theirs_from_then_on():
    objects = looking(remove_lost=1)
    bring(objects, 1)
    bring(objects, 2)
    objects.release([1])
    lost = [tracked(1, state=ObjectState.LOST), tracked(2, state=ObjectState.LOST)]
    assert objects.outstayed(lost, 10**9) == ()
    assert objects.outstayed(lost, 3 * 10**9) == (2,)


def test_frames_from_before_an_object_was_known_confirm_nothing():
    objects = looking(confirm_frames=2)
    objects.consider([found()], scene(1))
    assert objects.consider([found()], scene(2, now=(tracked(),))) == ()
    unknown = tracked(state=ObjectState.UNKNOWN)
    assert objects.consider([found()], scene(3, unknown, now=(tracked(),))) == ()


def test_what_somebody_removed_does_not_come_back_as_long_as_it_is_shown():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    objects.dismiss(tracked())
    for second in range(1, 30):
        moving = found(moved(DOG, 10 * second))
        assert objects.consider([moving, found(CAT)], scene(second, tracked(2, CAT))) == ()
    assert len(objects.consider([found(DOG)], scene(30))) == 1
    objects.forget_candidates()
    assert len(objects.consider([moving], scene(31))) == 1


def test_what_somebody_removed_may_come_back_after_it_was_away():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    objects.dismiss(tracked())
    for second in (1, 10, 20):
        assert objects.consider([found()], scene(second)) == ()
    assert objects.consider([], scene(29)) == ()
    assert objects.consider([], scene(30.1)) == ()
    assert len(objects.consider([found()], scene(30.2))) == 1


def test_neither_another_class_nor_a_tracked_object_is_taken_for_what_was_removed():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    bring(objects, 2, moved(DOG, 60), moved(DOG, 60))
    objects.dismiss(tracked())
    beside = tracked(2, moved(DOG, 60))
    assert objects.consider([found(moved(DOG, 60))], scene(1, beside)) == ()
    assert objects.consider([found()], scene(2, beside)) == ()
    assert len(objects.consider([found(class_id='cat')], scene(3, beside))) == 1


def test_peoples_own_object_that_is_removed_does_not_become_the_detectors():
    """Its label is its owner's: the box of its mask is what the detector's are told by."""
    objects = looking(confirm_frames=1)
    assert objects.consider([found()], scene(1, tracked(label='rex'))) == ()
    objects.dismiss(tracked(label='rex'))
    for second in range(2, 5):
        assert objects.consider([found(moved(DOG, 10 * second))], scene(second)) == ()
    assert len(objects.consider([found(moved(DOG, 40), class_id='cat')], scene(5))) == 1


def test_what_fits_an_object_after_all_is_no_candidate_any_more():
    objects = looking(confirm_frames=2)
    objects.consider([found(moved(DOG, 60))], scene(1, tracked()))
    objects.consider([found(moved(DOG, 20))], scene(2, tracked()))
    assert objects.consider([found(moved(DOG, 60))], scene(3, tracked())) == ()


def test_an_object_whose_mask_is_not_what_was_meant_is_not_made_again():
    objects = looking(confirm_frames=1)
    behind = (90, 40, 260, 240)
    bring(objects, 1, mask=behind)
    for second in range(1, 8):
        moving = found(moved(DOG, 10 * second))
        assert objects.consider([moving], scene(second, tracked(1, behind))) == ()


def test_each_of_two_like_objects_keeps_its_own_boxes_though_their_masks_are_the_same():
    objects = looking(confirm_frames=1)
    behind = (90, 40, 260, 240)
    bring(objects, 1, mask=behind)
    bring(objects, 2, behind, behind)
    boxes = [found(), found(behind)]
    for order in (boxes, boxes[::-1]):
        assert objects.consider(order, scene(1, tracked(1, behind), tracked(2, behind))) == ()


def test_a_mask_that_was_right_and_went_elsewhere_leaves_the_thing_to_a_new_object():
    objects = looking(confirm_frames=2)
    bring(objects, 1)
    assert objects.consider([found()], scene(1, tracked())) == ()
    assert objects.consider([found()], scene(2, tracked(1, moved(DOG, 40)))) == ()
    gone = tracked(1, CAT)
    assert objects.consider([found()], scene(3, gone)) == ()
    assert prompted(objects.consider([found()], scene(4, gone))) == [(0, 'dog', list(DOG))]


def test_a_second_box_on_an_objects_mask_does_not_take_the_place_of_its_own():
    objects = looking(confirm_frames=1)
    bring(objects, 1)
    beside = moved(DOG, 100)
    both = (*DOG[:2], *beside[2:])
    for second in range(1, 5):
        boxes = [found(DOG, 0.9), found(beside, 0.8)]
        assert objects.consider(boxes, scene(second, tracked(1, both))) == ()
    wider = (*DOG[:2], 400.0, 200.0)
    assert objects.consider([found()], scene(9, tracked(1, wider))) == ()


def test_a_thing_that_was_not_seen_for_long_is_known_by_its_mask_alone():
    objects = looking(confirm_frames=1)
    bring(objects, 1, mask=CAT)
    elsewhere = tracked(1, CAT)
    for second in range(1, 3 + MAX_UNSEEN):
        objects.consider([], scene(second, elsewhere))
    assert len(objects.consider([found()], scene(99, elsewhere))) == 1


def test_only_what_is_lost_for_long_goes_and_only_if_a_detector_brought_it():
    objects = looking(remove_lost=2)
    bring(objects, 1)
    bring(objects, 2)
    lost = [tracked(n, state=ObjectState.LOST) for n in (1, 2, 3)]
    assert objects.outstayed(lost, 10 * 10**9) == ()
    assert objects.outstayed([tracked(1), *lost[1:]], 11 * 10**9) == ()
    assert objects.outstayed(lost, 12 * 10**9) == (2,)
    assert objects.outstayed([lost[0], lost[2]], 14 * 10**9) == (1,)
    assert objects.outstayed([lost[2]], 99 * 10**9) == ()


def test_frames_in_between_are_passed_over_by_the_period():
    objects = looking(period_s=0.5)
    assert objects.is_due(10**9)
    objects.consider([], scene(1))
    assert [objects.is_due(round(s * 1e9)) for s in (1.0, 1.4, 1.5, 0.8, 0.5)] == [
        True, False, True, False, True]


def test_arrays_of_two_detectors_confirm_in_any_order():
    objects = looking(confirm_frames=3)
    assert objects.consider([found()], scene(2)) == ()
    assert objects.consider([found()], scene(1)) == ()
    assert len(objects.consider([found(moved(DOG, 3))], scene(3))) == 1


def test_candidates_are_bounded():
    objects = looking(confirm_frames=99)
    for number in range(6):
        boxes = [found((x, y, x + 9, y + 9)) for x in range(number * 100, number * 100 + 99, 10)
                 for y in range(0, 99, 10)]
        objects.consider(boxes, scene(number))
    assert len(objects._candidates) <= MAX_CANDIDATES


def test_a_box_is_clipped_and_one_outside_is_refused_and_counted():
    lines = []
    refusals = Refusals(lambda level, line: lines.append((level, line)))
    objects = DetectedObjects(DetectionsConfig(confirm_frames=1), refusals)
    boxes = [found((600, -20, 700, 90)), found((640, 0, 700, 90)), found((9, 9, 9.5, 90))]
    assert prompted(objects.consider(boxes, scene(1))) == [(0, 'dog', [600, 0, 640, 90])]
    assert refusals.count == 2
    assert lines == [(Level.WARN, (
        'detections refused: box (640, 0, 700, 90) has not a pixel within the 640x480 frame; '
        'pixels of the source image are expected; further ones like it are counted only'))]


numbers = strategies.one_of(
    strategies.floats(-50, 700), strategies.floats(allow_nan=True, allow_infinity=True),
    strategies.sampled_from([0.0, 100.0, 200.0, 640.0, 1e308, 5e-324]))
anything = strategies.lists(
    strategies.builds(
        Detection, strategies.tuples(numbers, numbers, numbers, numbers), numbers,
        strategies.sampled_from(['dog', 'cat', '', 'x' * 300, '\x1b'])), max_size=12)


@given(strategies.lists(anything, max_size=6), strategies.integers(0, 3))
def test_whatever_a_detector_says_valid_prompts_come_of_it_and_no_more_than_there_is_room_for(
    arrays, room
):
    refusals = Refusals()
    config = DetectionsConfig(confirm_frames=1, min_score=0.1)
    objects = DetectedObjects(config, refusals)
    bring(objects, 1)
    hidden = tracked(state=ObjectState.LOST)
    for second, found_there in enumerate(arrays, 1):
        kept = sifted(found_there, config, refusals)
        prompts = objects.consider(kept, scene(second, hidden, room=room))
        if prompts:
            assert validate_prompts(prompts, SOURCE_HW, {1}, 1 + room)
        assert sum(each.object_id == 0 for each in prompts) <= room
