# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The stream: headers, policies, time, sizes, clicks; over DDS, on a model without a network."""

from __future__ import annotations

import time

from geometry_msgs.msg import PointStamped
from node_rig import click, NodeRig
import numpy as np
import pytest
from rcl_interfaces.msg import Log
from ros_graph import graph_in, wait_until
import ros_support  # noqa: F401
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from sam2_tracker.ros.message_conversion import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.srv import AddPrompts, ListObjects

DOMAIN_ID = 106
UNKNOWN, VISIBLE, OCCLUDED, LOST = range(4)
NAMES = iter(range(1000))


@pytest.fixture(scope='module')
def graph():
    with graph_in(DOMAIN_ID) as joined:
        yield joined


@pytest.fixture(name='start')
def start_fixture(graph):
    rigs = []

    def start(*overrides, **options) -> NodeRig:
        options.setdefault('namespace', f'stream_{next(NAMES)}')
        rigs.append(NodeRig(graph, *overrides, **options))
        return rigs[-1]
    yield start
    for rig in rigs:
        rig.close()


def ask(rig, *prompts, stamp_ns=0, **fields):
    return rig.call(AddPrompts, 'add_prompts', prompts=list(prompts),
                    stamp=stamp_to_msg(stamp_ns), **fields)


def stamps(rig):
    return [stamp_from_msg(msg.header.stamp) for msg in rig.objects.messages]


# --- headers ------------------------------------------------------------------------------------


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


# --- policies -----------------------------------------------------------------------------------


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
    rig.predictor.slow_s = 0.1
    ages_s, sent_at_s = [], {}
    for _ in range(100):
        sent_at_s[rig.send()] = time.monotonic()
        time.sleep(0.02)
        ages_s += [time.monotonic() - sent_at_s[stamp_ns] for stamp_ns in stamps(rig)[
            len(ages_s) + 1:]]
    last = rig.stamp_ns(rig.sent - 1)
    rig.result(last)
    # A frame waits for at most one other, 0.1 s each; nothing piles up over these 2 s.
    assert 10 < len(ages_s) < 40
    assert max(ages_s) < 0.5, max(ages_s)
    assert np.median(ages_s[-5:]) < np.median(ages_s[:5]) + 0.1


def test_a_late_prompt_hits_the_frame_that_the_operator_saw(start):
    rig = start('frame_policy:=every')
    seen_ns = rig.track(5)
    rig.track(10)
    expected = ask(rig, click(x=30.0), stamp_ns=seen_ns, preview_only=True)
    reply = ask(rig, click(x=30.0), stamp_ns=seen_ns)
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
    assert rig.predictor.arrived.wait(20)
    skipped_ns = rig.send()
    newest_ns = rig.send()
    time.sleep(0.3)
    rig.predictor.gate.set()
    rig.result(newest_ns)
    assert skipped_ns not in stamps(rig)
    reply = ask(rig, click(), stamp_ns=skipped_ns)
    assert reply.success and stamp_from_msg(reply.stamp) == skipped_ns
    rig.track(2)
    assert [item.state for item in rig.objects.messages[-1].objects] == [VISIBLE] * 2


def test_a_new_object_on_a_past_frame_is_unknown_until_it_has_caught_up(start):
    rig = start('frame_policy:=every', 'tracking.look_back_frames:=1')
    rig.track(20)
    rig.predictor.slow_s = 0.03
    reply = ask(rig, click(), stamp_ns=rig.stamp_ns(2))
    assert reply.success and reply.objects[0].state == VISIBLE and reply.objects[0].catching_up
    rig.track(12)
    shown = [msg.objects[0] for msg in rig.objects.messages if msg.objects]
    unknown = [item for item in shown if item.state == UNKNOWN]
    assert unknown and all(item.catching_up and not item.area for item in unknown)
    assert (shown[-1].state, shown[-1].catching_up) == (VISIBLE, False)


# --- time and sizes -----------------------------------------------------------------------------


def test_equal_stamps_and_small_steps_back_are_dropped(start):
    rig = start('frame_policy:=every')
    newest_ns = rig.track(5)
    rig.send(stamp_ns=newest_ns)
    rig.send(stamp_ns=newest_ns - 900_000_000)
    after_ns = rig.track()
    assert stamps(rig)[-2:] == [newest_ns, after_ns] and len(stamps(rig)) == 6
    rig.wait_for_line('frame dropped: ')


def test_a_looped_bag_loses_its_objects_once_and_ids_go_on(start):
    rig = start('frame_policy:=every')
    rig.track(12)
    first = ask(rig, click(label='cup')).objects[0].id
    end_ns = rig.track()
    rig.sent = 0
    rig.track(3)
    [lost] = [msg for msg in rig.objects.messages if any(
        item.state == LOST for item in msg.objects)]
    assert stamp_from_msg(lost.header.stamp) == end_ns
    assert [(item.id, item.label) for item in lost.objects] == [(first, 'cup')]
    assert all(not msg.objects for msg in rig.objects.messages[-3:])
    assert rig.call(ListObjects, 'list_objects').objects == []
    assert ask(rig, click()).objects[0].id == first + 1


PROMPTS_FILE = """\
prompts:
  - frame: 1
    label: ball
    points: [[30, 20]]
    point_labels: [1]
"""


def test_a_prompts_file_applies_by_itself_and_again_in_a_new_session(start, tmp_path):
    path = tmp_path / 'prompts.yaml'
    path.write_text(PROMPTS_FILE)
    rig = start('frame_policy:=every', f'prompts_file:={path}')
    rig.track(12)
    assert [item.label for item in rig.objects.messages[-1].objects] == ['ball']
    assert [bool(msg.objects) for msg in rig.objects.messages[:3]] == [False, True, True]
    first = rig.objects.messages[-1].objects[0].id
    rig.sent = 0
    rig.track(3)
    [again] = rig.objects.messages[-1].objects
    assert again.label == 'ball' and again.id != first


def test_a_prompts_file_may_name_unused_ids_and_numbering_goes_on_above(start, tmp_path):
    path = tmp_path / 'prompts.yaml'
    path.write_text(PROMPTS_FILE.replace('frame: 1', 'frame: 1\n    object: 65534'))
    rig = start('frame_policy:=every', f'prompts_file:={path}')
    rig.track(3)
    assert [item.id for item in rig.objects.messages[-1].objects] == [65534]
    assert [item.id for item in ask(rig, click()).objects] == [65535]
    refused = ask(rig, click())
    assert not refused.success and 'of the 65535 object ids are left' in refused.message


def test_a_bad_prompts_file_fails_configure_with_the_line(start, tmp_path):
    path = tmp_path / 'prompts.yaml'
    path.write_text('prompts:\n  - frame: 1\n    pionts: [[1, 2]]\n')
    rig = start(f'prompts_file:={path}', active=False)
    rig.node.trigger_configure()
    reply = rig.call(Trigger, 'reset')
    assert not reply.success and 'pionts' in reply.message


def test_objects_are_carried_over_to_pictures_of_another_size(start):
    rig = start('frame_policy:=every')
    rig.track(2)
    object_id = ask(rig, click()).objects[0].id
    rig.track()
    stamp_ns = rig.send(hw=(96, 128))
    [item] = rig.result(stamp_ns).objects
    assert (item.id, item.state) == (object_id, VISIBLE)


def test_objects_are_lost_and_listed_when_the_aspect_ratio_changes(start):
    rig = start('frame_policy:=every')
    rig.track(2)
    object_id = ask(rig, click()).objects[0].id
    rig.track()
    stamp_ns = rig.send(hw=(64, 64))
    assert [(item.id, item.state) for item in rig.result(stamp_ns).objects] == [
        (object_id, LOST)]
    rig.wait_for_line(f'object {object_id} is lost: the picture changed from 64x48 to 64x64')
    reply = ask(rig, click(object_id))
    assert reply.success and reply.objects[0].state == VISIBLE


def test_lost_and_found_again_are_logged(start):
    rig = start('frame_policy:=every', 'tracking.lost_after_s:=0.3')
    rig.track(2)
    object_id = ask(rig, click()).objects[0].id
    rig.track()
    assert rig.result(send_empty(rig)).objects[0].state == OCCLUDED
    for _ in range(4):
        rig.result(send_empty(rig))
    assert rig.objects.messages[-1].objects[0].state == LOST
    rig.wait_for_line(f'object {object_id} is lost: not seen for more than 0.3 s')
    rig.track()
    rig.wait_for_line(f'object {object_id} is found again', Log.INFO)


def send_empty(rig) -> int:
    """Send a picture on which the fake model sees no object."""
    stamp_ns = rig.stamp_ns(rig.sent)
    rig.sent += 1
    header = Header(stamp=stamp_to_msg(stamp_ns), frame_id='camera')
    rig.camera.publish(empty_picture(header))
    return stamp_ns


def empty_picture(header: Header) -> Image:
    from sam2_tracker.ros.image_conversion import image_to_msg

    return image_to_msg(np.full((48, 64, 3), 255, np.uint8), 'rgb8', header)


# --- storage ------------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_used_fails_configure_with_a_sentence(start, tmp_path):
    in_the_way = tmp_path / 'file'
    in_the_way.write_text('')
    rig = start(f'buffer.directory:={in_the_way}', active=False)
    rig.node.trigger_configure()
    reply = rig.call(Trigger, 'reset')
    assert not reply.success and str(in_the_way) in reply.message


def test_the_frames_lie_in_a_folder_per_session_and_a_users_pictures_stay(start, tmp_path):
    (tmp_path / 'mine.jpeg').write_bytes(b'mine')
    rig = start(f'buffer.directory:={tmp_path}', 'frame_policy:=every')
    rig.track(12)
    rig.sent = 0
    rig.track(2)
    folders = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert (folders[-1] / '00000.jpeg').exists() and (folders[-1] / '00001.jpeg').exists()
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    assert [path.name for path in tmp_path.rglob('*.jpeg')] == ['mine.jpeg']


def test_a_backlog_beyond_max_bytes_is_counted_and_an_error(start):
    rig = start('frame_policy:=every', 'buffer.max_bytes:=1048576')
    rig.track()
    ask(rig, click())
    rig.predictor.gate.clear()
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    from sam2_tracker.ros.image_conversion import image_to_msg
    for number in range(10):
        header = Header(stamp=stamp_to_msg(rig.stamp_ns(100 + number)), frame_id='camera')
        rig.camera.publish(image_to_msg(noise, 'rgb8', header))
    rig.wait_for_line('frame lost: ', Log.ERROR)
    rig.predictor.gate.set()


# --- clicks -------------------------------------------------------------------------------------


class Clicker:
    def __init__(self, rig):
        self.rig = rig
        self.publisher = rig.graph.publisher(PointStamped, f'{rig.prefix}/clicked_point')

    def click(self, frame_id='camera', stamp_ns=0, x=20.0):
        wait_until(self.publisher.get_subscription_count)
        msg = PointStamped(header=Header(stamp=stamp_to_msg(stamp_ns), frame_id=frame_id))
        msg.point.x, msg.point.y = x, 20.0
        self.publisher.publish(msg)

    def objects(self):
        return self.rig.call(ListObjects, 'list_objects').objects


@pytest.fixture(name='clicker')
def clicker_fixture(start):
    rig = start('prompt.clicked_point:=true', 'frame_policy:=every')
    rig.track(5)
    return Clicker(rig)


@pytest.mark.parametrize('frame_id', ['camera', ''])
def test_a_click_is_a_new_object_on_the_frame_of_its_stamp(clicker, frame_id):
    stamp_ns = clicker.rig.stamp_ns(1)
    clicker.click(frame_id, stamp_ns)
    clicker.rig.wait_for_line('clicked point: new object 1', Log.INFO)
    expected = ask(clicker.rig, click(), stamp_ns=stamp_ns, preview_only=True)
    assert expected.objects[0].id == 2
    assert len(clicker.objects()) == 1


def test_a_click_newer_than_the_newest_frame_means_the_newest(clicker):
    clicker.click(stamp_ns=clicker.rig.stamp_ns(1000))
    clicker.rig.wait_for_line('clicked point: new object 1', Log.INFO)


def test_a_click_in_another_frame_is_refused_with_one_warning(clicker):
    for _ in range(3):
        clicker.click('map')
    clicker.click()
    clicker.rig.wait_for_line('new object 1', Log.INFO)
    [line] = clicker.rig.lines("its frame_id is 'map' and the image's is 'camera'")
    assert 'metres' in line and len(clicker.objects()) == 1


def test_a_click_outside_the_image_is_refused_with_a_warning(clicker):
    clicker.click(x=500.0)
    clicker.rig.wait_for_line('clicked point refused: new object: point (500, 20) outside 64x48')


def test_clicks_are_off_by_default(start):
    rig = start()
    assert rig.node.count_subscribers(f'{rig.prefix}/clicked_point') == 0


# --- instances ----------------------------------------------------------------------------------


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
