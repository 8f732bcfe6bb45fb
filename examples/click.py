# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Point at something on a running tracker's newest frame and keep its mask as a PNG.

For example: python examples/click.py 320 240 --label cup --output cup.png
"""

from argparse import ArgumentParser, RawTextHelpFormatter
import sys

import cv2
from cv_bridge import CvBridge
from geometry_msgs.msg import Point
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.utilities import remove_ros_args
from rclpy.wait_for_message import wait_for_message
from sam2_tracker_msgs.msg import Prompt
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import Image


def click(x: float, y: float, label: str, output: str) -> str | None:
    """Prompt, wait for the mask and write it; return what went wrong, if anything."""
    node = rclpy.create_node('click')
    client = node.create_client(AddPrompts, 'sam2_tracker/add_prompts')
    if not client.wait_for_service(timeout_sec=10.0):
        return f'{client.srv_name} is not there: is the tracker running?'
    prompt = Prompt(label=label, points=[Point(x=x, y=y)], point_labels=[1])
    # A request without a stamp is about the newest frame.
    future = client.call_async(AddPrompts.Request(prompts=[prompt]))
    rclpy.spin_until_future_complete(node, future, timeout_sec=15.0)
    if not future.done() or not future.result().success:
        return future.result().message if future.done() else 'The tracker does not answer.'
    found = future.result().objects[0]
    left_top, size = (found.box.x_offset, found.box.y_offset), (found.box.width, found.box.height)
    print(f'object {found.id}: {found.area} pixels at {left_top}, {size}, score {found.score:.2f}')
    # The tracker makes masks while somebody subscribes: the first is of one of the next frames.
    topic = f'sam2_tracker/object_{found.id}/mask'
    has_come, mask = wait_for_message(Image, node, topic, time_to_wait=10.0)
    if not has_come:
        return f'Nothing comes on {topic}: does the camera still publish?'
    is_written = cv2.imwrite(output, CvBridge().imgmsg_to_cv2(mask))
    return None if is_written else f'{output} cannot be written.'


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument('x', type=float, help='column of the pixel to point at')
    parser.add_argument('y', type=float, help='row')
    parser.add_argument('--label', default='', help='a name for the object')
    parser.add_argument('--output', default='mask.png', help='file to write (mask.png)')
    options = parser.parse_args(remove_ros_args()[1:])
    rclpy.init()
    try:
        sys.exit(click(**vars(options)))
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit('interrupted')
    finally:
        rclpy.try_shutdown()
