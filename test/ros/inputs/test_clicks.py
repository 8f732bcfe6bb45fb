# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Clicked points: what they prompt, and which of them are refused."""

from __future__ import annotations

from geometry_msgs.msg import PointStamped
from node_rig import ask, click
import pytest
from rcl_interfaces.msg import Log
from ros_graph import wait_until
from sam2_tracker.ros.messages import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.srv import ListObjects
from std_msgs.msg import Header

DOMAIN_ID = 43
UNKNOWN, VISIBLE, OCCLUDED, LOST = range(4)


def stamps(rig):
    return [stamp_from_msg(msg.header.stamp) for msg in rig.objects.messages]


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
