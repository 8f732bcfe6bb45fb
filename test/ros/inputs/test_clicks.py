# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Clicked points: what they prompt, and which of them are refused."""

from __future__ import annotations

from geometry_msgs.msg import Point, PointStamped
from node_rig import ask, click
import pytest
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from sam2_tracker.ros.messages import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.srv import ListObjects
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from waiting import wait_until

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


class Viewer:
    """As rqt_image_view: shows a topic and publishes where its picture is clicked on."""

    def __init__(self, rig, topic):
        self.rig = rig
        self.publisher = rig.graph.publisher(Point, f'{topic}_mouse_left', 1000)
        self.pictures = None
        if topic.startswith(rig.prefix):
            kind = CompressedImage if topic.endswith('compressed') else Image
            self.pictures = rig.graph.inbox(kind, topic)
            wait_until(lambda: rig.node.count_subscribers(topic))
            # The result before it was subscribed to is not shown.
            self.see()
        wait_until(self.publisher.get_subscription_count)

    def see(self):
        """Let the camera and the tracker send a picture; return its stamp when it is shown."""
        stamp_ns = self.rig.track()
        if self.pictures is not None:
            self.pictures.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns)
        return stamp_ns

    def click(self, x=20.0, y=20.0):
        self.publisher.publish(Point(x=x, y=y))


def looked_at(start, topic, *overrides):
    rig = start('prompt.mouse:=true', 'frame_policy:=every', *overrides)
    rig.track(2)
    image = rig.prefix.rpartition('/')[0] + '/image'
    return rig, Viewer(rig, topic.replace('~', rig.prefix).replace('IMAGE', image))


@pytest.mark.parametrize(
    'topic', ['IMAGE', 'IMAGE/compressed', '~/annotated', '~/annotated/compressed'])
def test_a_mouse_click_is_a_new_object_on_the_newest_picture_of_that_topic(start, topic):
    rig, viewer = looked_at(start, topic)
    stamp_ns = viewer.see()
    viewer.click()
    rig.wait_for_line('mouse click: new object 1', Log.INFO)
    found, = rig.call(ListObjects, 'list_objects').objects
    expected = ask(rig, click(), stamp_ns=stamp_ns, preview_only=True).objects[0]
    assert (found.box, found.area) == (expected.box, expected.area)


def test_a_click_on_the_annotated_picture_belongs_to_it_and_not_to_a_newer_one(start):
    rig, viewer = looked_at(start, '~/annotated')
    rig.track()
    assert ask(rig, click(label='first')).success
    shown_ns = viewer.see()
    rig.predictor.gate.clear()
    rig.predictor.arrived.clear()
    newer_ns = rig.send()
    assert rig.predictor.arrived.wait(60)
    viewer.click(x=40.0)
    tracker = rig.node._system.worker()
    wait_until(lambda: tracker._loop.requests._unanswered, what='the click')
    assert rig.node._system._input.newest().stamp_ns == newer_ns
    rig.predictor.gate.set()
    rig.wait_for_line('mouse click: new object 2', Log.INFO)
    wait_until(lambda: all(not each.catching_up
                           for each in rig.call(ListObjects, 'list_objects').objects))
    given = tracker.call(lambda own: [each.place for each in own._roster.by_id[2].given])
    assert given.wait(60)
    assert given.result() == [rig.sent - 2] and shown_ns == rig.stamp_ns(rig.sent - 2)


def test_mouse_clicks_correct_the_object_that_is_set_just_then(start):
    rig, viewer = looked_at(start, 'IMAGE')
    viewer.see()
    viewer.click()
    rig.wait_for_line('mouse click: new object 1', Log.INFO)
    assert rig.node.set_parameters([Parameter('prompt.mouse_object', value=1)])[0].successful
    viewer.see()
    viewer.click(x=40.0)
    rig.wait_for_line('mouse click: object 1 is prompted again', Log.INFO)
    assert rig.node.set_parameters([Parameter('prompt.mouse_object', value=9)])[0].successful
    viewer.click()
    rig.wait_for_line('mouse click refused: object 9 is unknown: tracked are 1')


def test_a_mouse_click_on_the_very_edge_counts_and_one_beside_the_picture_is_refused(start):
    rig, viewer = looked_at(start, 'IMAGE')
    viewer.see()
    viewer.click(x=64.0, y=48.0)
    rig.wait_for_line('mouse click: new object 1', Log.INFO)
    viewer.click(x=65.0)
    rig.wait_for_line('mouse click refused: new object: point (65, 20) outside 64x48')


def test_a_mouse_click_before_any_picture_is_refused(start):
    rig = start('prompt.mouse:=true')
    publisher = rig.graph.publisher(Point, f'{rig.prefix}/annotated_mouse_left')
    wait_until(publisher.get_subscription_count)
    publisher.publish(Point(x=1.0, y=1.0))
    rig.wait_for_line('mouse click refused: no picture has been published yet')


def test_mouse_clicks_are_off_by_default(start):
    rig = start()
    assert rig.node.count_subscribers(f'{rig.prefix}/annotated_mouse_left') == 0
