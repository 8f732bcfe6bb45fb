# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts, previews and the pause: which frame they mean and when they are answered."""

from __future__ import annotations

from dataclasses import replace

from fakes import click
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.types import ObjectState, Prompt
from worker_rig import answer, PATIENCE_S, running, WorkerRig


@pytest.fixture
def rig(tmp_path):
    with running(WorkerRig(tmp_path)) as started:
        yield started


def test_a_prompt_on_the_newest_frame_is_answered_and_tracked(rig):
    rig.play(3)
    result = answer(rig.prompt(click(label='cup'), with_label_image=True))
    assert result.frame.header.stamp_ns == 100_200_000_000
    assert result.objects[0].id == 1
    assert (result.label_image == 1).sum() == 16
    rig.play(1, 3)
    assert rig.results[-1].objects[0].label == 'cup'


def test_a_prompt_finds_its_frame_by_stamp_within_the_tolerance(rig):
    rig.play(8)
    result = answer(rig.prompt(click(), stamp_s=100.33))
    assert result.frame.index == 3
    rig.wait_until_caught_up()
    assert rig.shown(1).state is ObjectState.VISIBLE


def test_an_unknown_stamp_is_refused_with_the_oldest_and_newest_available(rig):
    rig.play(8)
    with pytest.raises(FrameError, match=r'50\.0+.*100\.0+ \(oldest\).*100\.7\d+ \(newest\)'):
        answer(rig.prompt(click(), stamp_s=50))
    assert rig.listed().objects == ()


def test_a_prompt_before_the_first_frame_is_refused(rig):
    with pytest.raises(FrameError, match='no frame'):
        answer(rig.prompt(click()))


def test_an_invalid_prompt_is_refused_with_its_sentence(rig):
    rig.play(1)
    with pytest.raises(PromptError, match=r'new object: point \(900, 20\) outside 64x48 frame'):
        answer(rig.prompt(click(x=900, y=20)))


def test_a_preview_answers_with_masks_and_tracks_nothing(rig):
    rig.play(2)
    result = answer(rig.prompt(click(), preview=True, with_label_image=True))
    assert result.objects[0].id == 1 and result.label_image.any()
    assert rig.listed().objects == ()
    assert answer(rig.prompt(click())).objects[0].id == 1


def test_while_paused_frames_are_buffered_and_nothing_is_tracked(rig):
    rig.play(2)
    answer(rig.worker.set_paused(True))
    for number in range(2, 5):
        rig.send(number)
    answer(rig.prompt(click(), preview=True))
    assert len(rig.results) == 2
    assert rig.buffer.statistics.held == 5
    answer(rig.worker.set_paused(False))
    rig.wait_until(lambda: len(rig.results) == 5)


def test_while_paused_a_preview_is_answered_on_a_frame_that_was_not_tracked(rig):
    rig.play(2)
    answer(rig.prompt(click()))
    answer(rig.worker.set_paused(True))
    rig.send(2)
    result = answer(rig.prompt(click(1, x=9), click(), stamp_s=100.2, preview=True))
    assert result.frame.header.stamp_ns == 100_200_000_000
    assert [each.id for each in result.objects] == [1, 2]


@pytest.mark.parametrize('preview', [False, True], ids=['prompt', 'preview'])
def test_a_label_image_is_made_only_where_it_is_asked_for(rig, preview):
    rig.play(1)
    made, summarise = [], rig.predictor.summarise

    def noting(outputs, object_ids, video_hw, wanted, *others):
        made.append(wanted.label_image)
        return summarise(outputs, object_ids, video_hw, wanted, *others)

    rig.predictor.summarise = noting
    result = answer(rig.prompt(click(), preview=preview))
    assert result.label_image is None and not any(made)
    assert result.objects[0].area_px == 16 and result.objects[0].box is not None
    result = answer(rig.prompt(click(), preview=preview, with_label_image=True))
    assert made[-1] and result.label_image.any()


def test_while_paused_before_the_first_frame_was_tracked_a_preview_is_answered(rig):
    answer(rig.worker.set_paused(True))
    rig.send(0)
    result = answer(rig.prompt(click(), preview=True, with_label_image=True))
    assert result.label_image.any()


def test_while_paused_other_prompts_are_refused(rig):
    rig.play(1)
    answer(rig.worker.set_paused(True))
    with pytest.raises(PromptError, match='tracking is paused'):
        answer(rig.prompt(click()))
    with pytest.raises(PromptError, match='tracking is paused'):
        answer(rig.prompt(Prompt(1, 'cup')))


def test_while_paused_reset_removal_and_listing_work(rig):
    rig.play(1)
    answer(rig.prompt(click(), click(x=9)))
    answer(rig.worker.set_paused(True))
    answer(rig.worker.remove_object(1))
    assert [each.id for each in rig.listed().objects] == [2]
    answer(rig.worker.reset())
    assert rig.results[-1].objects == ()


def test_a_catch_up_rests_while_paused(rig):
    rig.play(12)
    rig.predictor.gate.clear()
    prompt = rig.prompt(click(), stamp_s=100)
    paused = rig.worker.set_paused(True)
    rig.predictor.gate.set()
    answer(prompt), answer(paused)
    steps = len(rig.predictor.steps)
    assert rig.listed().objects[0].catching_up
    assert len(rig.predictor.steps) == steps
    answer(rig.worker.set_paused(False))
    rig.wait_until_caught_up()


def test_under_every_a_prompt_on_a_waiting_frame_is_answered_in_its_turn(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    rig.send(1)
    assert rig.predictor.entered.wait(PATIENCE_S)
    for number in range(2, 6):
        rig.send(number)
    early = rig.prompt(click(), stamp_s=100.4)
    rig.predictor.gate.set()
    result = answer(early)
    assert result.frame.index == 4
    assert not result.objects[0].catching_up
    rig.wait_until(lambda: len(rig.results) == 6)
    assert [len(each.objects) for each in rig.results] == [0, 0, 0, 0, 1, 1]


def test_a_wrong_prompt_on_a_waiting_frame_is_refused_at_once(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    rig.send(1), rig.send(2)
    assert rig.predictor.entered.wait(PATIENCE_S)
    ticket = rig.prompt(click(x=900), stamp_s=100.2)
    rig.predictor.gate.set()
    with pytest.raises(PromptError, match='outside'):
        answer(ticket)


def test_pausing_refuses_the_prompts_that_wait_for_their_frame(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    for number in range(1, 6):
        rig.send(number)
    assert rig.predictor.entered.wait(PATIENCE_S)
    prompt = rig.prompt(click(), stamp_s=100.5)
    paused = rig.worker.set_paused(True)
    rig.predictor.gate.set()
    answer(paused)
    with pytest.raises(PromptError, match='tracking is paused'):
        answer(prompt)


def test_a_reset_refuses_the_prompts_that_wait_for_their_frame(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    for number in range(1, 6):
        rig.send(number)
    assert rig.predictor.entered.wait(PATIENCE_S)
    prompt = rig.prompt(click(), stamp_s=100.5)
    reset = rig.worker.reset()
    rig.predictor.gate.set()
    answer(reset)
    with pytest.raises(PromptError, match='was reset before'):
        answer(prompt)
    rig.wait_until(lambda: len(rig.results) == 7)
    assert rig.results[-1].objects == ()


def test_renaming_does_not_wait_for_the_newest_frame(rig):
    rig.play(1)
    answer(rig.prompt(click()))
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    for number in range(1, 4):
        rig.send(number)
    assert rig.predictor.entered.wait(PATIENCE_S)
    renamed = rig.prompt(Prompt(1, 'mug'))
    rig.predictor.gate.set()
    result = answer(renamed)
    mug, = result.objects
    assert (mug.label, mug.state, mug.area_px) == ('mug', ObjectState.VISIBLE, 16)
    assert result.frame.stamp_ns < rig.buffer.newest().stamp_ns


def test_a_preview_of_a_renaming_is_answered_on_the_newest_tracked_frame(rig):
    rig.play(2)
    answer(rig.prompt(click()))
    answer(rig.worker.set_paused(True))
    rig.send(2)
    known = rig.listed()
    result = answer(rig.prompt(Prompt(1, 'mug'), preview=True))
    assert result.objects == (replace(known.objects[0], label='mug'),)
    assert known.objects[0].state is ObjectState.VISIBLE
    assert result.frame.header == known.header


def test_a_lost_object_is_lost_in_the_answer_to_its_renaming(rig):
    rig.play(2)
    answer(rig.prompt(click()))
    rig.send(2, hw=(64, 64))
    rig.wait_until(lambda: len(rig.results) > 2 and len(rig.results[-1].frame.image_rgb) == 64)
    assert answer(rig.prompt(Prompt(1, 'mug'))).objects == rig.listed().objects
    assert rig.shown(1).state is ObjectState.LOST


def test_under_latest_a_skipped_frame_stands_in_for_the_nearest_processed_one(tmp_path):
    with running(WorkerRig(tmp_path, FramePolicy.LATEST)) as rig:
        rig.play(1)
        answer(rig.prompt(click()))
        rig.predictor.gate.clear()
        rig.predictor.entered.clear()
        rig.send(1)
        assert rig.predictor.entered.wait(PATIENCE_S)
        for number in range(2, 6):
            rig.send(number)
        rig.predictor.gate.set()
        rig.wait_until(lambda: len(rig.results) == 3)
        assert [each.frame.stamp_ns // 10**8 for each in rig.results] == [1000, 1001, 1005]
        rig.play(3, 6)
        encoded = len(rig.predictor.encoded)
        result = answer(rig.prompt(click(), stamp_s=100.2))
        assert result.frame.header.stamp_ns == 100_200_000_000
        rig.wait_until_caught_up()
        assert rig.predictor.encoded[encoded:] == [2]
        memory = answer(rig.worker.call(lambda tracker: tracker.memory(2)))
        assert memory.cond_indices == (1,)
