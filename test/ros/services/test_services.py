# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every service and what it answers, over DDS, on a model without a network."""

from __future__ import annotations

from pathlib import Path

from node_rig import click
import numpy as np
from prompt_rig import (
    ask_on,
    box_prompt,
    HEIGHT,
    listed,
    mask_prompt,
    MAX_FRAMES,
    point_prompt,
    short_memory,
    start_over,
    WIDTH,
)
import pytest
from rcl_interfaces.msg import Log
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.ros.messages import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.msg import Prompt
from sam2_tracker_msgs.srv import AddPrompts, ListObjects, RemoveObject
from std_srvs.srv import SetBool, Trigger
from waiting import wait_until

DOMAIN_ID = 35


@pytest.fixture(scope='module')
def shared(graph):
    with short_memory(graph) as rig:
        yield rig


@pytest.fixture(name='rig')
def rig_fixture(shared):
    return start_over(shared)


def test_add_prompts_answers_with_the_frame_the_objects_and_their_label_image(rig):
    reply = ask_on(rig, click(label='cup'), click(x=40.0), with_label_image=True)
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


@pytest.mark.parametrize('preview_only', [False, True], ids=['prompt', 'preview'])
def test_without_being_asked_for_a_label_image_the_answer_is_short(rig, preview_only):
    reply = ask_on(rig, click(), preview_only=preview_only)
    image = reply.label_image
    assert (image.height, image.width, len(image.data)) == (0, 0, 0)
    found, = reply.objects
    assert found.area and found.box.width and found.score > 0.5
    # As `ros2 service call` prints it.
    assert len(repr(reply)) < 1500


def test_the_objects_come_back_in_the_order_of_the_prompts(rig):
    first, second = (item.id for item in ask_on(rig, click(), click()).objects)
    reply = ask_on(rig, click(second), click(first))
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
    reply = ask_on(rig, prompt)
    assert reply.success, reply.message
    assert reply.objects[0].id in {item.id for item in listed(rig)}


def test_a_box_reaching_over_the_edge_is_clipped(rig):
    assert ask_on(rig, box_prompt(50, 40, 500, 500)).success


def test_a_stamp_takes_the_nearest_frame_within_the_tolerance(rig):
    number = rig.sent - 3
    reply = ask_on(rig, click(), stamp_ns=rig.stamp_ns(number) + 40_000_000)
    assert reply.success and stamp_from_msg(reply.stamp) == rig.stamp_ns(number)


def test_a_prompt_on_a_past_frame_catches_up_with_the_stream(rig):
    reply = ask_on(rig, click(), number=rig.sent - 4)
    assert reply.success and reply.objects[0].catching_up
    rig.track()
    wait_until(lambda: not listed(rig)[0].catching_up)
    rig.track()
    assert listed(rig)[0].state == 1


def test_an_object_can_be_renamed_by_its_label_alone(rig):
    object_id = ask_on(rig, click(label='cup')).objects[0].id
    assert ask_on(rig, Prompt(object_id=object_id, label='mug')).success
    assert [item.label for item in listed(rig)] == ['mug']


def test_a_label_is_taken_away_by_blanks_alone(rig):
    object_id = ask_on(rig, click(label='cup')).objects[0].id
    assert ask_on(rig, Prompt(object_id=object_id, label=' ')).success
    assert [item.label for item in listed(rig)] == ['']
    rig.wait_for_line(f'object {object_id} has no label any more', Log.INFO)


def test_clear_previous_starts_an_object_over_on_that_frame(rig):
    fresh = ask_on(rig, click(x=30.0)).objects[0]
    object_id = ask_on(rig, click(x=10.0)).objects[0].id
    again = ask_on(rig, click(object_id, x=30.0), clear_previous=True).objects[0]
    assert (again.box, again.area) == (fresh.box, fresh.area)


def test_an_id_alone_with_clear_previous_takes_its_prompts_on_that_frame_back(rig):
    object_id = ask_on(rig, click()).objects[0].id
    rig.track()
    before = ask_on(rig, click(object_id, x=40.0), preview_only=True).objects[0]
    given = ask_on(rig, click(object_id, x=40.0))
    assert given.objects[0] == before and given.success
    taken = rig.call(AddPrompts, 'add_prompts', stamp=given.stamp, clear_previous=True,
                     prompts=[Prompt(object_id=object_id)])
    assert taken.success and taken.stamp == given.stamp
    assert taken.objects[0].id == object_id and taken.objects[0].box != before.box
    rig.wait_for_line(f'prompts of object {object_id} are taken back', Log.INFO)
    again = rig.call(AddPrompts, 'add_prompts', stamp=given.stamp, clear_previous=True,
                     prompts=[Prompt(object_id=object_id)])
    assert not again.success and 'has no prompts that can be taken back' in again.message
    assert listed(rig)[0].id == object_id


def test_a_preview_answers_with_masks_and_tracks_nothing(rig):
    before = listed(rig)
    reply = ask_on(rig, click(), click(), preview_only=True, with_label_image=True)
    assert reply.success and len(reply.objects) == 2
    assert set(np.frombuffer(reply.label_image.data, np.uint16)) - {0}
    assert listed(rig) == before
    assert [item.id for item in ask_on(rig, click()).objects] == [reply.objects[0].id]


def test_remove_object_forgets_it_and_its_topic(rig):
    object_id = ask_on(rig, click()).objects[0].id
    rig.track()
    topic = f'{rig.prefix}/object_{object_id}/mask'
    wait_until(lambda: rig.graph.node.count_publishers(topic))
    assert rig.call(RemoveObject, 'remove_object', object_id=object_id).success
    assert listed(rig) == []
    wait_until(lambda: not rig.graph.node.count_publishers(topic))


def test_remove_object_refuses_an_unknown_id(rig):
    known = ask_on(rig, click()).objects[0].id
    reply = rig.call(RemoveObject, 'remove_object', object_id=4321)
    assert not reply.success
    assert reply.message == f'object 4321 is unknown: tracked are {known}'


def test_list_objects_carries_the_header_of_the_frame_that_the_states_belong_to(rig):
    ask_on(rig, click(label='cup'))
    stamp_ns = rig.track()
    reply = rig.call(ListObjects, 'list_objects')
    assert reply.success and reply.header.frame_id == 'camera'
    assert stamp_from_msg(reply.header.stamp) == stamp_ns
    assert [(item.label, item.state) for item in reply.objects] == [('cup', 1)]


def test_reset_forgets_every_object_and_keeps_the_stream(rig):
    ask_on(rig, click(), click())
    rig.track()
    assert rig.call(Trigger, 'reset').success
    assert listed(rig) == []
    stamp_ns = rig.track()
    assert rig.result(stamp_ns).objects == []


def test_ids_go_on_across_reset(rig):
    before = ask_on(rig, click()).objects[0].id
    assert rig.call(Trigger, 'reset').success
    assert ask_on(rig, click()).objects[0].id == before + 1


def test_pause_stops_tracking_buffers_on_and_answers_only_previews(rig):
    object_id = ask_on(rig, click()).objects[0].id
    reply = rig.call(SetBool, 'pause', data=True)
    assert reply.success and reply.message == 'paused'
    number, results = rig.sent, len(rig.objects.messages)
    rig.send()
    preview = wait_until(lambda: (answer := ask_on(
        rig, click(), number=number, preview_only=True)).success and answer)
    assert stamp_from_msg(preview.stamp) == rig.stamp_ns(number)
    refused = ask_on(rig, click(object_id), number=number - 1)
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
    object_id = ask_on(rig, click()).objects[0].id
    pending = [rig.graph.call_async(ListObjects, f'{rig.prefix}/list_objects')
               for _ in range(40)]
    pending += [
        rig.graph.call_async(
            AddPrompts, f'{rig.prefix}/add_prompts',
            AddPrompts.Request(prompts=[click(object_id)],
                               stamp=stamp_to_msg(rig.stamp_ns(rig.sent - 1))))
        for _ in range(10)
    ]
    wait_until(lambda: all(future.done() for future in pending))
    assert all(future.result().success for future in pending)


def test_each_success_leaves_one_line_in_the_log(rig):
    before = len(rig.lines(''))

    def said() -> list[str]:
        return [line for line in rig.lines('')[before:] if 'object' in line or 'tracking' in line]

    cup, ball = (each.id for each in ask_on(rig, click(label='cup'), click(x=40.0)).objects)
    stamp = format_stamp(rig.stamp_ns(rig.sent - 1))
    rig.wait_for_line(
        f'new object {cup} (cup), new object {ball}, on the frame of stamp {stamp}', Log.INFO)
    assert ask_on(rig, click(), preview_only=True).success
    assert ask_on(rig, click(cup, x=30.0), Prompt(object_id=ball, label='ball')).success
    rig.wait_for_line(
        f'object {cup} (cup) is prompted again, object {ball} is called ball', Log.INFO)
    assert rig.call(RemoveObject, 'remove_object', object_id=cup).success
    rig.wait_for_line(f'object {cup} is removed', Log.INFO)
    assert rig.call(SetBool, 'pause', data=True).success
    rig.wait_for_line('tracking is paused', Log.INFO)
    assert rig.call(SetBool, 'pause', data=False).success
    rig.wait_for_line('tracking goes on', Log.INFO)
    assert rig.call(Trigger, 'reset').success
    rig.wait_for_line('reset: every object is removed', Log.INFO)
    path = rig.call(Trigger, 'snapshot').message
    rig.wait_for_line(f'snapshot in {path}', Log.INFO)
    assert len(said()) == 6, said()
