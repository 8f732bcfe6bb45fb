# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
A detector that says what it is told: each line of its input is a message, which it publishes.

A process of its own, as its messages may be of a package that the tests' own process cannot
import. A line: {"stamp_ns": 1, "frame_id": "camera", "found": [[x0, y0, x1, y1, score, class]]}.
"""

from __future__ import annotations

import json
import sys
import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose


def detection(x0: float, y0: float, x1: float, y1: float, score: float, name: str) -> Detection2D:
    """Return one thing as most detectors publish it."""
    found = Detection2D(results=[ObjectHypothesisWithPose()])
    found.results[0].hypothesis.class_id = name
    found.results[0].hypothesis.score = float(score)
    found.bbox.center.position.x = (x0 + x1) / 2
    found.bbox.center.position.y = (y0 + y1) / 2
    found.bbox.size_x = float(x1 - x0)
    found.bbox.size_y = float(y1 - y0)
    return found


def main(topic: str, reliability: str) -> None:
    """Publish until the input ends, and stay until this process is ended."""
    rclpy.init()
    node = rclpy.create_node('detector_stub')
    qos = QoSProfile(depth=100, reliability=ReliabilityPolicy[reliability.upper()])
    publisher = node.create_publisher(Detection2DArray, topic, qos)
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    sys.stdout.write('heard\n')
    sys.stdout.flush()
    for line in sys.stdin:
        told = json.loads(line)
        msg = Detection2DArray(header=Header(frame_id=told['frame_id']))
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(told['stamp_ns'], 10**9)
        msg.detections = [detection(*each) for each in told['found']]
        publisher.publish(msg)


if __name__ == '__main__':
    main(*sys.argv[1:])
