# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""How far prompts can go back, and what is held for that."""

from __future__ import annotations

from fakes import click
import pytest
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.log import Level
from sam2_tracker.core.tracking.look_back import LookBack
from sam2_tracker.core.types import ObjectState
from tracker_rig import reference, Rig, token_of


@pytest.fixture
def rig() -> Rig:
    return Rig()


def tracking_rig(**settings: object) -> Rig:
    """Return a rig that has tracked an object for 20 frames."""
    rig = Rig(**settings)
    rig.play(1)
    rig.add()
    rig.play(19)
    return rig


def test_within_the_look_back_nothing_is_encoded_again(rig):
    rig.play(1)
    rig.add()
    rig.play(9)
    before = len(rig.predictor.encoded)
    rig.add(4)
    rig.catch_up()
    assert len(rig.predictor.encoded) == before


def test_while_there_is_no_object_nothing_is_encoded(rig):
    rig.play(10)
    assert rig.predictor.encoded == []


def test_after_an_idle_time_each_frame_that_a_prompt_needs_is_encoded_once(rig):
    rig.play(10)
    rig.add(4)
    rig.catch_up()
    assert rig.predictor.encoded == list(range(4, 10))
    rig.add(6)
    rig.catch_up()
    assert rig.predictor.encoded == list(range(4, 10))


def test_beyond_the_look_back_features_come_from_the_buffered_pictures():
    rig = tracking_rig(look_back_frames=4)
    before = len(rig.predictor.encoded)
    rig.add(5)
    rig.catch_up()
    assert rig.predictor.encoded[before:] == list(range(5, 15))
    rig.play(1)
    assert token_of(rig, 2, 20) == reference([(5, click())], 5, 21)[20]


def test_objects_that_catch_up_from_far_back_together_encode_each_frame_once():
    rig = tracking_rig(look_back_frames=4)
    before = len(rig.predictor.encoded)
    rig.prompt(10, click(), click(x=9))
    rig.catch_up()
    assert rig.predictor.encoded[before:] == list(range(10, 15))


def test_a_refinement_beyond_the_look_back_is_refused_with_the_oldest_stamp_that_would_do():
    rig = Rig(look_back_frames=4)
    rig.play(1)
    rig.add()
    rig.play(10)
    with pytest.raises(
        PromptError,
        match=r'4 processed frames.*to stamp 100\.600000000; '
        r'100\.500000000 is older',
    ):
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
