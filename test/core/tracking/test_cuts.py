# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Cuts are found from colours alone, and what lies behind one is not called visible."""

from __future__ import annotations

from dataclasses import replace
import os
from pathlib import Path

import cv2
from fakes import click, FakeFrames, frame
import numpy as np
import pytest
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.tracking.cuts import colours_of, Cuts, distance, LEAST_DISTANCE
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.types import Frame, ObjectState
from sam2_tracker.core.worker.detection_prompts import scene_on
from tracker_rig import mask_of, Rig

HW = (48, 64)
RED, GREEN, BLUE = (200, 20, 20), (20, 200, 20), (20, 20, 200)
ROOT = Path(__file__).resolve().parents[3]
MONTAGE = ROOT / '.cache' / 'bikes.mp4'
DATA = Path(os.environ.get('SAM2_TRACKER_DATA', ROOT.parent / 'shared' / 'data'))


def of_colour(index: int, colour: tuple[int, int, int]) -> Frame:
    """Return a frame of one colour, whose first pixel tells the fake model which it is."""
    made = frame(index)
    pixels = np.full_like(made.image_rgb, colour)
    pixels[0, 0] = made.image_rgb[0, 0]
    return replace(made, image_rgb=pixels)


def cuts_of(*colours: tuple[int, int, int]) -> Cuts:
    cuts = Cuts(FakeFrames())
    for index, colour in enumerate(colours):
        cuts.look_at(index, of_colour(index, colour).image_rgb)
    return cuts


def shots_of(cuts: Cuts, count: int) -> list[int]:
    return [cuts.shot(index) for index in range(count)]


def test_a_shot_begins_where_the_colours_change_and_goes_on_while_they_do_not():
    cuts = cuts_of(RED, RED, GREEN, GREEN, BLUE)
    assert (shots_of(cuts, 5), cuts.count) == ([0, 0, 1, 1, 2], 2)
    assert (cuts.shots(2), cuts.shots(3)) == ((0, 1), (1, 1))


def test_a_shot_that_comes_again_is_the_one_it_was():
    cuts = cuts_of(RED, GREEN, RED, BLUE, GREEN)
    assert (shots_of(cuts, 5), cuts.count) == ([0, 1, 0, 3, 1], 4)


def test_a_picture_that_comes_under_the_number_of_one_that_failed_takes_its_place():
    cuts = cuts_of(RED, RED)
    cuts.look_at(2, of_colour(2, GREEN).image_rgb)
    cuts.look_at(2, of_colour(2, RED).image_rgb)
    assert (cuts.shot(2), cuts.count) == (0, 0)
    cuts.look_at(2, of_colour(2, BLUE).image_rgb)
    cuts.look_at(3, of_colour(3, BLUE).image_rgb)
    assert (cuts.shots(2), cuts.shot(3), cuts.count) == ((0, 1), 1, 1)


def test_shots_are_remembered_as_far_back_as_frames_are_and_no_farther():
    frames = FakeFrames()
    cuts = Cuts(frames)
    for index in range(400):
        frames.frames[index] = of_colour(index, (RED, GREEN)[index // 2 % 2])
        cuts.look_at(index, frames.frames[index].image_rgb)
        frames.frames.pop(index - 20, None)
        cuts.forget_before(index - 5)
    assert shots_of(cuts, 400)[380:] == [0, 0, 1, 1] * 5
    assert len(cuts._begins) <= 12


def test_the_shot_goes_on_in_a_session_of_another_size_and_nothing_is_compared_across():
    cuts = cuts_of(RED, GREEN)
    cuts.clear()
    cuts.look_at(0, of_colour(0, BLUE).image_rgb)
    assert (cuts.shots(0), cuts.count) == ((1, 1), 1)


def test_dimmed_light_is_no_cut():
    bright = np.random.default_rng(1).integers(0, 256, (180, 320, 3), np.uint8)
    assert distance(colours_of(bright), colours_of(bright // 2)) < LEAST_DISTANCE / 2


def test_large_pictures_have_the_colours_of_small_ones():
    small = np.random.default_rng(1).integers(0, 256, (180, 320, 3), np.uint8)
    large = small.repeat(6, axis=0).repeat(6, axis=1)
    assert distance(colours_of(small), colours_of(large)) == 0


@pytest.fixture
def rig() -> Rig:
    rig = Rig(TrackingConfig(look_back_frames=20, cuts=True))
    for index in range(3):
        rig.step(of_colour(index, RED))
    rig.add()
    return rig


def test_an_object_of_one_shot_is_hidden_in_the_next_and_visible_when_its_own_comes_again(rig):
    states = []
    for index, colour in enumerate((RED, GREEN, GREEN, RED, BLUE), start=3):
        states.append(rig.step(of_colour(index, colour)).objects[0].state.name)
    assert states == ['VISIBLE', 'OCCLUDED', 'OCCLUDED', 'VISIBLE', 'OCCLUDED']
    hidden = rig.newest
    assert not mask_of(hidden, 1).any() and not hidden.label_image.any()
    assert (hidden.objects[0].box, hidden.objects[0].area_px) == (None, 0)
    assert hidden.objects[0].score > 0.5


def test_a_prompt_in_the_new_shot_makes_the_object_visible_there(rig):
    rig.step(of_colour(3, GREEN))
    rig.step(of_colour(4, GREEN))
    result = rig.prompt(4, click(1))
    assert result.objects[0].state is ObjectState.VISIBLE and result.label_image.any()
    assert rig.step(of_colour(5, GREEN)).objects[0].state is ObjectState.VISIBLE
    assert rig.step(of_colour(6, BLUE)).objects[0].state is ObjectState.OCCLUDED


def test_what_hides_an_object_does_not_hide_what_lies_under_it(rig):
    rig.step(of_colour(3, GREEN))
    rig.add()
    newest = rig.step(of_colour(4, GREEN))
    assert [each.state.name for each in newest.objects] == ['OCCLUDED', 'VISIBLE']
    assert np.array_equal(newest.label_image == 2, mask_of(newest, 2))
    assert not (newest.label_image == 1).any()


def test_a_replay_across_a_cut_comes_to_the_states_of_frames_that_came_in_order(rig):
    for index, colour in enumerate((RED, GREEN, GREEN, GREEN), start=3):
        rig.step(of_colour(index, colour))
    late = rig.add(index=1)
    refined = rig.prompt(2, click(1)).objects[0]
    assert refined.state is ObjectState.VISIBLE
    rig.catch_up()
    assert [rig.shown(each).state.name for each in (1, late)] == ['OCCLUDED', 'OCCLUDED']
    assert rig.step(of_colour(7, RED)).objects[0].state is ObjectState.VISIBLE


def test_a_detector_is_told_which_hidden_objects_are_of_another_shot(rig):
    rig.tracker.sightings.want()
    elsewhere = []
    for index, colour in enumerate((RED, GREEN, GREEN, RED), start=3):
        newest = rig.step(of_colour(index, colour)).frame
        scene = scene_on(rig.tracker, index, newest.stamp_ns, newest.stamp_ns, newest.source_hw)
        elsewhere.append(list(scene.elsewhere))
    assert elsewhere == [[], [1], [1], []]


@pytest.mark.parametrize(('after_s', 'colour', 'index', 'is_new'), [
    (0.03, RED, 4, True), (0.06, RED, 5, True), (0.06, RED, 5, False), (0.03, GREEN, 4, True),
    (0.06, GREEN, 5, True), (0.06, GREEN, 5, False)])
def test_a_skipped_frame_beside_a_cut_is_of_the_shot_that_it_shows(
        rig, after_s, colour, index, is_new):
    """Frames 0 to 4 are red, those from 5 on green."""
    for number, each in enumerate((RED, RED, GREEN, GREEN, GREEN), start=3):
        rig.step(of_colour(number, each))
    stamp_ns = rig.frames.frames[4].stamp_ns + round(after_s * 1e9)
    skipped = replace(of_colour(900, colour), stamp_ns=stamp_ns)
    prompt = click(0 if is_new else 1)
    draft = rig.tracker.draft(PromptTarget(index, skipped, stands_in=True), [prompt])
    rig.tracker.commit(draft)
    rig.catch_up()
    rig.step(of_colour(8, GREEN))
    state = rig.shown(draft.result.objects[0].id).state
    assert state is (ObjectState.VISIBLE if colour == GREEN else ObjectState.OCCLUDED)


def test_a_hidden_object_is_not_carried_over_by_its_mask_to_another_size(rig):
    rig.step(of_colour(3, GREEN))
    rig.tracker.resize((96, 128))
    assert rig.tracker._roster.known(1).carried_mask_hw is None


def test_with_cuts_off_no_picture_is_looked_at(monkeypatch):
    rig = Rig()
    monkeypatch.setattr(Cuts, 'look_at', lambda *_: pytest.fail('looked at'))
    for index, colour in enumerate((RED, GREEN)):
        rig.step(of_colour(index, colour))
    assert rig.tracker.cuts.count == 0


@pytest.mark.skipif(not MONTAGE.exists(), reason=f'no {MONTAGE}: python -m demo.fetch_clip')
def test_the_montage_of_the_demo_is_cut_where_its_shots_begin():
    cuts, video, begun, index = Cuts(FakeFrames()), cv2.VideoCapture(str(MONTAGE)), [], 0
    while (read := video.read())[0]:
        cuts.look_at(index, read[1][:, :, ::-1])
        if cuts.shots(index)[0] != cuts.shots(index)[1]:
            begun.append(index)
        index += 1
    assert index == 250
    assert (begun, cuts.count) == ([30, 76, 137, 187, 242], 5)
    assert shots_of(cuts, 250)[-1] == 5


@pytest.mark.skipif(not DATA.exists(), reason=f'no {DATA}: set SAM2_TRACKER_DATA')
def test_no_development_sequence_has_a_cut():
    sequences = [*DATA.glob('dev/davis2016/JPEGImages/*'),
                 *DATA.glob('dev/davis2017/JPEGImages/dogs-jump'),
                 *DATA.glob('dev/pumavos/JPEGImages/chair')]
    assert len(sequences) == 8
    for sequence in sequences:
        cuts = Cuts(FakeFrames())
        for index, path in enumerate(sorted(sequence.glob('*.jpg'))):
            picture = cv2.imread(str(path))
            cuts.look_at(index, picture[:, :, ::-1])
        assert (index > 30, cuts.count) == (True, 0), sequence.name
