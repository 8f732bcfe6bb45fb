# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Visible, occluded, lost, found again."""

from __future__ import annotations

from dataclasses import replace

from fakes import click, frame
import pytest
from sam2_tracker.core.log import Level
from sam2_tracker.core.tracking.visibility import next_visibility, Visibility
from sam2_tracker.core.types import ObjectState
from tracker_rig import Rig


@pytest.fixture
def rig() -> Rig:
    made = Rig(lost_after_s=0.5)
    made.play(1)
    made.prompt(0, click(label='cup'))
    return made


def states(rig: Rig) -> list[ObjectState]:
    return [result.objects[0].state for result in rig.results[1:]]


def test_an_object_with_a_mask_is_visible(rig):
    rig.play(1)
    shown = rig.newest.objects[0]
    assert shown.state is ObjectState.VISIBLE
    assert shown.score > 0.5 and shown.box is not None


def test_an_object_without_a_mask_is_occluded_and_has_no_pixels(rig):
    rig.play(1, empty=True)
    shown = rig.newest.objects[0]
    assert shown.state is ObjectState.OCCLUDED
    assert shown.box is None and shown.area_px == 0 and shown.centroid_xy == (0.0, 0.0)


def test_an_object_occluded_for_longer_than_lost_after_s_is_lost(rig):
    rig.play(8, empty=True)
    assert states(rig) == [ObjectState.OCCLUDED] * 6 + [ObjectState.LOST] * 2


def test_a_lost_object_that_shows_again_is_visible(rig):
    rig.play(8, empty=True)
    rig.play(1)
    assert rig.newest.objects[0].state is ObjectState.VISIBLE
    rig.play(1, empty=True)
    assert rig.newest.objects[0].state is ObjectState.OCCLUDED


def test_lost_and_found_are_logged_once_each(rig):
    rig.play(12, empty=True)
    rig.play(3)
    assert rig.lines == [
        (Level.WARN, 'object 1 (cup) is lost: not seen for more than 0.5 s'),
        (Level.INFO, 'object 1 (cup) is found again'),
    ]


def test_time_is_counted_in_image_stamps(rig):
    rig.step(frame(1, empty=True, stamp_s=101))
    rig.step(frame(2, empty=True, stamp_s=101.4))
    assert rig.newest.objects[0].state is ObjectState.OCCLUDED
    rig.step(frame(3, empty=True, stamp_s=201))
    assert rig.newest.objects[0].state is ObjectState.LOST


def test_an_object_that_was_hidden_during_its_replay_is_lost_when_it_has_caught_up():
    rig = Rig(lost_after_s=0.5)
    rig.play(2)
    rig.play(10, empty=True)
    rig.add(1)
    rig.catch_up()
    assert rig.shown(1).state is ObjectState.LOST
    assert rig.lines[-1][1].startswith('object 1 is lost')


def test_a_refinement_on_a_hidden_frame_counts_on_from_when_it_was_hidden(rig):
    rig.play(4, empty=True)
    rig.prompt(3, click(1, x=9))
    rig.catch_up()
    rig.play(3, empty=True)
    assert rig.shown(1).state is ObjectState.LOST


def test_lost_after_s_can_be_changed_while_tracking(rig):
    rig.play(4, empty=True)
    rig.tracker.config = replace(rig.tracker.config, lost_after_s=0.1)
    rig.play(1, empty=True)
    assert rig.newest.objects[0].state is ObjectState.LOST


def test_exactly_lost_after_s_is_still_occluded():
    hidden = Visibility(ObjectState.OCCLUDED, 1_000_000_000)
    assert next_visibility(hidden, False, 4_000_000_000, 3.0).state is ObjectState.OCCLUDED
    assert next_visibility(hidden, False, 4_000_000_001, 3.0).state is ObjectState.LOST
