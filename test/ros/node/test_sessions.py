# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Time that goes back, other sizes, prompts files and the frames on disk."""

from __future__ import annotations

from node_rig import ask, click
import numpy as np
from rcl_interfaces.msg import Log
from sam2_tracker.ros.messages import image_to_msg, stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.srv import ListObjects
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from waiting import wait_until

DOMAIN_ID = 42
UNKNOWN, VISIBLE, OCCLUDED, LOST = range(4)


def stamps(rig):
    return [stamp_from_msg(msg.header.stamp) for msg in rig.objects.messages]


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

    return image_to_msg(np.full((48, 64, 3), 255, np.uint8), 'rgb8', header)


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

    def frames() -> list[str]:
        # The first session's folder is deleted meanwhile: for a moment there is none.
        return sorted(path.name for path in tmp_path.glob('*/*.jpeg'))

    wait_until(lambda: frames() == ['00000.jpeg', '00001.jpeg'])
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    assert [path.name for path in tmp_path.rglob('*.jpeg')] == ['mine.jpeg']


def test_a_backlog_beyond_max_bytes_is_counted_and_an_error(start):
    rig = start('frame_policy:=every', 'buffer.max_bytes:=1048576')
    rig.track()
    ask(rig, click())
    rig.predictor.gate.clear()
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    for number in range(10):
        header = Header(stamp=stamp_to_msg(rig.stamp_ns(100 + number)), frame_id='camera')
        rig.camera.publish(image_to_msg(noise, 'rgb8', header))
    rig.wait_for_line('frame lost: ', Log.ERROR)
    rig.predictor.gate.set()
