# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts on past frames: replayed, shown when they have caught up, equal to a plain session."""

from __future__ import annotations

from dataclasses import replace

from fakes import click, FakeMemory, frame
import numpy as np
import pytest
from tracker_rig import ALL, mask_of, reference, Rig, token_of

from sam2_tracker.core.drafting import PromptTarget
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.log import Level
from sam2_tracker.core.look_back import LookBack
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import ObjectState


@pytest.fixture
def rig() -> Rig:
    return Rig()


def refined_twice(first: int, second: int, seen: int, end: int) -> int:
    """Return the last token of: track, refine, refine, propagate again from the older one."""
    rig = Rig()
    memory = FakeMemory((48, 64))
    features = [rig.predictor.encode(frame(index).image_rgb) for index in range(end)]
    rig.predictor.prompt(memory, 0, features[0], click(), False)
    for index in range(seen):
        rig.predictor.track([TrackStep(memory, index, features[index])])
    rig.predictor.prompt(memory, first, features[first], click(x=9), False)
    rig.predictor.prompt(memory, second, features[second], click(x=20), False)
    for index in range(min(first, second), end):
        rig.predictor.track([TrackStep(memory, index, features[index])])
    return memory.output(end - 1).token


def test_an_object_prompted_on_the_newest_frame_is_tracked_from_there(rig):
    rig.play(3)
    rig.add()
    rig.play(5)
    assert token_of(rig, 1, 7) == reference([(2, click())], 2, 8)[7]


def test_a_new_object_on_a_past_frame_is_unknown_until_it_has_caught_up(rig):
    rig.play(10)
    rig.add(4)
    rig.play(1)
    assert rig.newest.objects[0].state is ObjectState.UNKNOWN
    assert rig.newest.objects[0].catching_up
    assert rig.newest.objects[0].area_px == 0
    assert not rig.newest.masks[0].any()
    rig.catch_up()
    rig.play(1)
    assert rig.newest.objects[0].state is ObjectState.VISIBLE
    assert not rig.newest.objects[0].catching_up


def test_a_new_object_on_a_past_frame_equals_one_prompted_there_in_time(rig):
    rig.play(10)
    rig.add(4)
    rig.play(3)
    rig.catch_up()
    rig.play(2)
    assert token_of(rig, 1, 14) == reference([(4, click())], 4, 15)[14]


def test_a_replay_takes_one_frame_per_slice_and_then_ends(rig):
    rig.play(10)
    rig.add(4)
    assert rig.catch_up() == 5
    assert not rig.tracker.catch_up()


def test_the_prompts_answer_comes_before_the_catch_up(rig):
    rig.play(10)
    result = rig.prompt(4, click(label='cup'))
    assert result.frame.index == 4
    assert result.objects[0].state is ObjectState.VISIBLE
    assert result.objects[0].label == 'cup'
    assert (result.label_image == 1).sum() == result.objects[0].area_px == 16


def test_a_refined_object_shows_its_old_track_until_the_new_one_has_caught_up(rig):
    rig.play(1)
    rig.add()
    rig.play(9)
    rig.prompt(5, click(1, x=9))
    rig.play(1)
    unrefined = reference([(0, click())], 0, 11)[10]
    assert rig.tracker._tracks[1].memory.output(10).token == unrefined
    assert rig.newest.objects[0].catching_up
    assert mask_of(rig.newest, 1).any()
    rig.catch_up()
    rig.play(1)
    assert not rig.newest.objects[0].catching_up
    assert token_of(rig, 1, 11) != reference([(0, click())], 0, 12)[11]


def test_a_refinement_equals_refining_and_propagating_again(rig):
    rig.play(1)
    rig.add()
    rig.play(9)
    rig.prompt(5, click(1, x=9))
    rig.play(3)
    rig.catch_up()
    rig.play(2)
    memory = FakeMemory((48, 64))
    features = [rig.predictor.encode(frame(index).image_rgb) for index in range(15)]
    rig.predictor.prompt(memory, 0, features[0], click(), False)
    for index in range(10):
        rig.predictor.track([TrackStep(memory, index, features[index])])
    rig.predictor.prompt(memory, 5, features[5], click(x=9), False)
    for index in range(5, 15):
        rig.predictor.track([TrackStep(memory, index, features[index])])
    assert token_of(rig, 1, 14) == memory.output(14).token


@pytest.mark.parametrize('slices', [0, 1, 3])
@pytest.mark.parametrize(('first', 'second'), [(5, 8), (8, 5), (5, 5), (5, 11)])
def test_a_second_refinement_during_the_catch_up_does_not_depend_on_how_far_that_is(
        rig, first, second, slices):
    rig.play(1)
    rig.add()
    rig.play(9)
    rig.prompt(first, click(1, x=9))
    for _ in range(slices):
        rig.tracker.catch_up()
    rig.play(3)
    rig.prompt(second, click(1, x=20))
    rig.play(1)
    rig.catch_up()
    rig.play(2)
    assert token_of(rig, 1, 15) == refined_twice(first, second, 13, 16)


@pytest.mark.parametrize('slices', [0, 2, 4])
def test_a_new_object_prompted_again_during_its_catch_up_has_both_prompts(rig, slices):
    rig.play(10)
    rig.add(3)
    for _ in range(slices):
        rig.tracker.catch_up()
    rig.prompt(6, click(1, x=20))
    rig.catch_up()
    rig.play(1)
    expected = reference([(3, click()), (6, click(x=20))], 3, 11)
    assert token_of(rig, 1, 10) == expected[10]


def test_other_objects_are_untouched_by_a_replay(rig):
    rig.play(1)
    rig.add()
    rig.play(5)
    rig.add(2)
    rig.play(2)
    rig.catch_up()
    rig.play(2)
    assert token_of(rig, 1, 9) == reference([(0, click())], 0, 10)[9]


def test_objects_that_catch_up_together_share_each_slice(rig):
    rig.play(10)
    rig.prompt(4, click(), click(x=9))
    rig.tracker.catch_up()
    assert rig.predictor.steps[-1] == [5, 5]


def test_within_the_look_back_nothing_is_encoded_again(rig):
    rig.play(10)
    before = len(rig.predictor.encoded)
    rig.add(4)
    rig.catch_up()
    assert len(rig.predictor.encoded) == before


def test_beyond_the_look_back_features_come_from_the_buffered_pictures():
    rig = Rig(look_back_frames=4)
    rig.play(20)
    before = len(rig.predictor.encoded)
    rig.add(5)
    rig.catch_up()
    assert rig.predictor.encoded[before:] == list(range(5, 15))
    rig.play(1)
    assert token_of(rig, 1, 20) == reference([(5, click())], 5, 21)[20]


def test_objects_that_catch_up_from_far_back_together_encode_each_frame_once():
    rig = Rig(look_back_frames=4)
    rig.play(20)
    before = len(rig.predictor.encoded)
    rig.prompt(10, click(), click(x=9))
    rig.catch_up()
    assert rig.predictor.encoded[before:] == list(range(10, 15))


def test_a_refinement_beyond_the_look_back_is_refused_with_the_oldest_stamp_that_would_do():
    rig = Rig(look_back_frames=4)
    rig.play(1)
    rig.add()
    rig.play(10)
    with pytest.raises(PromptError, match=r'4 processed frames.*to stamp 100\.600000000; '
                                          r'100\.500000000 is older'):
        rig.prompt(5, click(1))
    rig.prompt(6, click(1))


def test_the_look_back_is_two_seconds_at_the_measured_rate_by_default():
    rig = Rig(look_back_frames=0)
    rig.play(1)
    rig.add()
    rig.play(60)
    with pytest.raises(PromptError, match='20 processed frames'):
        rig.prompt(39, click(1))
    rig.prompt(40, click(1))


def test_what_was_forgotten_at_a_slow_rate_stays_out_of_reach_when_the_rate_rises():
    look_back = LookBack(0)
    for index in range(20):
        look_back.add(index, index * 10**9)
    assert look_back.frames == 4 and look_back.oldest_index == 15
    for index in range(20, 60):
        look_back.add(index, 20 * 10**9 + (index - 20) * 33_333_333)
        assert look_back.oldest_index >= 15
    assert look_back.frames == 60
    assert min(look_back.stamps_by_index) == look_back.oldest_index
    for index in range(60, 100):
        look_back.add(index, 21_333_333_320 + (index - 59) * 33_333_333)
    assert look_back.oldest_index == 39


def test_the_look_back_is_bounded_whatever_the_rate():
    fast = LookBack(0)
    for index in range(500):
        fast.add(index, index * 10**6)
    assert fast.frames == 120 and len(fast.stamps_by_index) == 121


def test_a_refinement_at_the_very_edge_of_the_look_back_is_exact():
    rig = Rig(look_back_frames=4)
    rig.play(1)
    rig.add()
    rig.play(19)
    rig.prompt(15, click(1, x=9))
    rig.catch_up()
    rig.play(3)
    plain = Rig(look_back_frames=100)
    plain.play(1)
    plain.add()
    plain.play(19)
    plain.prompt(15, click(1, x=9))
    plain.catch_up()
    plain.play(3)
    assert token_of(rig, 1, 22) == token_of(plain, 1, 22)


def test_the_frames_of_a_replay_are_held_until_it_has_caught_up(rig):
    rig.play(10)
    rig.add(4)
    assert rig.frames.kept_from == 5
    rig.catch_up()
    assert rig.frames.kept_from is None


def test_a_prompt_whose_replay_lacks_a_frame_is_refused_and_nothing_changes(rig):
    rig.play(10)
    draft = rig.draft(4, click())
    del rig.frames.frames[7]
    with pytest.raises(FrameError, match='processed frame 7'):
        rig.tracker.commit(draft)
    assert rig.tracker.objects() == ()
    assert rig.ids.peek(1) == (1,)


def test_a_refined_object_whose_frames_are_lost_keeps_its_old_track_and_says_so(rig):
    rig.play(1)
    rig.add()
    rig.play(9)
    rig.prompt(4, click(1, x=9))
    del rig.frames.frames[7]
    rig.catch_up()
    assert not rig.shown(1).catching_up
    assert rig.lines[-1][0] is Level.ERROR
    assert 'keeps the track that it had' in rig.lines[-1][1]
    assert rig.frames.kept_from is None
    rig.play(1)
    assert token_of(rig, 1, 10) == reference([(0, click())], 0, 11)[10]


def test_a_new_object_whose_frames_are_lost_is_listed_as_lost(rig):
    rig.play(10)
    rig.add(4)
    del rig.frames.frames[7]
    rig.catch_up()
    assert rig.shown(1).state is ObjectState.LOST
    assert 'it is lost' in rig.lines[-1][1]


def test_removal_during_the_catch_up_ends_it(rig):
    rig.play(10)
    rig.add(4)
    rig.tracker.catch_up()
    rig.tracker.remove(1)
    assert not rig.tracker.catch_up()
    assert rig.frames.kept_from is None
    rig.play(1)
    assert rig.newest.objects == ()


def test_reset_during_the_catch_up_ends_it(rig):
    rig.play(10)
    rig.add(4)
    rig.tracker.reset()
    assert not rig.tracker.catch_up()
    assert rig.frames.kept_from is None


def test_listing_shows_a_caught_up_object_without_waiting_for_a_frame(rig):
    rig.play(10)
    rig.add(4)
    rig.catch_up()
    assert rig.shown(1).state is ObjectState.VISIBLE
    assert rig.shown(1).box is not None


def test_drafts_of_past_frames_change_nothing(rig):
    rig.play(1)
    rig.add()
    rig.play(9)
    rig.draft(5, click(1, x=9))
    assert not rig.tracker.catch_up()
    rig.play(1)
    assert token_of(rig, 1, 10) == reference([(0, click())], 0, 11)[10]


def stand_in(rig: Rig, index: int, after_s: float, picture: int = 900) -> PromptTarget:
    stamp_ns = rig.frames.frames[index].stamp_ns + round(after_s * 1e9)
    skipped = replace(frame(index, picture), stamp_ns=stamp_ns)
    return PromptTarget(index, skipped, stands_in=True)


def test_a_skipped_frame_takes_the_place_of_a_processed_one_for_the_prompted_object_only(rig):
    rig.play(1)
    rig.add()
    rig.play(9)
    rig.tracker.commit(rig.tracker.draft(stand_in(rig, 5, 0.03), [click()]))
    rig.catch_up()
    rig.play(1)
    assert token_of(rig, 2, 10) == reference([(5, click())], 5, 11, {5: 900})[10]
    assert token_of(rig, 1, 10) == reference([(0, click())], 0, 11)[10]


def test_a_prompt_on_a_skipped_frame_costs_one_encoder_pass(rig):
    rig.play(10)
    before = len(rig.predictor.encoded)
    rig.tracker.draft(stand_in(rig, 5, 0.03), [click(), click(x=9)])
    rig.tracker.commit(rig.tracker.draft(stand_in(rig, 5, 0.03), [click(), click(x=9)]))
    rig.catch_up()
    assert rig.predictor.encoded[before:] == [900]


def test_a_refinement_on_a_skipped_frame_is_as_if_the_object_had_seen_it(rig):
    rig.play(1)
    rig.add()
    rig.play(9)
    rig.tracker.commit(rig.tracker.draft(stand_in(rig, 5, 0.03), [click(1, x=9)]))
    rig.catch_up()
    rig.play(1)
    model, memory = rig.predictor, FakeMemory((48, 64))
    features = [model.encode(frame(i, {5: 900}.get(i)).image_rgb) for i in range(11)]
    model.prompt(memory, 0, features[0], click(), False)
    for index in range(6):
        model.track([TrackStep(memory, index, features[index])])
    model.prompt(memory, 5, features[5], click(x=9), False)
    for index in range(5, 11):
        model.track([TrackStep(memory, index, features[index])])
    assert token_of(rig, 1, 10) == memory.output(10).token


def test_two_prompts_on_one_skipped_frame_share_its_place(rig):
    rig.play(10)
    rig.tracker.commit(rig.tracker.draft(stand_in(rig, 5, 0.03), [click()]))
    rig.tracker.commit(rig.tracker.draft(stand_in(rig, 5, 0.03), [click(1, x=9)]))
    assert rig.tracker.memory(1).cond_indices == (5,)


def test_prompts_on_a_processed_frame_stay_when_a_skipped_one_beside_it_is_prompted(rig):
    rig.play(10)
    rig.add(5)
    rig.tracker.commit(rig.tracker.draft(stand_in(rig, 5, 0.03), [click(1, x=9)]))
    assert rig.tracker.memory(1).cond_indices == (5, 6)


def test_a_processed_frame_whose_place_is_taken_finds_one_beside_it(rig):
    rig.play(10)
    rig.tracker.commit(rig.tracker.draft(stand_in(rig, 5, 0.03), [click()]))
    rig.prompt(5, click(1, x=9))
    assert rig.tracker.memory(1).cond_indices == (4, 5)


def test_a_preview_on_a_frame_still_to_be_processed_shows_the_objects_there(rig):
    rig.play(1)
    rig.add()
    rig.play(4)
    ahead = PromptTarget(5, frame(5))
    result = rig.tracker.draft(ahead, [click(1, x=9), click(x=20)]).result
    assert [each.id for each in result.objects] == [1, 2]
    assert result.frame.index == 5
    rig.play(1)
    assert token_of(rig, 1, 5) == reference([(0, click())], 0, 6)[5]


def test_every_frame_has_one_result_in_which_the_label_image_agrees_with_the_masks(rig):
    rig.play(2)
    rig.add()
    rig.play(2)
    rig.add(1)
    rig.play(2)
    rig.catch_up()
    rig.play(2)
    assert [result.frame.index for result in rig.results] == list(range(8))
    result = rig.tracker.result(ALL)
    assert set(np.unique(result.label_image)) <= {0, 1, 2}
    assert (mask_of(result, 2) >= (result.label_image == 2)).all()
