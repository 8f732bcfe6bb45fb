# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Anchors: what becomes one, how they are read, and that every object ends up with one layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
import sys

import numpy as np
from policy_rig import hidden_in, made_up, MadeUp, Recorder, small_model, taught, track_one
import pytest
from sam2_tracker.core.engine.memory.distractor import box_overlap, DistractorMemory
from sam2_tracker.core.engine.memory.entry import Trust
from sam2_tracker.core.engine.memory.object_memory import MemoryPolicy, ObjectMemory
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import BoolArray
from stock import CLIP_HW, disc_mask, disc_xy, points, read_clip

SEEN_LONG_ENOUGH = 31
ALWAYS_SEEN = hidden_in()


@pytest.fixture(scope='module')
def recorder(predictor) -> Recorder:
    """Give a model with 7 maps and 16 pointers, as the large ones have."""
    return Recorder(predictor.model, 'distractor')


@pytest.fixture
def tracked(recorder, encoded) -> Callable[..., ObjectMemory]:
    """Track one object on made-up lessons, prompted on some frames."""
    def track(frames: int, lessons: Callable[[int], MadeUp] = ALWAYS_SEEN,
              prompted: tuple[int, ...] = (0,), look_back: int = 0,
              policy: MemoryPolicy = recorder._policy) -> ObjectMemory:
        policy = taught(policy, lessons)
        return track_one(recorder, encoded, policy, frames, prompted, look_back)

    return track


def reading(recorder: Recorder, memory: ObjectMemory, index: int):
    return memory.policy.read(recorder.model, memory, index)


def test_after_31_frames_visible_without_a_gap_all_objects_share_one_layout(recorder, tracked):
    alike = hidden_in(look_alike=True)
    memories = {
        'one prompt': tracked(SEEN_LONG_ENOUGH + 1),
        'three prompts': tracked(SEEN_LONG_ENOUGH + 3, prompted=(0, 1, 2)),
        'six prompts': tracked(SEEN_LONG_ENOUGH + 12, prompted=(0, 2, 4, 6, 8, 11)),
        'look-alikes': tracked(SEEN_LONG_ENOUGH + 8, alike),
        'prompts and look-alikes': tracked(SEEN_LONG_ENOUGH + 12, alike, (0, 2, 4, 6, 8, 11))}
    layouts = {name: reading(recorder, memory, memory.last_index + 1).layout
               for name, memory in memories.items()}
    assert layouts == dict.fromkeys(memories, (7, 16))
    assert [bool(memory.anchors) for memory in memories.values()] == [False] * 3 + [True] * 2


def test_objects_seen_less_have_fewer_maps_and_form_a_batch_of_their_own(recorder, tracked):
    lessons = hidden_in(range(4, 11), range(14, 16), range(19, 26))
    memory = tracked(31, lessons)
    # Frames 5, 10, 15, 20 and 25 were hidden, 14 others were not.
    assert reading(recorder, memory, 31).layout == (2, 15)


def test_hidden_frames_are_kept_within_the_look_back_and_never_read(recorder, tracked):
    memory = tracked(60, hidden_in(range(20, 60)), look_back=3)
    found = reading(recorder, memory, 60)
    assert set(memory.tracked) >= {56, 57, 58, 59}
    assert found.layout == (5, 16)
    # Frames 19, 15, 10, 5 and the prompted one; what is older than 15 frames looks 15 old.
    assert found.map_times == [6, 0, 1, 2, 3]
    assert found.ages == [60, *[15] * 15]


def test_recent_frames_keep_their_true_ages(recorder, tracked):
    assert reading(recorder, tracked(40), 40).ages == [40, *range(1, 15), 15]


@pytest.mark.parametrize(('prompted', 'anchors'), [((0,), 3), ((0, 1), 2), ((0, 1, 2, 3, 4), 1)])
def test_prompted_frames_are_read_before_anchors_and_leave_room_for_one(
        recorder, tracked, prompted, anchors):
    memory = tracked(60, hidden_in(look_alike=True), prompted)
    found = reading(recorder, memory, 60)
    newest = sorted(prompted, reverse=True)[:3]
    learnt = sorted(memory.anchors, reverse=True)[:anchors]
    assert found.ages[:4] == [60 - index for index in (*newest, *learnt)]
    assert found.map_times == [6, 6, 6, 6, 0, 1, 2]


def test_without_a_look_alike_four_prompted_frames_are_read(recorder, tracked):
    found = reading(recorder, tracked(40, prompted=(0, 1, 2, 3, 4)), 40)
    assert found.ages[:4] == [36, 37, 38, 39]
    assert found.map_times == [6, 6, 6, 6, 0, 1, 2]


def test_an_anchor_is_not_read_a_second_time_as_a_recent_frame(recorder, tracked):
    memory = tracked(39, hidden_in(look_alike=True))
    found = reading(recorder, memory, 39)
    assert 38 in memory.anchors
    assert len({tensor.data_ptr() for tensor in found.maps}) == 7
    assert sorted(found.ages) == sorted(set(found.ages))


@pytest.mark.parametrize(('odd', 'learns'), [
    ({}, True), ({'look_alike': False}, False), ({'score': -1.0}, False), ({'iou': 0.8}, False),
    ({'area': 121}, False), ({'area': 79}, False), ({'area': 81}, True)],
    ids=['all', 'no look-alike', 'hidden', 'unsure', 'larger', 'smaller', 'nearly as small'])
def test_an_anchor_has_a_look_alike_a_sure_mask_and_its_usual_size(tracked, odd, learns):
    plain = made_up(look_alike=False)
    memory = tracked(21, lambda index: made_up(**odd) if index == 20 else plain)
    assert list(memory.anchors) == ([20] if learns else [])


def test_anchors_are_more_than_five_frames_apart(tracked):
    memory = tracked(30, hidden_in(look_alike=True), look_back=40)
    assert list(memory.anchors) == [2, 8, 14, 20, 26]


def test_a_prompt_takes_the_place_of_an_anchor(tracked, recorder, encoded):
    memory = tracked(20, hidden_in(look_alike=True), look_back=10)
    assert 14 in memory.anchors
    corrected = memory.fork()
    corrected.rewind(14)
    recorder.prompt(corrected, 14, encoded(14), points([disc_xy(0, 14)]), False)
    recorder.taught(corrected, corrected.video_hw)
    assert (14 in corrected.anchors, 14 in corrected.cond_indices) == (False, True)
    assert 14 in memory.anchors


def test_going_back_forgets_anchors_that_come_later_and_a_fork_keeps_its_own(tracked):
    memory = tracked(30, hidden_in(look_alike=True), look_back=20)
    fork = memory.fork()
    fork.rewind(14)
    assert (max(fork.anchors), max(memory.anchors)) == (14, 26)


def test_what_is_adopted_comes_with_its_numbers_and_its_anchor(tracked):
    memory = tracked(27, hidden_in(look_alike=True), look_back=20)
    other = memory.fork()
    other.rewind(20)
    for index in range(21, 27):
        other.adopt(index, memory)
    assert list(other.anchors) == list(memory.anchors)
    assert other.tracked[25]['seen'] == memory.tracked[25]['seen']


def test_exported_banks_hold_prompted_frames_only(tracked, recorder):
    memory = tracked(40, hidden_in(look_alike=True), (0, 3))
    assert memory.anchors
    assert len(recorder.export_cond(memory)) == 2
    assert recorder.taught(memory, memory.video_hw).anchors == {}


def test_nano_has_room_for_two_anchors(one_thread):
    small = DistractorMemory.of(small_model())
    assert (small.maps, small.pointers, small.anchors) == (4, 16, 2)


def drawn(boxes: Mapping[int, tuple[slice, slice]]) -> BoolArray:
    masks = np.zeros((4, 40, 40), np.bool_)
    for number, place in boxes.items():
        masks[number][place] = True
    return masks


def test_the_box_of_mask_and_look_alike_is_compared_with_the_masks_own():
    own = np.s_[0:10, 0:10]
    assert box_overlap(drawn({0: own})) == 1.0
    assert box_overlap(drawn({0: own, 1: own})) == 1.0
    assert box_overlap(drawn({0: own, 1: own, 2: np.s_[0:10, 10:20]})) == 0.5
    assert box_overlap(drawn({0: own, 1: np.s_[0:12, 0:10], 3: np.s_[30:40, 30:40]})) == 1 / 16


def test_of_a_candidate_the_largest_region_outside_the_mask_counts():
    masks = drawn({0: np.s_[0:10, 0:10], 1: np.s_[0:10, 12:20]})
    masks[1, 39, 39] = True
    assert box_overlap(masks) == 0.5


def test_frames_that_a_model_is_not_sure_of_are_not_read(recorder, tracked):
    """Without this a mask that is taken for a hidden object is read, and grows."""
    def lessons(index: int) -> MadeUp:
        return made_up(iou=0.3 if index % 2 and index > 5 else 0.9, look_alike=False)

    sure_only = replace(recorder._policy, trust=Trust(read=0.5))
    found = tracked(60, lessons, policy=sure_only)
    ages = reading(recorder, found, 60).ages
    assert ages == [60, *(60 - index for index in range(58, 44, -2)), *[15] * 8]
    assert all(entry['maskmem_features'] is None or index % 2 == 0 or index in (5, 59)
               for index, entry in found.tracked.items())
    # Without a threshold all that are visible are.
    assert reading(recorder, tracked(60, lessons), 60).ages == [60, *range(1, 16)]


def test_of_an_object_that_a_model_is_never_sure_of_the_surer_frames_are_read(recorder, tracked):
    """Of a small thing nothing but the prompted frame would be read, while the thing turns."""
    def lessons(index: int) -> MadeUp:
        # From frame 40 on it is hidden, and something is taken for it.
        iou = 0.3 if index < 40 else 0.1
        return made_up(iou=iou, look_alike=False)

    policy = replace(recorder._policy, trust=Trust(read=0.5))
    found = tracked(60, lessons, policy=policy)
    assert reading(recorder, found, 60).ages == [60, *[15] * 15]
    assert max(index for index, entry in found.tracked.items() if entry['relied_on']) == 39


@pytest.mark.parametrize(('ious', 'relied_on'), [
    ([*[0.9] * 5, 0.46, 0.44], range(6)), ([*[0.2] * 5, 0.13, 0.11], range(6)),
    ([0.1, 0.2, 0.1, 0.2, 0.01, 0.05], range(5)),
    ([*[0.2] * 5, *[0.7] * 6, 0.41, 0.43], [*range(11), 12])],
    ids=['sure', 'unsure', 'the first five', 'surer and surer'])
def test_what_is_relied_on_is_told_from_what_was_usual(recorder, tracked, ious, relied_on):
    policy = replace(recorder._policy, trust=Trust(read=0.45, read_share=0.6))

    def lessons(index: int) -> MadeUp:
        return made_up(score=20.0, iou=ious[index - 1], look_alike=False)

    found = tracked(1 + len(ious), lessons, policy=policy, look_back=20)
    assert [index - 1 for index, entry in found.tracked.items() if entry['relied_on']
            ] == list(relied_on)


@pytest.mark.parametrize('name', ['hiera-tiny', 'nano'])
def test_anchors_are_learnt_by_models_of_random_weights_that_are_made_sure(
        predictor, clip_folder, name):
    """The network and what is remembered are real, what it saw is made up."""
    model = predictor.model if name == 'hiera-tiny' else small_model()
    tracker = Recorder(model, 'distractor', with_network=True)
    memory = tracker.new_memory(CLIP_HW)
    memory.policy = taught(memory.policy, hidden_in(range(6, 9), look_alike=True))
    pictures = read_clip(clip_folder)[:20]
    tracker.prompt(memory, 0, tracker.encode(pictures[0]), disc_mask(0, 0), False)
    for index, picture in enumerate(pictures):
        tracker.track([TrackStep(memory, index, tracker.encode(picture))])
    memory.take_in()
    sys.stdout.write(f'{name}: {len(memory.anchors)} anchors, on {sorted(memory.anchors)}\n')
    assert sorted(memory.anchors) == [2, 9, 15]
    found = reading(tracker, memory, 20)
    assert found.ages[:2] == [20, 5]
