# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Adding, refining, renaming and removing objects: all of a request or nothing."""

from __future__ import annotations

from dataclasses import replace

from fakes import click, frame
import numpy as np
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.types import ObjectState, Prompt
from tracker_rig import Rig, token_of


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.play(3)
    return made


def test_each_prompt_with_id_0_is_its_own_new_object(rig):
    result = rig.prompt(2, click(), click(x=9))
    assert [each.id for each in result.objects] == [1, 2]


def test_an_id_is_not_used_again_after_removal_or_reset(rig):
    rig.add()
    rig.tracker.remove(1)
    assert rig.add() == 2
    rig.tracker.reset()
    assert rig.add() == 3


def test_an_id_is_not_used_again_by_a_second_tracker_of_the_process(rig):
    rig.add()
    other = Rig()
    other.tracker._roster._ids = rig.ids
    other.play(1)
    assert other.add() == 2


def test_after_65535_a_new_object_is_refused_and_refining_still_works(rig):
    rig.ids.claim(65534)
    assert rig.add() == 65535
    with pytest.raises(PromptError, match='only 0 of the 65535'):
        rig.prompt(2, click())
    rig.prompt(2, click(65535, x=9))


def test_a_preview_of_new_objects_has_the_ids_that_would_be_next_and_they_stay_free(rig):
    assert [each.id for each in rig.draft(2, click(), click()).result.objects] == [1, 2]
    assert [each.id for each in rig.draft(2, click()).result.objects] == [1]
    assert rig.tracker.objects() == ()
    assert rig.add() == 1


def test_a_request_with_one_wrong_prompt_does_nothing(rig):
    rig.add()
    before = token_of(rig, 1, 2)
    with pytest.raises(PromptError, match='outside 64x48 frame'):
        rig.prompt(2, click(1, x=9), click(x=5000))
    assert [each.id for each in rig.tracker.objects()] == [1]
    assert token_of(rig, 1, 2) == before
    assert rig.ids.peek(1) == (2,)


def test_a_model_failure_in_the_second_prompt_leaves_the_first_undone(rig, monkeypatch):
    prompt = rig.predictor.prompt
    calls = []

    def failing(*args):
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError('no memory')
        return prompt(*args)

    monkeypatch.setattr(rig.predictor, 'prompt', failing)
    with pytest.raises(RuntimeError):
        rig.prompt(2, click(), click(x=9))
    assert rig.tracker.objects() == ()


def test_the_answer_has_the_objects_in_the_order_of_the_prompts(rig):
    rig.prompt(2, click(), click(x=9))
    result = rig.prompt(2, click(2, x=11), click(), click(1, x=12))
    assert [each.id for each in result.objects] == [2, 3, 1]


def test_results_have_the_objects_in_the_order_of_their_ids(rig):
    rig.prompt(2, click(), click(x=9))
    rig.tracker.remove(1)
    rig.add()
    rig.play(1)
    assert [each.id for each in rig.newest.objects] == [2, 3]


def test_a_label_and_nothing_else_renames(rig):
    rig.prompt(2, click(label='cup'))
    before = token_of(rig, 1, 2)
    result = rig.prompt(2, Prompt(1, 'mug'))
    assert result.objects[0].label == 'mug'
    assert result.objects[0].area_px == 16
    assert rig.shown(1).label == 'mug'
    assert token_of(rig, 1, 2) == before
    rig.play(1)
    assert rig.newest.objects[0].label == 'mug'


def test_blanks_alone_take_a_label_away_and_an_empty_one_keeps_it(rig):
    rig.prompt(2, click(label='cup'))
    assert rig.prompt(2, click(1)).objects[0].label == 'cup'
    before = token_of(rig, 1, 2)
    assert rig.prompt(2, Prompt(1, ' ')).objects[0].label == ''
    assert rig.shown(1).label == '' and token_of(rig, 1, 2) == before
    rig.play(1)
    assert rig.newest.objects[0].label == ''
    assert rig.prompt(3, click(label='  ')).objects[0].label == ''


def test_a_renaming_beyond_the_look_back_is_answered_with_the_newest_state():
    rig = Rig(look_back_frames=4)
    rig.play(1)
    rig.add()
    rig.play(10)
    known = rig.shown(1)
    result = rig.prompt(2, Prompt(1, 'mug'))
    assert result.objects == (replace(known, label='mug'),) == rig.tracker.objects()
    assert known.state is ObjectState.VISIBLE and known.area_px
    assert result.frame is rig.newest.frame
    assert (result.label_image == 1).sum() == known.area_px


def test_a_preview_of_a_renaming_on_a_frame_to_come_is_answered_with_the_newest_state(rig):
    rig.prompt(2, click(label='cup'))
    to_come = PromptTarget(rig.tracker.next_index, frame(rig.tracker.next_index))
    result = rig.tracker.draft(to_come, [Prompt(1, 'mug')]).result
    assert result.objects == (replace(rig.shown(1), label='mug'),)
    assert result.frame is rig.newest.frame


def test_a_renaming_beside_a_new_object_has_the_newest_state_where_that_frame_has_none():
    rig = Rig(look_back_frames=4)
    rig.play(1)
    rig.add()
    rig.play(10)
    result = rig.prompt(2, Prompt(1, 'mug'), click(x=9))
    assert result.objects[0] == replace(rig.newest.objects[0], label='mug')
    assert result.objects[1].state is ObjectState.VISIBLE and result.frame.index == 2


def test_renaming_keeps_a_running_catch_up(rig):
    rig.play(5)
    rig.add(3)
    renamed, = rig.prompt(7, Prompt(1, 'mug')).objects
    assert renamed == rig.shown(1) and renamed.catching_up
    rig.catch_up()
    assert rig.shown(1).label == 'mug'
    assert rig.shown(1).state is ObjectState.VISIBLE


def test_a_preview_of_a_renaming_renames_nothing(rig):
    rig.prompt(2, click(label='cup'))
    assert rig.draft(2, Prompt(1, 'mug')).result.objects[0].label == 'mug'
    assert rig.shown(1).label == 'cup'


def test_a_prompt_with_a_label_renames_as_well(rig):
    rig.prompt(2, click(label='cup'))
    rig.prompt(2, click(1, x=9, label='mug'))
    assert rig.shown(1).label == 'mug'
    rig.prompt(2, click(1, x=12))
    assert rig.shown(1).label == 'mug'


def test_points_are_added_to_those_on_the_frame(rig):
    rig.prompt(2, click())
    added = rig.prompt(2, click(1, x=9)).objects[0]
    other = Rig()
    other.play(3)
    other.prompt(2, click())
    fresh = other.prompt(2, click(1, x=9), clear=True).objects[0]
    alone = Rig()
    alone.play(3)
    assert added.centroid_xy != fresh.centroid_xy
    assert fresh.centroid_xy == alone.prompt(2, click(x=9)).objects[0].centroid_xy


def test_clearing_leaves_the_prompts_on_other_frames(rig):
    rig.add()
    rig.play(3)
    rig.prompt(5, click(1, x=9))
    rig.prompt(5, click(1, x=20), clear=True)
    assert rig.tracker.memory(1).cond_indices == (2, 5)


def test_an_unused_id_may_be_named_where_that_is_allowed(rig):
    rig.ids.claim(7)
    draft = rig.tracker.draft(rig.target(2), [click(7)], nameable_ids={7})
    rig.tracker.commit(draft)
    assert [each.id for each in rig.tracker.objects()] == [7]
    assert rig.add() == 8


def test_removing_an_unknown_object_is_refused_with_the_known_ones(rig):
    rig.add()
    with pytest.raises(PromptError, match='object 4 is unknown: tracked are 1'):
        rig.tracker.remove(4)


def test_a_removed_object_is_gone_and_the_others_go_on(rig):
    rig.prompt(2, click(), click(x=9))
    rig.tracker.remove(1)
    rig.play(1)
    assert [each.id for each in rig.newest.objects] == [2]
    assert not (rig.newest.label_image == 1).any()


def test_reset_forgets_every_object_and_the_stream_goes_on(rig):
    rig.add()
    rig.tracker.reset()
    rig.play(1)
    assert rig.newest.objects == ()
    assert rig.newest.frame.index == 3


def test_a_draft_is_no_good_after_the_next_frame(rig):
    draft = rig.draft(2, click())
    rig.play(1)
    with pytest.raises(ValueError, match='older than the newest frame'):
        rig.tracker.commit(draft)


def test_frames_come_in_order(rig):
    with pytest.raises(ValueError, match='frame 7 came where 3 was next'):
        rig.tracker.advance(frame(7))


def test_a_frame_that_fails_can_be_replaced_by_the_next(rig):
    rig.add()
    rig.predictor.failures.append(RuntimeError('no memory'))
    with pytest.raises(RuntimeError):
        rig.play(1)
    assert rig.tracker.next_index == 3
    rig.play(1)
    assert rig.newest.objects[0].state is ObjectState.VISIBLE


def test_an_adopted_memory_is_tracked_from_the_next_frame(rig):
    rig.add()
    memory = rig.tracker.memory(1)
    assert rig.tracker.adopt(memory, 'copy') == 2
    assert rig.shown(2).state is ObjectState.UNKNOWN
    rig.play(1)
    assert rig.newest.objects[1].label == 'copy'
    assert token_of(rig, 1, 3) == token_of(rig, 2, 3)


def test_adopting_more_than_max_objects_is_refused():
    rig = Rig(max_objects=1)
    rig.play(1)
    rig.add()
    with pytest.raises(PromptError, match='too many objects'):
        rig.tracker.adopt(rig.tracker.memory(1))


def test_the_state_stays_bounded(rig):
    rig.add()
    rig.play(60)
    before = rig.tracker.state_bytes
    rig.play(60)
    assert rig.tracker.state_bytes == before


def test_masks_and_the_label_image_are_made_only_when_wanted(rig):
    from sam2_tracker.core.types import Wanted

    rig.add()
    rig.play(1)
    result = rig.tracker.result(Wanted(label_image=False, masks=False))
    assert result.masks == () and result.label_image is None
    assert result.objects[0].area_px == 16
    assert np.array_equal(
        rig.tracker.result(Wanted(True, False)).label_image == 1, rig.newest.masks[0]
    )
