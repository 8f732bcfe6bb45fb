# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Streams that go back in time, or change their size."""

from __future__ import annotations

from fakes import click, frame
import pytest
from sam2_tracker.core.tracking.carry_over import same_aspect
from sam2_tracker.core.types import ObjectState, Prompt
from tracker_rig import ALL, Rig


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.play(3)
    made.prompt(2, click(label='cup'), click(x=9))
    made.play(2)
    return made


def test_a_stream_that_restarts_gives_one_result_with_every_object_lost(rig):
    lost = rig.tracker.restart(ALL)
    assert lost.frame.index == 4
    assert [each.state for each in lost.objects] == [ObjectState.LOST] * 2
    assert lost.objects[0].label == 'cup'
    assert not lost.label_image.any() and not any(mask.any() for mask in lost.masks)


def test_after_a_restart_the_objects_are_gone_and_ids_go_on(rig):
    rig.tracker.restart(ALL)
    rig.play(1)
    assert rig.newest.frame.index == 0
    assert rig.newest.objects == ()
    assert rig.add() == 3


def test_a_restart_without_objects_has_nothing_to_tell():
    rig = Rig()
    rig.play(2)
    assert rig.tracker.restart(ALL) is None
    assert Rig().tracker.restart(ALL) is None


def test_a_restart_ends_what_was_catching_up(rig):
    rig.add(2)
    rig.tracker.restart(ALL)
    assert not rig.tracker.catch_up()
    assert rig.frames.kept_from is None


def test_objects_are_carried_over_to_another_size_by_their_last_mask(rig, monkeypatch):
    given = []
    prompt = rig.predictor.prompt

    def spying(memory, index, features, what: Prompt, clear):
        given.append((index, what))
        return prompt(memory, index, features, what, clear)

    monkeypatch.setattr(rig.predictor, 'prompt', spying)
    rig.tracker.resize((96, 128))
    result = rig.step(frame(0, picture=50, source_hw=(96, 128)))
    assert [index for index, _ in given] == [0, 0]
    assert all(what.mask_hw.shape == (96, 128) and what.mask_hw.any() for _, what in given)
    assert [each.state for each in result.objects] == [ObjectState.VISIBLE] * 2
    assert [each.id for each in result.objects] == [1, 2]
    assert result.masks[0].shape == (96, 128)
    rig.step(frame(1, source_hw=(96, 128)))
    assert rig.newest.objects[0].label == 'cup'


def test_objects_are_lost_and_listed_when_the_aspect_changes(rig):
    rig.tracker.resize((48, 48))
    for index in range(3):
        result = rig.step(frame(index, source_hw=(48, 48)))
        assert [each.state for each in result.objects] == [ObjectState.LOST] * 2
    assert rig.lines[0][1] == ('object 1 (cup) is lost: the picture changed from 64x48 to 48x48')
    rig.tracker.remove(2)
    assert [each.id for each in rig.tracker.objects()] == [1]


def test_a_lost_object_can_be_prompted_again(rig):
    rig.tracker.resize((48, 48))
    rig.step(frame(0, source_hw=(48, 48)))
    rig.prompt(0, click(1))
    rig.step(frame(1, source_hw=(48, 48)))
    assert [each.state for each in rig.newest.objects] == [ObjectState.VISIBLE, ObjectState.LOST]


def test_a_lost_object_prompted_on_a_past_frame_stays_lost_until_it_has_caught_up(rig):
    rig.tracker.resize((48, 48))
    for index in range(6):
        rig.step(frame(index, source_hw=(48, 48)))
    rig.prompt(2, click(1))
    assert rig.shown(1).state is ObjectState.LOST and rig.shown(1).catching_up
    rig.catch_up()
    assert rig.shown(1).state is ObjectState.VISIBLE


def test_an_object_that_is_hidden_when_the_size_changes_is_carried_over_by_its_memory(
    rig, monkeypatch
):
    def refuse(*_):
        raise AssertionError('prompted where it is hidden')

    rig.play(1, empty=True)
    monkeypatch.setattr(rig.predictor, 'prompt', refuse)
    rig.tracker.resize((96, 128))
    hidden = rig.step(frame(0, empty=True, source_hw=(96, 128)))
    assert [each.state for each in hidden.objects] == [ObjectState.OCCLUDED] * 2
    seen = rig.step(frame(1, source_hw=(96, 128)))
    assert [each.state for each in seen.objects] == [ObjectState.VISIBLE] * 2
    assert [each.label for each in seen.objects] == ['cup', '']
    assert seen.masks[0].shape == (96, 128)
    assert rig.lines == []


def test_an_object_hidden_across_a_change_of_size_is_lost_when_its_time_is_over(rig):
    rig.play(1, empty=True)
    rig.tracker.resize((96, 128))
    result = rig.step(frame(0, empty=True, stamp_s=103.6, source_hw=(96, 128)))
    assert [each.state for each in result.objects] == [ObjectState.LOST] * 2


def test_a_hidden_object_survives_a_second_change_before_the_first_frame(rig):
    rig.play(1, empty=True)
    rig.tracker.resize((96, 128))
    rig.tracker.resize((48, 64))
    result = rig.step(frame(0))
    assert [each.state for each in result.objects] == [ObjectState.VISIBLE] * 2


def test_a_size_that_comes_back_before_a_frame_of_the_other_loses_no_object(rig):
    rig.tracker.resize((48, 64))
    rig.play(1, empty=True)
    rig.tracker.resize((48, 64))
    result = rig.step(frame(0))
    assert [each.state for each in result.objects] == [ObjectState.VISIBLE] * 2
    assert rig.lines == []


def test_an_object_is_said_to_be_lost_with_the_size_once(rig):
    for hw in ((48, 48), (48, 64), (48, 48)):
        rig.tracker.resize(hw)
        rig.step(frame(0, source_hw=hw))
    assert len([line for _, line in rig.lines if 'is lost' in line]) == 2


def test_an_object_that_catches_up_is_carried_over_by_the_track_that_is_shown(rig):
    rig.play(4)
    rig.prompt(5, click(1, x=20))
    rig.tracker.resize((96, 128))
    result = rig.step(frame(0, source_hw=(96, 128)))
    assert result.objects[0].state is ObjectState.VISIBLE
    assert not result.objects[0].catching_up


def test_a_new_object_that_catches_up_is_lost_with_the_size(rig):
    rig.play(4)
    rig.add(5)
    rig.tracker.resize((96, 128))
    assert rig.shown(3).state is ObjectState.LOST


def test_a_first_frame_that_fails_loses_no_carried_object(rig):
    rig.tracker.resize((96, 128))
    rig.predictor.failures.append(RuntimeError('no memory'))
    with pytest.raises(RuntimeError):
        rig.step(frame(0, source_hw=(96, 128)))
    result = rig.step(frame(0, source_hw=(96, 128)))
    assert [each.state for each in result.objects] == [ObjectState.VISIBLE] * 2


def test_carried_objects_survive_a_second_change_before_the_first_frame(rig):
    rig.tracker.resize((96, 128))
    rig.tracker.resize((192, 256))
    result = rig.step(frame(0, source_hw=(192, 256)))
    assert [each.state for each in result.objects] == [ObjectState.VISIBLE] * 2


@pytest.mark.parametrize(
    ('before', 'after', 'same'),
    [
        ((480, 640), (240, 320), True),
        ((480, 640), (720, 960), True),
        ((1080, 1920), (360, 640), True),
        ((1080, 1920), (367, 652), True),
        ((480, 640), (480, 640), True),
        ((480, 640), (480, 480), False),
        ((480, 640), (640, 480), False),
        ((1080, 1920), (768, 1366), True),
        ((480, 640), (480, 720), False),
    ],
)
def test_the_aspect_is_the_same_within_rounding(before, after, same):
    assert same_aspect(before, after) is same
    assert same_aspect(after, before) is same
