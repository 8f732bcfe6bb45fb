# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Headers, frame policies and late prompts, on a model without a network."""

from __future__ import annotations

import time

from node_rig import ask, click
from sam2_tracker.ros.messages import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.srv import AddPrompts, ListObjects
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from waiting import TIMEOUT_S, wait_until

DOMAIN_ID = 36
UNKNOWN, VISIBLE, OCCLUDED, LOST = range(4)


def stamps(rig):
    return [stamp_from_msg(msg.header.stamp) for msg in rig.objects.messages]


def wait_for_input(rig, stamp_ns):
    """Wait until a picture, and every one before it, is in the buffer."""
    camera = rig.node._system._input
    wait_until(lambda: camera.newest().header.stamp_ns == stamp_ns)


def test_every_output_carries_the_source_header_unchanged(start):
    rig = start()
    rig.track()
    object_id = ask(rig, click()).objects[0].id
    rig.track()
    topics = {'label_image': Image, f'object_{object_id}/mask': Image, 'annotated': Image,
              'annotated/compressed': CompressedImage}
    wait_until(lambda: rig.graph.node.count_publishers(f'{rig.prefix}/object_{object_id}/mask'))
    inboxes = [rig.graph.inbox(kind, f'{rig.prefix}/{name}') for name, kind in topics.items()]
    wait_until(lambda: all(rig.node.count_subscribers(f'{rig.prefix}/{name}')
                           for name in topics))
    stamp_ns = rig.send(stamp_ns=1_700_000_123_456_789_012)
    assert rig.result(stamp_ns).header.frame_id == 'camera'
    for inbox in inboxes:
        header = inbox.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns).header
        assert header.frame_id == 'camera'


def test_images_with_stamp_zero_keep_it_and_are_looked_up_by_their_receive_time(start):
    rig = start()
    before_ns = time.time_ns()
    rig.send(stamp_ns=0)
    assert rig.result(0).header.stamp == Header().stamp
    reply = ask(rig, click())
    assert before_ns < stamp_from_msg(reply.stamp) < time.time_ns()
    assert ask(rig, click(reply.objects[0].id), stamp_ns=stamp_from_msg(reply.stamp)).success
    rig.wait_for_line('images have stamp 0: they are looked up by their receive time')


def test_stamps_come_from_the_images_with_sim_time_too(start):
    rig = start('use_sim_time:=true')
    stamp_ns = rig.track()
    assert stamps(rig) == [stamp_ns]


def test_every_loses_nothing_of_a_burst_that_is_faster_than_the_tracker(start):
    rig = start('frame_policy:=every')
    rig.track()
    ask(rig, click())
    rig.predictor.slow_s = 0.005
    sent = [rig.send() for _ in range(300)]
    rig.objects.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == sent[-1], timeout_s=60)
    assert stamps(rig)[1:] == sent
    assert all(msg.objects[0].state == VISIBLE for msg in rig.objects.messages[1:])


def test_latest_stays_fresh_under_overload(start):
    rig = start()
    rig.track()
    ask(rig, click())
    rig.predictor.slow_s = 0.2
    end_s = time.monotonic() + TIMEOUT_S
    while rig.sent < 100 or len(stamps(rig)) < 6:
        assert time.monotonic() < end_s
        sent_at_s = time.monotonic()
        stamp_ns = rig.send()
        time.sleep(0.01)
    rig.result(stamp_ns)
    # A frame waits for at most one other, 0.2 s each; 100 of them in a queue would take 20 s.
    assert time.monotonic() - sent_at_s < 8.0


def test_a_late_prompt_hits_the_frame_that_the_operator_saw(start):
    rig = start('frame_policy:=every')
    seen_ns = rig.track(5)
    rig.track(10)
    expected = ask(rig, click(x=30.0), stamp_ns=seen_ns, preview_only=True, with_label_image=True)
    reply = ask(rig, click(x=30.0), stamp_ns=seen_ns, with_label_image=True)
    assert stamp_from_msg(reply.stamp) == seen_ns
    assert reply.objects[0].box == expected.objects[0].box
    assert reply.label_image == expected.label_image
    other = ask(rig, click(x=30.0), stamp_ns=rig.stamp_ns(rig.sent - 1), preview_only=True)
    assert other.objects[0].box != expected.objects[0].box


def test_a_prompt_on_a_skipped_frame_is_taken_under_latest(start):
    rig = start()
    rig.track(3)
    ask(rig, click())
    rig.predictor.arrived.clear()
    rig.predictor.gate.clear()
    rig.send()
    assert rig.predictor.arrived.wait(TIMEOUT_S)
    skipped_ns = rig.send()
    newest_ns = rig.send()
    wait_for_input(rig, newest_ns)
    rig.predictor.gate.set()
    rig.result(newest_ns)
    assert skipped_ns not in stamps(rig)
    reply = ask(rig, click(), stamp_ns=skipped_ns)
    assert reply.success and stamp_from_msg(reply.stamp) == skipped_ns
    rig.track(2)
    assert [item.state for item in rig.objects.messages[-1].objects] == [VISIBLE] * 2


def test_a_new_object_on_a_past_frame_is_unknown_until_it_has_caught_up(start):
    rig = start('frame_policy:=every', 'tracking.look_back_frames:=1', 'prompt.timeout_s:=60.0')
    rig.track(20)
    # Without frames that wait it would catch up at once.
    rig.predictor.arrived.clear()
    rig.predictor.gate.clear()
    pending = rig.graph.call_async(AddPrompts, f'{rig.prefix}/add_prompts', AddPrompts.Request(
        prompts=[click()], stamp=stamp_to_msg(rig.stamp_ns(2))))
    assert rig.predictor.arrived.wait(TIMEOUT_S)
    last_ns = [rig.send() for _ in range(12)][-1]
    wait_for_input(rig, last_ns)
    rig.predictor.gate.set()
    wait_until(pending.done)
    reply = pending.result()
    assert reply.success and reply.objects[0].state == VISIBLE and reply.objects[0].catching_up
    rig.result(last_ns)
    shown = [msg.objects[0] for msg in rig.objects.messages if msg.objects]
    unknown = [item for item in shown if item.state == UNKNOWN]
    assert unknown and all(item.catching_up and not item.area for item in unknown)
    assert (shown[-1].state, shown[-1].catching_up) == (VISIBLE, False)


def test_two_instances_in_two_namespaces_do_not_meet(start):
    left, right = start(namespace='left'), start(namespace='right')
    left.track(3)
    assert stamps(right) == []
    assert ask(left, click(label='cup')).success
    right.track(2)
    assert rig_labels(left) == ['cup'] and rig_labels(right) == []
    names = [name for name, _ in left.graph.node.get_topic_names_and_types()]
    shared = {'/diagnostics', '/parameter_events', '/rosout'}
    assert all(name.startswith(('/left', '/right', '/stream_')) or name in shared
               for name in names), names


def rig_labels(rig):
    return [item.label for item in rig.call(ListObjects, 'list_objects').objects]
