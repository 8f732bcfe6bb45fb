# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Let a detector point: a person whom OpenCV finds and who is not tracked yet becomes a prompt.

For example: python examples/boxes_from_detector.py --ros-args -r image:=/camera/image_raw
"""

from argparse import ArgumentParser, RawTextHelpFormatter
from collections import deque
from contextlib import suppress

import cv2
from cv_bridge import CvBridge
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.utilities import remove_ros_args
from sam2_tracker_msgs.msg import Prompt, TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import Image, RegionOfInterest


class Detector(Node):

    def __init__(self) -> None:
        super().__init__('detector')
        self.images, self.result, self.reply = deque(maxlen=60), TrackedObjects(), None
        self.people = cv2.HOGDescriptor()
        self.people.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
        self.create_subscription(Image, 'image', self.on_image, qos_profile_sensor_data)
        self.create_subscription(TrackedObjects, 'sam2_tracker/objects', self.on_objects, 1)
        self.tracker = self.create_client(AddPrompts, 'sam2_tracker/add_prompts')
        self.create_timer(1.0, self.on_timer)

    def on_image(self, image: Image) -> None:
        self.images.append(image)

    def on_objects(self, result: TrackedObjects) -> None:
        self.result = result
        # Until who was prompted last is among the results, he or she would be prompted again.
        if self.reply and self.reply.done():
            ids = {item.id for item in result.objects if not item.catching_up}
            reply = self.reply.result()
            if ids.issuperset(item.id for item in reply.objects):
                self.get_logger().info(reply.message or f'person {reply.objects[0].id} is tracked')
                self.reply = None

    def on_timer(self) -> None:
        stamp, tracked = self.result.header.stamp, [item.box for item in self.result.objects]
        # The very image that the result is of: people move.
        image = next((each for each in self.images if each.header.stamp == stamp), None)
        # OpenCV writes beyond its memory where a picture is smaller than what it looks for.
        if image is None or self.reply or image.width < 64 or image.height < 128:
            return
        boxes, scores = self.people.detectMultiScale(CvBridge().imgmsg_to_cv2(image, 'bgr8'))
        for box, score in zip(boxes, scores, strict=True):
            x, y, width, height = (max(0, int(number)) for number in box)
            u, v = x + width / 2, y + height / 2
            is_tracked = any(0 < u - each.x_offset < each.width and
                             0 < v - each.y_offset < each.height for each in tracked)
            if score > 0.6 and not is_tracked:
                region = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
                self.reply = self.tracker.call_async(
                    AddPrompts.Request(stamp=stamp, prompts=[Prompt(label='person', box=region)]))
                return  # The others have their turn in a second: two boxes may be of one person.


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.parse_args(remove_ros_args()[1:])
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Detector())
    rclpy.try_shutdown()
