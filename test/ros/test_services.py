# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every service and every refusal of the contract, over DDS, on a model without a network."""

from __future__ import annotations

from pathlib import Path
import time

from geometry_msgs.msg import Point
from hypothesis import given, settings
from hypothesis import strategies as st
from node_rig import click, NodeRig
import numpy as np
import pytest
from ros_graph import graph_in, wait_until
import ros_support  # noqa: F401
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from sam2_tracker.ros.image_conversion import mask_to_msg
from sam2_tracker.ros.message_conversion import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.msg import Prompt
from sam2_tracker_msgs.srv import AddPrompts, ListObjects, RemoveObject

DOMAIN_ID = 105
HEIGHT, WIDTH = 48, 64
MAX_FRAMES, LOOK_BACK, MAX_OBJECTS = 12, 4, 3


@pytest.fixture(scope='module')
def shared():
    with graph_in(DOMAIN_ID) as graph:
        rig = NodeRig(
            graph, 'frame_policy:=every', f'buffer.max_frames:={MAX_FRAMES}',
            f'tracking.look_back_frames:={LOOK_BACK}', f'tracking.max_objects:={MAX_OBJECTS}',
            'prompt.timeout_s:=1.0', 'prompt.stamp_tolerance_s:=0.05')
        rig.track(MAX_FRAMES + 3)
        yield rig
        rig.close()


@pytest.fixture(name='rig')
def rig_fixture(shared):
    assert shared.call(Trigger, 'reset').success
    shared.track()
    return shared


def ask(rig, *prompts, number=None, stamp_ns=None, **fields):
    if stamp_ns is None:
        stamp_ns = rig.stamp_ns(rig.sent - 1 if number is None else number)
    return rig.call(AddPrompts, 'add_prompts', prompts=list(prompts),
                    stamp=stamp_to_msg(stamp_ns), **fields)


def listed(rig):
    reply = rig.call(ListObjects, 'list_objects')
    assert reply.success
    return reply.objects


def point_prompt(object_id=0, points=((5.0, 6.0),), labels=(1,)):
    return Prompt(object_id=object_id, points=[Point(x=x, y=y) for x, y in points],
                  point_labels=list(labels))


def box_prompt(x, y, width, height):
    return Prompt(box=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height))


def mask_prompt(height=HEIGHT, width=WIDTH, filled=True):
    mask = np.zeros((height, width), bool)
    mask[5:10, 5:10] = filled
    return Prompt(mask=mask_to_msg(mask, Header()))


def with_mask(prompt: Prompt) -> Prompt:
    prompt.mask = mask_prompt().mask
    return prompt


# --- add_prompts: what it answers ---------------------------------------------------------------


def test_add_prompts_answers_with_the_frame_the_objects_and_their_label_image(rig):
    reply = ask(rig, click(label='cup'), click(x=40.0))
    assert reply.success and reply.message == ''
    assert stamp_from_msg(reply.stamp) == rig.stamp_ns(rig.sent - 1)
    first, second = (item.id for item in reply.objects)
    assert second == first + 1 and [item.label for item in reply.objects] == ['cup', '']
    image = reply.label_image
    assert (image.encoding, image.height, image.width) == ('mono16', HEIGHT, WIDTH)
    assert stamp_from_msg(image.header.stamp) == rig.stamp_ns(rig.sent - 1)
    assert image.header.frame_id == 'camera'
    values = set(np.frombuffer(image.data, np.uint16)) - {0}
    assert values and values <= {first, second}


def test_the_objects_come_back_in_the_order_of_the_prompts(rig):
    first, second = (item.id for item in ask(rig, click(), click()).objects)
    reply = ask(rig, click(second), click(first))
    assert [item.id for item in reply.objects] == [second, first]


def test_stamp_zero_means_the_newest_buffered_frame(rig):
    pending = rig.graph.call_async(
        AddPrompts, f'{rig.prefix}/add_prompts', AddPrompts.Request(prompts=[click()]))
    reply = wait_until(lambda: pending.done() and pending.result())
    assert reply.success and stamp_from_msg(reply.stamp) == rig.stamp_ns(rig.sent - 1)


@pytest.mark.parametrize('prompt', [
    point_prompt(points=((5.0, 6.0), (8.0, 9.0)), labels=(1, 0)), box_prompt(4, 5, 20, 20),
    mask_prompt()], ids=['points', 'box', 'mask'])
def test_points_boxes_and_masks_each_make_an_object(rig, prompt):
    reply = ask(rig, prompt)
    assert reply.success, reply.message
    assert reply.objects[0].id in {item.id for item in listed(rig)}


def test_a_box_reaching_over_the_edge_is_clipped(rig):
    assert ask(rig, box_prompt(50, 40, 500, 500)).success


def test_a_stamp_takes_the_nearest_frame_within_the_tolerance(rig):
    number = rig.sent - 3
    reply = ask(rig, click(), stamp_ns=rig.stamp_ns(number) + 40_000_000)
    assert reply.success and stamp_from_msg(reply.stamp) == rig.stamp_ns(number)


def test_a_prompt_on_a_past_frame_catches_up_with_the_stream(rig):
    reply = ask(rig, click(), number=rig.sent - 4)
    assert reply.success and reply.objects[0].catching_up
    rig.track()
    wait_until(lambda: not listed(rig)[0].catching_up)
    rig.track()
    assert listed(rig)[0].state == 1


def test_an_object_can_be_renamed_by_its_label_alone(rig):
    object_id = ask(rig, click(label='cup')).objects[0].id
    assert ask(rig, Prompt(object_id=object_id, label='mug')).success
    assert [item.label for item in listed(rig)] == ['mug']


def test_clear_previous_starts_an_object_over_on_that_frame(rig):
    fresh = ask(rig, click(x=30.0)).objects[0]
    object_id = ask(rig, click(x=10.0)).objects[0].id
    again = ask(rig, click(object_id, x=30.0), clear_previous=True).objects[0]
    assert (again.box, again.area) == (fresh.box, fresh.area)


def test_a_preview_answers_with_masks_and_tracks_nothing(rig):
    before = listed(rig)
    reply = ask(rig, click(), click(), preview_only=True)
    assert reply.success and len(reply.objects) == 2
    assert set(np.frombuffer(reply.label_image.data, np.uint16)) - {0}
    assert listed(rig) == before
    assert [item.id for item in ask(rig, click()).objects] == [reply.objects[0].id]


# --- add_prompts: what it refuses ---------------------------------------------------------------

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
    'too many objects': (
        [click()] * (MAX_OBJECTS + 1),
        'too many objects: 4 new beside 0 tracked, at most 3 in all (tracking.max_objects)'),
}


@pytest.mark.parametrize('name', REFUSALS)
def test_add_prompts_refuses(rig, name):
    prompts, sentence = REFUSALS[name]
    reply = ask(rig, *prompts)
    assert not reply.success and sentence in reply.message, reply.message
    assert not reply.objects and not reply.label_image.data
    assert listed(rig) == []


def test_one_object_twice_in_a_request_is_refused(rig):
    object_id = ask(rig, click()).objects[0].id
    reply = ask(rig, click(object_id), click(object_id))
    assert not reply.success
    assert f'object {object_id} is named twice in one request' in reply.message


def test_one_bad_prompt_refuses_all_of_a_request(rig):
    reply = ask(rig, click(), point_prompt(points=((900.0, 20.0),)))
    assert not reply.success and '(prompt 2 of 2)' in reply.message
    assert listed(rig) == []


def test_an_evicted_stamp_is_refused_with_the_oldest_and_newest(rig):
    reply = ask(rig, click(), number=0)
    assert not reply.success
    oldest, newest = rig.stamp_ns(rig.sent - MAX_FRAMES), rig.stamp_ns(rig.sent - 1)
    for stamp_ns in (rig.stamp_ns(0), oldest, newest):
        assert f'{stamp_ns / 1e9:.1f}'[:12] in reply.message, reply.message


def test_a_stamp_from_the_future_is_refused(rig):
    reply = ask(rig, click(), number=rig.sent + 100)
    assert not reply.success and 'newest' in reply.message


def test_a_refinement_that_is_too_old_is_refused_with_the_oldest_stamp_that_would_do(rig):
    object_id = ask(rig, click()).objects[0].id
    rig.track(LOOK_BACK + 3)
    reply = ask(rig, click(object_id), number=rig.sent - 2 - LOOK_BACK)
    assert not reply.success
    assert f'a refinement can go back {LOOK_BACK} processed frames' in reply.message
    assert f'{rig.stamp_ns(rig.sent - 1 - LOOK_BACK) / 1e9:.1f}'[:12] in reply.message


def test_a_refinement_within_the_look_back_is_taken(rig):
    object_id = ask(rig, click()).objects[0].id
    rig.track(LOOK_BACK)
    assert ask(rig, click(object_id, positive=0), number=rig.sent - 1 - LOOK_BACK).success


def test_a_request_that_cannot_be_done_in_time_is_answered_and_never_applied(rig):
    tracked = ask(rig, click()).objects[0].id
    rig.predictor.gate.clear()
    rig.predictor.arrived.clear()
    number = rig.sent
    rig.send()
    assert rig.predictor.arrived.wait(20)
    begun_s = time.monotonic()
    reply = ask(rig, click(), number=number)
    took_s = time.monotonic() - begun_s
    rig.predictor.gate.set()
    assert not reply.success
    assert 'took longer than 1 s (prompt.timeout_s)' in reply.message
    assert 0.9 < took_s < 2.0
    rig.result(rig.stamp_ns(number))
    rig.track()
    assert [item.id for item in listed(rig)] == [tracked]


@settings(max_examples=60, deadline=None)
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


# --- the other services -------------------------------------------------------------------------


def test_remove_object_forgets_it_and_its_topic(rig):
    object_id = ask(rig, click()).objects[0].id
    rig.track()
    topic = f'{rig.prefix}/object_{object_id}/mask'
    wait_until(lambda: rig.graph.node.count_publishers(topic))
    assert rig.call(RemoveObject, 'remove_object', object_id=object_id).success
    assert listed(rig) == []
    wait_until(lambda: not rig.graph.node.count_publishers(topic))


def test_remove_object_refuses_an_unknown_id(rig):
    known = ask(rig, click()).objects[0].id
    reply = rig.call(RemoveObject, 'remove_object', object_id=4321)
    assert not reply.success
    assert reply.message == f'object 4321 is unknown: tracked are {known}'


def test_list_objects_carries_the_header_of_the_frame_that_the_states_belong_to(rig):
    ask(rig, click(label='cup'))
    stamp_ns = rig.track()
    reply = rig.call(ListObjects, 'list_objects')
    assert reply.success and reply.header.frame_id == 'camera'
    assert stamp_from_msg(reply.header.stamp) == stamp_ns
    assert [(item.label, item.state) for item in reply.objects] == [('cup', 1)]


def test_reset_forgets_every_object_and_keeps_the_stream(rig):
    ask(rig, click(), click())
    rig.track()
    assert rig.call(Trigger, 'reset').success
    assert listed(rig) == []
    stamp_ns = rig.track()
    assert rig.result(stamp_ns).objects == []


def test_ids_go_on_across_reset(rig):
    before = ask(rig, click()).objects[0].id
    assert rig.call(Trigger, 'reset').success
    assert ask(rig, click()).objects[0].id == before + 1


def test_pause_stops_tracking_buffers_on_and_answers_only_previews(rig):
    object_id = ask(rig, click()).objects[0].id
    reply = rig.call(SetBool, 'pause', data=True)
    assert reply.success and reply.message == 'paused'
    number, results = rig.sent, len(rig.objects.messages)
    rig.send()
    preview = wait_until(lambda: (answer := ask(
        rig, click(), number=number, preview_only=True)).success and answer)
    assert stamp_from_msg(preview.stamp) == rig.stamp_ns(number)
    refused = ask(rig, click(object_id), number=number - 1)
    assert not refused.success and 'paused' in refused.message
    assert len(rig.objects.messages) == results
    assert rig.call(SetBool, 'pause', data=False).message == 'tracking'
    rig.result(rig.stamp_ns(number))


def test_snapshot_links_the_frames_into_a_directory_that_stays(rig):
    reply = rig.call(Trigger, 'snapshot')
    assert reply.success
    frames = sorted(Path(reply.message).glob('*.jpeg'))
    assert len(frames) >= MAX_FRAMES - 1
    rig.track(3)
    assert sorted(Path(reply.message).glob('*.jpeg')) == frames
    assert all(path.stat().st_size for path in frames)


def test_many_requests_at_once_are_all_answered(rig):
    object_id = ask(rig, click()).objects[0].id
    pending = [rig.graph.call_async(ListObjects, f'{rig.prefix}/list_objects')
               for _ in range(40)]
    pending += [rig.graph.call_async(
        AddPrompts, f'{rig.prefix}/add_prompts',
        AddPrompts.Request(prompts=[click(object_id)],
                           stamp=stamp_to_msg(rig.stamp_ns(rig.sent - 1))))
        for _ in range(10)]
    wait_until(lambda: all(future.done() for future in pending))
    assert all(future.result().success for future in pending)
