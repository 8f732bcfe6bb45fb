# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Let a detector point: a person whom OpenCV finds and who is not tracked yet becomes a prompt.

For example: python examples/boxes_from_detector.py --ros-args -r image:=/camera/image_raw
"""

from argparse import ArgumentParser, RawTextHelpFormatter
from contextlib import suppress

import cv2
from cv_bridge import CvBridge
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image, RegionOfInterest

from sam2_tracker_msgs.msg import Prompt, TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts


class Detector(Node):
    def __init__(self) -> None:
        super().__init__('detector')
        self.image, self.tracked, self.reply = None, [], None
        self.people = cv2.HOGDescriptor()
        self.people.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
        self.create_subscription(Image, 'image', self.on_image, qos_profile_sensor_data)
        self.create_subscription(TrackedObjects, 'sam2_tracker/objects', self.on_objects, 1)
        self.tracker = self.create_client(AddPrompts, 'sam2_tracker/add_prompts')
        self.create_timer(1.0, self.on_timer)

    def on_image(self, image: Image) -> None:
        self.image = image

    def on_objects(self, result: TrackedObjects) -> None:
        self.tracked = result.objects

    def on_timer(self) -> None:
        is_waiting = self.reply is not None and not self.reply.done()
        # An object that is catching up with the stream is not yet where the person is by now.
        if self.image is None or is_waiting or any(item.catching_up for item in self.tracked):
            return
        boxes, scores = self.people.detectMultiScale(CvBridge().imgmsg_to_cv2(self.image, 'bgr8'))
        for (x, y, width, height), score in zip(map(list, boxes), scores, strict=True):
            places = [(item.centroid.x - x, item.centroid.y - y) for item in self.tracked]
            if score > 0.6 and not any(0 < a < width and 0 < b < height for a, b in places):
                box = RegionOfInterest(x_offset=max(0, int(x)), y_offset=max(0, int(y)),
                                       width=int(width), height=int(height))
                # With the stamp of the image looked at: the camera shows a later one by now.
                self.reply = self.tracker.call_async(AddPrompts.Request(
                    stamp=self.image.header.stamp, prompts=[Prompt(label='person', box=box)]))
                self.reply.add_done_callback(lambda done: self.get_logger().info(
                    done.result().message or f'person {done.result().objects[0].id} is tracked'))
                return  # The others have their turn in a second: two boxes may be of one person.


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.parse_args(remove_ros_args()[1:])
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Detector())
    rclpy.try_shutdown()
