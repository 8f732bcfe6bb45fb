# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every refusal of add_prompts with its sentence; whatever is asked is answered."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from node_rig import click, until_done
from prompt_rig import (
    ask_on,
    box_prompt,
    HEIGHT,
    listed,
    LOOK_BACK,
    mask_prompt,
    MAX_FRAMES,
    MAX_OBJECTS,
    point_prompt,
    short_memory,
    start_over,
    WIDTH,
    with_mask,
)
import pytest
from sam2_tracker_msgs.msg import Prompt
from sam2_tracker_msgs.srv import AddPrompts, ListObjects
from sensor_msgs.msg import Image, RegionOfInterest
from std_srvs.srv import Trigger
from waiting import TIMEOUT_S

DOMAIN_ID = 41


@pytest.fixture(scope='module')
def shared(graph):
    with short_memory(graph) as rig:
        yield rig


@pytest.fixture(name='rig')
def rig_fixture(shared):
    return start_over(shared)


REFUSALS = {
    'no prompts': ([], 'no prompts given: at least one is needed'),
    'an empty prompt': ([Prompt()], 'new object: the prompt is empty'),
    'a label without an object': ([Prompt(label='cup')], 'the prompt is empty'),
    'a point right of the image': (
        [point_prompt(points=((900.0, 20.0),))], 'point (900, 20) outside 64x48 frame'),
    'a point on the width': (
        [point_prompt(points=((64.0, 20.0),))], 'point (64, 20) outside 64x48 frame'),
    'a point above the image': (
        [point_prompt(points=((5.0, -0.5),))], 'point (5, -0.5) outside 64x48 frame'),
    'a point that is not a number': (
        [point_prompt(points=((float('nan'), 5.0),))], 'point (nan, 5) is not a number'),
    'an infinite point': (
        [point_prompt(points=((float('inf'), 5.0),))], 'point (inf, 5) is not a number'),
    'a label that is neither 0 nor 1': (
        [point_prompt(labels=(2,))], 'point label 2 is neither 1 (add) nor 0 (remove)'),
    'more points than labels': (
        [point_prompt(labels=())], '1 points but 0 point_labels; give one label per point'),
    'more labels than points': (
        [point_prompt(points=(), labels=(1,))], '0 points but 1 point_labels'),
    'a mask with points': ([with_mask(point_prompt())], 'a mask goes with neither points nor'),
    'a mask with a box': ([with_mask(box_prompt(1, 1, 5, 5))], 'a mask goes with neither'),
    'a mask of another size': (
        [mask_prompt(HEIGHT * 2, WIDTH)], 'the mask is 64x96 but the frame is 64x48'),
    'an all-zero mask': ([mask_prompt(filled=False)], 'the mask is all zero'),
    'a mask of another encoding': (
        [Prompt(mask=Image(encoding='rgb8', width=1, height=1, step=3, data=b'abc'))],
        "mask refused: encoding 'rgb8': a mask has encoding mono8"),
    'a truncated mask': (
        [Prompt(mask=Image(encoding='mono8', width=64, height=48, step=64, data=b'abc'))],
        'mask refused: image has 3 bytes'),
    'a box beside the image': (
        [box_prompt(100, 5, 10, 10)], 'box (100, 5, 110, 15) lies outside the 64x48 frame'),
    'a box without a width': ([box_prompt(10, 5, 0, 10)], 'is 0 by 10 pixels'),
    'an unknown object': ([point_prompt(4321)], 'object 4321 is unknown: no object is tracked'),
    'too many prompts': (
        [click()] * 101, '101 prompts in one request: at most 100 are taken'),
    'too many points': (
        [point_prompt(points=((5.0, 6.0),) * 257, labels=(1,) * 257)],
        'new object: 257 points, at most 256 are taken'),
    'too many objects': (
        [click()] * (MAX_OBJECTS + 1),
        'too many objects: 4 new beside 0 tracked, at most 3 in all (tracking.max_objects)'),
}


@pytest.mark.parametrize('name', REFUSALS)
def test_add_prompts_refuses(rig, name):
    prompts, sentence = REFUSALS[name]
    reply = ask_on(rig, *prompts)
    assert not reply.success and sentence in reply.message, reply.message
    assert not reply.objects and not reply.label_image.data
    assert listed(rig) == []


def test_one_object_twice_in_a_request_is_refused(rig):
    object_id = ask_on(rig, click()).objects[0].id
    reply = ask_on(rig, click(object_id), click(object_id))
    assert not reply.success
    assert f'object {object_id} is named twice in one request' in reply.message


def test_one_bad_prompt_refuses_all_of_a_request(rig):
    reply = ask_on(rig, click(), point_prompt(points=((900.0, 20.0),)))
    assert not reply.success and '(prompt 2 of 2)' in reply.message
    assert listed(rig) == []


def test_an_evicted_stamp_is_refused_with_the_oldest_and_newest(rig):
    reply = ask_on(rig, click(), number=0)
    assert not reply.success
    oldest, newest = rig.stamp_ns(rig.sent - MAX_FRAMES), rig.stamp_ns(rig.sent - 1)
    for stamp_ns in (rig.stamp_ns(0), oldest, newest):
        assert f'{stamp_ns / 1e9:.1f}'[:12] in reply.message, reply.message


def test_a_stamp_from_the_future_is_refused(rig):
    reply = ask_on(rig, click(), number=rig.sent + 100)
    assert not reply.success and 'newest' in reply.message


def test_a_refinement_that_is_too_old_is_refused_with_the_oldest_stamp_that_would_do(rig):
    object_id = ask_on(rig, click()).objects[0].id
    rig.track(LOOK_BACK + 3)
    reply = ask_on(rig, click(object_id), number=rig.sent - 2 - LOOK_BACK)
    assert not reply.success
    assert f'a refinement can go back {LOOK_BACK} processed frames' in reply.message
    assert f'{rig.stamp_ns(rig.sent - 1 - LOOK_BACK) / 1e9:.1f}'[:12] in reply.message


def test_a_refinement_within_the_look_back_is_taken(rig):
    object_id = ask_on(rig, click()).objects[0].id
    rig.track(LOOK_BACK)
    assert ask_on(rig, click(object_id, positive=0), number=rig.sent - 1 - LOOK_BACK).success


def test_a_request_that_cannot_be_done_in_time_is_answered_and_never_applied(start):
    rig = start('frame_policy:=every', 'prompt.timeout_s:=1.0')
    rig.track()
    tracked = until_done(lambda: ask_on(rig, click())).objects[0].id
    rig.predictor.gate.clear()
    rig.predictor.arrived.clear()
    number = rig.sent
    rig.send()
    assert rig.predictor.arrived.wait(TIMEOUT_S)
    begun_s = time.monotonic()
    reply = ask_on(rig, click(), number=number)
    took_s = time.monotonic() - begun_s
    rig.predictor.gate.set()
    assert not reply.success
    assert 'took longer than 1 s (prompt.timeout_s)' in reply.message
    assert took_s > 0.9
    rig.result(rig.stamp_ns(number))
    rig.track()
    reply = until_done(lambda: rig.call(ListObjects, 'list_objects'))
    assert [item.id for item in reply.objects] == [tracked]


@settings(max_examples=60)
@given(object_id=st.integers(0, 9), label=st.text(max_size=5),
       points=st.lists(st.tuples(st.floats(-5, 100), st.floats(-5, 100)), max_size=3),
       labels=st.lists(st.integers(0, 3), max_size=3),
       roi=st.tuples(*[st.integers(0, 2 ** 32 - 1) | st.integers(0, 70)] * 4),
       mask=st.tuples(st.sampled_from(['', 'mono8', 'rgb8']), st.integers(0, 70),
                      st.integers(0, 70), st.integers(0, 70), st.binary(max_size=50)),
       stamp=st.tuples(st.integers(-2 ** 31, 2 ** 31 - 1) | st.just(0), st.integers(0, 10 ** 9)),
       clear=st.booleans(), preview=st.booleans())
def test_any_request_is_answered_with_success_or_a_sentence(
        shared, object_id, label, points, labels, roi, mask, stamp, clear, preview):
    encoding, height, width, step, data = mask
    prompt = point_prompt(object_id, points, labels)
    prompt.label = label
    prompt.box = RegionOfInterest(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3])
    prompt.mask = Image(encoding=encoding, height=height, width=width, step=step, data=data)
    request = AddPrompts.Request(prompts=[prompt], clear_previous=clear, preview_only=preview)
    request.stamp.sec, request.stamp.nanosec = stamp
    reply = shared.graph.call(AddPrompts, f'{shared.prefix}/add_prompts', request)
    assert reply.success or len(reply.message) > 10
    if len(listed(shared)) == MAX_OBJECTS:
        assert shared.call(Trigger, 'reset').success
