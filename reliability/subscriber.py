# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
A subscriber of a tracker's pictures, in a process of its own so that it can be put to sleep.

    python -m reliability.subscriber /sam2_tracker [--slow-s 0.5]
"""

from __future__ import annotations

import argparse
from contextlib import suppress
import time

import rclpy
from rclpy.executors import ExternalShutdownException
from sam2_tracker_msgs.msg import TrackedObjects
from sensor_msgs.msg import Image


def main() -> None:
    """Subscribe until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('tracker')
    parser.add_argument('--slow-s', type=float, default=0.0, help='seconds for each message')
    options = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('subscriber')

    def on_message(_: object) -> None:
        time.sleep(options.slow_s)
    for kind, topic in ((Image, 'label_image'), (Image, 'annotated'), (TrackedObjects, 'objects')):
        node.create_subscription(kind, f'{options.tracker}/{topic}', on_message, 5)
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
