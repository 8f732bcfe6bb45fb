# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts on past frames: replayed, shown when they have caught up, equal to a plain session."""

from __future__ import annotations

from fakes import click, FakeMemory, frame
import numpy as np
import pytest
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import ObjectState
from tracker_rig import ALL, mask_of, reference, Rig, token_of


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
    assert rig.tracker._roster.by_id[1].memory.output(10).token == unrefined
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
    rig, first, second, slices
):
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


def test_a_replay_that_fails_again_and_again_is_given_up(rig):
    rig.play(5)
    refined = rig.add()
    rig.play(10)
    rig.prompt(8, click(object_id=refined))
    added = rig.add(7)
    assert rig.frames.kept_from == 8
    track = rig.predictor.track

    def failing(_):
        raise RuntimeError('no')

    rig.predictor.track = failing
    for _ in range(10):
        with pytest.raises(RuntimeError):
            rig.tracker.catch_up()
    rig.predictor.track = track
    assert not rig.tracker.catch_up()
    assert rig.frames.kept_from is None, 'frames are held for ever'
    rig.play(1)
    assert rig.shown(refined).state is ObjectState.VISIBLE
    assert not rig.shown(refined).catching_up
    assert rig.shown(added).state is ObjectState.LOST
    lines = [line.partition('cannot catch up with its prompt, ')[2] for _, line in rig.lines]
    assert [line for line in lines if line] == [
        'it keeps the track that it had: 10 tries failed', 'it is lost: 10 tries failed']


def test_a_replay_that_goes_on_after_failures_begins_to_count_anew(rig):
    rig.play(30)
    added = rig.add(0)
    track = rig.predictor.track

    def failing(_):
        rig.predictor.track = track
        raise RuntimeError('no')

    for _ in range(12):
        rig.predictor.track = failing
        with pytest.raises(RuntimeError):
            rig.tracker.catch_up()
        assert rig.tracker.catch_up()
    rig.catch_up()
    assert rig.shown(added).state is ObjectState.VISIBLE
