# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Publishers whose messages get lost: best effort, a megabyte each, as fast as they can be.

Arguments are KIND:TOPIC, with a kind of `KINDS`. Then small messages follow, by which the
subscriber's middleware tells that some are missing, until this process is ended.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

FLOOD = 100
PERIOD_S = 0.05


def image(size: int) -> Image:
    """Return a grey picture of so many pixels."""
    return Image(height=1, width=size, step=size, encoding='mono8', data=bytes(size))


def camera_info(size: int) -> CameraInfo:
    """Return a calibration with so many bytes of coefficients."""
    return CameraInfo(d=[0.0] * (size // 8))


def detections(size: int) -> Any:
    """Return detections of a class with a name of so many bytes."""
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

    found = Detection2D(results=[ObjectHypothesisWithPose()])
    found.results[0].hypothesis.class_id = 'x' * size
    return Detection2DArray(detections=[found])


KINDS = {'image': image, 'camera_info': camera_info, 'detections': detections}


def main(*named: str) -> None:
    """Publish until this process is ended."""
    rclpy.init()
    node = rclpy.create_node('flood_stub')
    qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
    floods = []
    for kind, _, topic in (name.partition(':') for name in named):
        large, small = KINDS[kind](1 << 20), KINDS[kind](8)
        floods.append((node.create_publisher(type(large), topic, qos), large, small))
    while not all(publisher.get_subscription_count() for publisher, *_ in floods):
        time.sleep(0.01)
    for _ in range(FLOOD):
        for publisher, large, _ in floods:
            publisher.publish(large)
    while True:
        for publisher, _, small in floods:
            publisher.publish(small)
        time.sleep(PERIOD_S)


if __name__ == '__main__':
    main(*sys.argv[1:])
