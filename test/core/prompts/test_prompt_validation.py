# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Every way in which a prompt can be wrong is refused with a sentence."""

from __future__ import annotations

from dataclasses import replace

from fakes import click
import numpy as np
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts.validation import is_renaming, validate_prompts
from sam2_tracker.core.types import IdAllocator, MAX_POINTS, MAX_PROMPTS, Prompt

HW = (480, 640)


def points(
    *points_xy: tuple[float, float], labels: tuple[int, ...] | None = None, object_id: int = 3
) -> Prompt:
    given = (1,) * len(points_xy) if labels is None else labels
    return Prompt(
        object_id, '', np.array(points_xy, np.float32).reshape(-1, 2), np.array(given, np.int32)
    )


def box(*edges: float) -> Prompt:
    return Prompt(3, box_xyxy=np.array(edges, np.float32))


def mask(array: np.ndarray) -> Prompt:
    return Prompt(3, mask_hw=array)


def refusal(*prompts: Prompt, known: tuple[int, ...] = (1, 2, 3), max_objects: int = 5) -> str:
    with pytest.raises(PromptError) as raised:
        validate_prompts(prompts, HW, known, max_objects)
    return str(raised.value)


def accepted(*prompts: Prompt) -> tuple[Prompt, ...]:
    return validate_prompts(prompts, HW, (1, 2, 3), 5)


def test_a_prompt_outside_the_frame_is_refused():
    assert refusal(points((900, 20))) == 'object 3: point (900, 20) outside 640x480 frame'
    assert refusal(points((640, 20))) == 'object 3: point (640, 20) outside 640x480 frame'
    assert refusal(points((5, -0.5))) == 'object 3: point (5, -0.5) outside 640x480 frame'


def test_points_on_the_first_and_last_pixels_are_accepted():
    accepted(points((0, 0), (639, 479), (639.9, 479.9)))


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
def test_a_point_that_is_not_a_number_is_refused(value):
    assert 'object 3: point (' in refusal(points((value, 20)))
    assert 'is not a number' in refusal(points((20, value)))


def test_labels_other_than_0_and_1_are_refused():
    assert refusal(points((1, 1), labels=(2,))) == (
        'object 3: point label 2 is neither 1 (add) nor 0 (remove)'
    )


def test_points_and_labels_of_different_lengths_are_refused():
    assert refusal(points((1, 1), (2, 2), labels=(1,))) == (
        'object 3: 2 points but 1 point_labels; give one label per point'
    )


def test_an_empty_prompt_is_refused():
    assert refusal(Prompt(3)) == ('object 3: the prompt is empty; give points, a box or a mask')
    assert refusal(Prompt(0, 'cup')) == (
        'new object: the prompt is empty; give points, a box or a mask'
    )


def test_a_request_without_prompts_is_refused():
    assert refusal() == 'no prompts given: at least one is needed'


def test_a_label_alone_renames_a_known_object():
    accepted(Prompt(3, 'cup'))
    assert is_renaming(Prompt(3, 'cup'))
    assert not is_renaming(click(3, label='cup'))


@pytest.mark.parametrize(('label', 'reason'), [
    ('\ud800', "object 3: its label '\\ud800' has characters that cannot be printed: text "
     'without control characters is expected'),
    ('\x1b[31mred', "object 3: its label '\\x1b[31mred' has characters that cannot be printed: "
     'text without control characters is expected'),
    ('a' * 257, 'object 3: its label has 257 characters: at most 256 are accepted')])
def test_a_label_that_cannot_be_shown_is_refused(label, reason):
    assert refusal(replace(points((5, 5)), label=label)) == reason
    assert refusal(Prompt(3, label)) == reason
    accepted(replace(points((5, 5)), label='青い 箱'))


def test_an_unknown_id_is_refused_with_the_known_ones():
    assert refusal(click(9)) == ('object 9 is unknown: tracked are 1, 2, 3; 0 makes a new object')
    assert 'no object is tracked' in refusal(click(9), known=())


def test_one_id_twice_in_a_request_is_refused():
    assert 'object 3 is named twice in one request' in refusal(click(3), click(3))


def test_new_objects_may_come_several_at_once():
    accepted(click(), click())


def test_too_many_objects_are_refused():
    assert refusal(click(), click(), click()) == (
        'too many objects: 3 new beside 3 tracked, at most 5 in all (tracking.max_objects)'
    )


def test_refining_is_not_counted_as_a_new_object():
    validate_prompts([click(3)], HW, (1, 2, 3), 2)


def test_more_prompts_than_a_request_may_have_are_refused():
    most = [click(0)] * MAX_PROMPTS
    assert len(validate_prompts(most, (480, 640), (), 1000)) == MAX_PROMPTS
    assert refusal(*most, click(0), max_objects=1000) == (
        '101 prompts in one request: at most 100 are taken, give the others in requests of their '
        'own'
    )


def test_more_points_than_a_prompt_may_have_are_refused():
    most = [(5, 6)] * MAX_POINTS
    accepted(points(*most))
    assert refusal(points(*most, (5, 6))) == (
        'object 3: 257 points, at most 256 are taken; for an outline or a region give a mask'
    )


def test_a_mask_of_another_size_is_refused():
    assert refusal(mask(np.ones((240, 320), bool))) == (
        'object 3: the mask is 320x240 but the frame is 640x480'
    )


def test_a_mask_without_a_pixel_is_refused():
    assert 'object 3: the mask is all zero' in refusal(mask(np.zeros(HW, bool)))


def test_a_mask_together_with_points_or_a_box_is_refused():
    both = Prompt(
        3,
        points_xy=np.ones((1, 2), np.float32),
        point_labels=np.ones(1, np.int32),
        mask_hw=np.ones(HW, bool),
    )
    assert 'a mask goes with neither points nor a box' in refusal(both)
    boxed = Prompt(3, box_xyxy=np.array([1, 1, 5, 5], np.float32), mask_hw=np.ones(HW, bool))
    assert 'a mask goes with neither points nor a box' in refusal(boxed)


def test_a_box_is_clipped_to_the_image():
    clipped = accepted(box(-20, 10, 700, 500))[0].box_xyxy
    assert clipped.tolist() == [0, 10, 640, 480]


def test_a_box_of_which_nothing_is_left_is_refused():
    assert refusal(box(700, 20, 800, 60)) == (
        'object 3: box (700, 20, 800, 60) lies outside the 640x480 frame'
    )


def test_a_box_of_negative_or_no_size_is_refused():
    assert refusal(box(50, 60, 40, 70)) == (
        'object 3: box (50, 60, 40, 70) is -10 by 10 pixels; width and height must be positive'
    )
    assert 'is 0 by 10 pixels' in refusal(box(50, 60, 50, 70))


def test_a_box_that_is_not_four_numbers_is_refused():
    assert 'is not four numbers' in refusal(box(1, 2, float('nan'), 4))
    assert 'is not four numbers' in refusal(box(1, 2, 3))


def test_a_new_objects_refusal_says_which_prompt_it_was():
    assert refusal(click(), click(x=900)).startswith('new object (prompt 2 of 2): point (900')


def test_ids_beyond_16_bits_are_refused():
    assert 'object id 70000 is not 0' in refusal(click(70000))
    assert 'object id -1 is not 0' in refusal(click(-1))


def test_ids_go_up_and_are_never_given_twice():
    ids = IdAllocator()
    assert ids.peek(2) == ids.peek(2) == (1, 2)
    ids.claim(1)
    assert ids.peek(1) == (2,)
    with pytest.raises(PromptError, match='object id 1 was used before'):
        ids.claim(1)


def test_the_numbering_goes_on_above_the_largest_id_named():
    ids = IdAllocator()
    ids.claim(7)
    assert ids.peek(1) == (8,)
    assert ids.is_unused(3)


def test_after_65535_new_objects_are_refused():
    ids = IdAllocator()
    ids.claim(65534)
    assert ids.peek(1) == (65535,)
    with pytest.raises(PromptError, match='2 new objects asked for but only 1'):
        ids.peek(2)
    ids.claim(65535)
    with pytest.raises(PromptError, match='only 0 of the 65535 object ids are left'):
        ids.peek(1)
    with pytest.raises(PromptError, match='object id 65536 is not 1 to 65535'):
        ids.claim(65536)
