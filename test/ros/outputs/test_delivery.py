# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Waiting until messages have arrived: only where the next would overwrite one, and alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from rclpy.qos import QoSProfile
from ros_graph import wait_until
from sensor_msgs.msg import Image

from sam2_tracker.ros.outputs import publishers
from sam2_tracker.ros.outputs.publishers import Outgoing
from sam2_tracker.ros.qos import has_arrived

DOMAIN_ID = 93
SUBSCRIBER = """
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('stalls')
node.create_subscription(Image, 'picture', lambda _: None, 5)
rclpy.spin(node)
"""


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
    process = subprocess.Popen([sys.executable, '-c', SUBSCRIBER],
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
