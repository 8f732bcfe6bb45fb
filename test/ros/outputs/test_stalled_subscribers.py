# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Subscribers that come, go and stall: they hold up nothing for long.

They are waited for only where the next message would overwrite one, and nothing else waits then.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
from outputs_rig import tracked_frame
import pytest
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sam2_tracker.ros.camera.video_source_node import ACKNOWLEDGED_WITHIN_S
from sam2_tracker.ros.outputs import publishers
from sam2_tracker.ros.outputs.publishers import Outgoing, REPAIR_TIME_S
from sam2_tracker.ros.outputs.topics import MaskOutput
from sam2_tracker.ros.qos import has_arrived
from sensor_msgs.msg import Image
from waiting import TIMEOUT_S, wait_until

DOMAIN_ID = 45
SUBSCRIBER = """
import sys
import rclpy, sensor_msgs.msg
rclpy.init()
node = rclpy.create_node('stalls')
node.create_subscription(
    sensor_msgs.msg.Image, sys.argv[1], lambda _: print('one', flush=True), 10)
rclpy.spin(node)
"""


class TwoSubscribers:
    """A node whose second publisher is removed while the first one's subscribers are counted."""

    def __init__(self):
        self.destroyed = set()
        self.masks = MaskOutput(self)
        self.remover = threading.Thread(target=self.masks.forget, args=(2,))

    def create_publisher(self, _, name, *__, **___):
        return SimpleNamespace(name=name, get_subscription_count=lambda: self.count(name))

    def destroy_publisher(self, publisher):
        self.destroyed.add(publisher.name)

    def count(self, name):
        if name in self.destroyed:
            raise RuntimeError('cannot use Destroyable because destruction was requested')
        if 'object_1' in name:
            self.remover.start()
            self.remover.join(0.2)
        return 0


def test_a_mask_topic_that_goes_while_subscribers_are_counted_does_no_harm():
    node = TwoSubscribers()
    node.masks.publish(tracked_frame(1, 2, masks=False), 'header')
    assert not node.masks.wanted().masks
    node.remover.join()
    assert node.destroyed == {'~/object_2/mask'}


def never_acknowledged(_, timeout):
    time.sleep(timeout.nanoseconds / 1e9)
    return False


@pytest.fixture(name='stalled')
def stalled_fixture(outputs, monkeypatch):
    monkeypatch.setattr(Publisher, 'wait_for_all_acked', never_acknowledged)
    for _ in range(5):
        outputs.outputs.put(tracked_frame(1))
    return outputs.outputs


def test_an_object_is_forgotten_without_waiting_for_a_subscriber_that_stalls(stalled):
    begun_s = time.monotonic()
    stalled.forget(1)
    assert time.monotonic() - begun_s < REPAIR_TIME_S


def test_a_subscriber_that_stalls_does_not_keep_publishing_from_ending(stalled, outputs):
    begun_s = time.monotonic()
    stalled.stop()
    wait_until(lambda: [stage for stage, _ in outputs.stages].count('publish') == 5)
    # If it waited for the subscriber with each of them, it would take twice as long.
    assert time.monotonic() - begun_s < 2 * REPAIR_TIME_S


def test_a_subscriber_that_stalls_delays_a_result_once_for_all_topics(outputs, monkeypatch):
    monkeypatch.setattr(Publisher, 'wait_for_all_acked', never_acknowledged)
    for _ in range(2):  # For the first there is nothing to wait for.
        outputs.outputs.put(tracked_frame(1, 2, 3))
    wait_until(lambda: [stage for stage, _ in outputs.stages].count('publish') == 2)
    assert dict(outputs.stages)['publish'] < 2 * REPAIR_TIME_S


@pytest.fixture(name='start')
def start_fixture():
    """Start python with arguments; whatever is left running is killed."""
    processes = []

    def start(*arguments):
        processes.append(subprocess.Popen(
            [sys.executable, *arguments], env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return processes[-1]
    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_subscriber_that_stalls_does_not_keep_an_interrupt_from_ending_a_source(
        start, tmp_path):
    cv2.imwrite(str(tmp_path / '0.jpg'), np.zeros((48, 64, 3), np.uint8))
    subscriber = start('-c', SUBSCRIBER, 'image')
    source = start('-m', 'sam2_tracker.ros.camera.video_source', '--ros-args',
                   '-p', f'path:={tmp_path}', '-p', 'loop:=true')
    assert select.select([subscriber.stdout], [], [], TIMEOUT_S)[0], 'it received nothing'
    assert subscriber.stdout.readline() == 'one\n'
    subscriber.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    begun_s = time.monotonic()
    source.send_signal(signal.SIGINT)
    output, _ = source.communicate(timeout=30)
    assert source.returncode == 0, output
    assert time.monotonic() - begun_s < ACKNOWLEDGED_WITHIN_S


class Topic:

    def __init__(self, depth):
        self.qos_profile = QoSProfile(depth=depth)


@pytest.fixture(name='arrived')
def arrived_fixture(monkeypatch):
    """Say which topics' messages have all arrived."""
    arrived = set()
    monkeypatch.setattr(publishers, 'has_arrived', lambda topic: topic in arrived)
    return arrived


def has_room(outgoing, topic):
    """Tell whether there was room at once."""
    gave_up = []
    outgoing.wait_for_room([topic], lambda: gave_up.append(1) or True)
    return not gave_up


@pytest.mark.parametrize('depth', [1, 5])
def test_as_many_messages_may_be_on_their_way_as_the_history_holds(arrived, depth):
    outgoing, topic = Outgoing(), Topic(depth)
    for _ in range(depth):
        assert has_room(outgoing, topic)
        outgoing.published([topic])
    assert not has_room(outgoing, topic)
    arrived.add(topic)
    assert has_room(outgoing, topic)
    arrived.clear()
    outgoing.published([topic])
    assert has_room(outgoing, topic) == (depth > 1)


def test_a_topic_that_was_removed_is_forgotten(arrived):
    outgoing, gone, kept = Outgoing(), Topic(1), Topic(1)
    outgoing.published([gone, kept])
    outgoing.published([kept])
    assert has_room(outgoing, gone) and not has_room(outgoing, kept)


@pytest.fixture(name='stalled_publisher')
def stalled_publisher_fixture(graph):
    """Publish to a process that is stopped: nothing is acknowledged."""
    publisher = graph.node.create_publisher(Image, 'picture', 5)
    process = subprocess.Popen([sys.executable, '-c', SUBSCRIBER, 'picture'],
                               env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    try:
        wait_until(publisher.get_subscription_count)
        os.kill(process.pid, signal.SIGSTOP)
        publisher.publish(Image(height=48, width=64, step=64, encoding='mono8',
                                data=bytes(48 * 64)))
        yield publisher
    finally:
        process.kill()
        process.wait()


def test_other_threads_go_on_while_one_waits_for_a_stalled_subscriber(stalled_publisher):
    outgoing = Outgoing()
    for _ in range(5):
        outgoing.published([stalled_publisher])
    turns, enough = 0, 300
    # The subscriber is thought gone after 20 s.
    end_s = time.monotonic() + 15
    waiting = threading.Thread(target=outgoing.wait_for_room, args=(
        [stalled_publisher], lambda: turns > enough or time.monotonic() >= end_s))
    waiting.start()
    while waiting.is_alive():
        turns += 1
        time.sleep(0.005)
    assert turns > enough
    assert not has_arrived(stalled_publisher)
