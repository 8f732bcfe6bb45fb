# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts on frames that were skipped, or are still to be tracked."""

from __future__ import annotations

from dataclasses import replace

from fakes import click, FakeMemory, frame
import pytest
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.tracking.drafting import PromptTarget
from tracker_rig import reference, Rig, token_of


@pytest.fixture
def rig() -> Rig:
    return Rig()


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
    rig.play(1)
    rig.add()
    rig.play(9)
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
