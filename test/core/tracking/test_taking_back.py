# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Taking prompts back: what is refused, what is shown meanwhile, and that it stays bounded."""

from __future__ import annotations

from fakes import click, frame
import numpy as np
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.given_prompts import GivenPrompt, MOST_GIVEN, pruned
from sam2_tracker.core.types import ObjectState, Prompt
from tracker_rig import reference, Rig, token_of

NOTHING = Prompt(1)


@pytest.fixture
def rig() -> Rig:
    """Track an object from its click on frame 0 up to frame 9."""
    made = Rig()
    made.play(1)
    made.add()
    made.play(9)
    return made


def take_back(rig: Rig, index: int):
    return rig.prompt(index, NOTHING, clear=True)


def untouched(end: int) -> int:
    return reference([(0, click())], 0, end)[end - 1]


def test_nothing_but_an_id_is_refused_without_clear_previous_and_for_a_new_object(rig):
    with pytest.raises(PromptError, match='object 1: the prompt is empty'):
        rig.prompt(9, NOTHING)
    with pytest.raises(PromptError, match='new object: the prompt is empty'):
        rig.prompt(9, Prompt(), clear=True)


def test_an_object_stays_listed_and_shows_its_old_track_until_it_has_caught_up(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    refined = token_of(rig, 1, 9)
    result = take_back(rig, 5)
    assert result.objects[0].state is ObjectState.VISIBLE and result.objects[0].catching_up
    assert rig.shown(1).catching_up
    assert rig.tracker._roster.by_id[1].memory.output(9).token == refined
    assert rig.catch_up() == 4
    assert not rig.shown(1).catching_up and rig.frames.kept_from is None
    assert token_of(rig, 1, 9) == untouched(10)


def test_on_the_newest_frame_it_takes_effect_at_once(rig):
    rig.prompt(9, click(1, x=9))
    assert not take_back(rig, 9).objects[0].catching_up
    assert not rig.tracker.catch_up()
    assert token_of(rig, 1, 9) == untouched(10)


def test_the_only_prompted_frame_is_refused_and_nothing_changes(rig):
    rig.prompt(0, click(1, x=9))
    rig.catch_up()
    before = token_of(rig, 1, 9)
    with pytest.raises(PromptError, match=r'object 1 has prompts on no other frame .*100\.0+: .*'
                                          r'remove it \(remove_object\)'):
        take_back(rig, 0)
    assert token_of(rig, 1, 9) == before


def test_a_frame_without_prompts_is_refused_with_those_that_have_some(rig):
    rig.prompt(5, click(1, x=9))
    rig.prompt(7, click(1, x=9))
    with pytest.raises(PromptError, match=r'object 1 has no prompts .* stamp 100\.600000000: '
                                          r'it has some .* 100\.0+, 100\.50+, 100\.70+$'):
        take_back(rig, 6)


def test_a_frame_beyond_the_look_back_is_refused_with_the_oldest_that_would_do(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    rig.play(17)
    with pytest.raises(PromptError, match=r'20 processed .*to stamp 100\.6.*100\.5.* older'):
        take_back(rig, 5)


def test_prompts_given_with_others_that_are_too_old_by_now_are_refused(rig):
    rig.prompt(7, click(1, x=9))
    rig.prompt(5, click(1, x=20))
    rig.catch_up()
    rig.play(17)
    with pytest.raises(PromptError, match='cannot be taken back any more'):
        take_back(rig, 7)


def test_a_lost_object_has_none(rig):
    rig.tracker.resize((30, 64))
    rig.step(frame(0, stamp_s=200, source_hw=(30, 64)))
    with pytest.raises(PromptError, match='it has none'):
        take_back(rig, 0)


def test_an_unknown_object_is_refused(rig):
    with pytest.raises(PromptError, match='object 7 is unknown'):
        rig.prompt(9, Prompt(7), clear=True)


def test_a_picture_that_was_skipped_and_never_prompted_is_refused(rig):
    skipped = PromptTarget(5, frame(5, 90, stamp_s=100.53), stands_in=True)
    with pytest.raises(PromptError, match=r'stamp 100\.530000000: it has some on those of 100\.0'):
        rig.tracker.draft(skipped, [NOTHING], clear_previous=True)


def test_a_preview_says_what_would_be_and_changes_nothing(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    before = token_of(rig, 1, 9)
    draft = rig.draft(5, NOTHING, clear=True)
    assert (draft.result.label_image == 1).any()
    assert not rig.tracker.catch_up() and token_of(rig, 1, 9) == before
    rig.prompt(5, NOTHING, clear=True)
    rig.catch_up()
    assert token_of(rig, 1, 9) == untouched(10)


def test_others_of_the_request_are_prompted_as_ever(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    result = rig.prompt(5, NOTHING, click(label='new'), clear=True)
    assert [each.id for each in result.objects] == [1, 2]
    rig.catch_up()
    assert token_of(rig, 1, 9) == untouched(10)
    assert token_of(rig, 2, 9) == reference([(5, click())], 5, 10)[9]


def test_a_label_and_nothing_else_still_renames(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    before = token_of(rig, 1, 9)
    rig.prompt(5, Prompt(1, 'cup'), clear=True)
    assert rig.shown(1).label == 'cup' and token_of(rig, 1, 9) == before


def test_the_mask_that_was_carried_over_to_another_size_stays(rig):
    rig.tracker.resize((96, 128))
    for index in range(6):
        rig.step(frame(index, stamp_s=200 + index / 10, source_hw=(96, 128)))
    before = token_of(rig, 1, 5)
    rig.prompt(0, click(1, x=9))
    rig.catch_up()
    assert token_of(rig, 1, 5) != before
    take_back(rig, 0)
    rig.catch_up()
    assert token_of(rig, 1, 5) == before
    with pytest.raises(PromptError, match='it has none'):
        take_back(rig, 0)


def test_prompts_that_come_meanwhile_wait_for_their_turn_and_are_answered_at_once(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    take_back(rig, 5)
    result = rig.prompt(7, click(1, x=20))
    assert result.objects[0].state is ObjectState.VISIBLE and result.objects[0].catching_up
    rig.catch_up()
    waited = token_of(rig, 1, 9)
    other = Rig()
    other.play(1)
    other.add()
    other.play(9)
    other.prompt(7, click(1, x=20))
    other.catch_up()
    assert waited == token_of(other, 1, 9)


def test_frames_are_held_until_all_is_done_again_although_the_stream_goes_on(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    take_back(rig, 5)
    assert rig.frames.kept_from == 5
    for _ in range(40):
        rig.play(1)
        rig.tracker.catch_up()
        rig.tracker.catch_up()
    rig.catch_up()
    rig.play(1)
    assert token_of(rig, 1, 50) == untouched(51)


def test_where_it_fails_the_object_keeps_its_track_and_its_prompts_stay(rig):
    rig.prompt(5, click(1, x=9))
    rig.catch_up()
    before = token_of(rig, 1, 9)
    take_back(rig, 5)
    rig.frames.frames.pop(6)
    assert not rig.tracker.catch_up()
    assert token_of(rig, 1, 9) == before
    with pytest.raises(PromptError, match='it has none'):
        take_back(rig, 5)


def test_what_is_remembered_of_prompts_is_bounded_by_the_look_back_and_by_a_number(rig):
    for _ in range(60):
        rig.play(1)
        rig.prompt(rig.tracker.next_index - 1, click(1, x=9))
    track = rig.tracker._roster.by_id[1]
    assert [each.place for each in track.given] == list(range(49, 70))
    many = tuple(GivenPrompt(5, click(1)) for _ in range(MOST_GIVEN + 3))
    assert len(pruned(many, 0)) == MOST_GIVEN
    at_once = tuple(GivenPrompt(5, click(1), in_one_go=at > 0) for at in range(MOST_GIVEN + 3))
    assert len(pruned(at_once, 0)) == len(at_once) and pruned(at_once, 6) == ()


def test_prompts_given_in_one_go_are_dropped_together(rig):
    rig.prompt(7, click(1, x=9))
    rig.prompt(5, click(1, x=20))
    rig.catch_up()
    rig.play(17)
    assert [each.place for each in rig.tracker._roster.by_id[1].given] == [7, 5]
    rig.play(2)
    assert rig.tracker._roster.by_id[1].given == ()


def test_the_answer_on_a_skipped_picture_shows_that_picture(rig):
    skipped = PromptTarget(5, frame(5, 90, stamp_s=100.53), stands_in=True)
    rig.tracker.commit(rig.tracker.draft(skipped, [click(1, x=9)]))
    rig.catch_up()
    draft = rig.tracker.draft(skipped, [NOTHING], clear_previous=True, with_label_image=True)
    rig.tracker.commit(draft)
    seen = reference([(0, click())], 0, 6, pictures={5: 90})[5]
    x, y = draft.result.objects[0].box.x, draft.result.objects[0].box.y
    assert (x, y) == (seen // 48 % 60, seen % 44)
    rig.catch_up()
    assert token_of(rig, 1, 9) == untouched(10)
    assert np.array_equal(draft.result.frame.image_rgb, skipped.frame.image_rgb)
