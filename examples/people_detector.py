# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
r"""
Be a detector: publish whom OpenCV's own people detector finds, for a tracker to follow.

For example: python examples/people_detector.py --ros-args -r image:=/camera/image_raw
beside a tracker with detections.use: ros2 run sam2_tracker tracker --ros-args \
  -r image:=/camera/image_raw -p detections.use:=true
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
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose


class PeopleDetector(Node):

    def __init__(self) -> None:
        super().__init__('people_detector')
        self.people = cv2.HOGDescriptor()
        self.people.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
        self.found = self.create_publisher(Detection2DArray, 'sam2_tracker/detections_in', 10)
        # Of the pictures that come while it looks at one, only the newest is of use.
        self.create_subscription(Image, 'image', self.on_image, qos_profile_sensor_data)

    def on_image(self, image: Image) -> None:
        # OpenCV writes beyond its memory where a picture is smaller than what it looks for.
        if image.width < 64 or image.height < 128:
            return
        boxes, scores = self.people.detectMultiScale(CvBridge().imgmsg_to_cv2(image, 'bgr8'))
        # The picture's own header: by its stamp the tracker knows where everything was then.
        found = Detection2DArray(header=image.header)
        for (x, y, width, height), score in zip(boxes, scores, strict=True):
            person = Detection2D(header=image.header, results=[ObjectHypothesisWithPose()])
            person.results[0].hypothesis.class_id = 'person'
            person.results[0].hypothesis.score = min(1.0, float(score))
            person.bbox.center.position.x = x + width / 2
            person.bbox.center.position.y = y + height / 2
            # It was trained on windows of 64x128 pixels with people 32 wide and 96 high.
            person.bbox.size_x, person.bbox.size_y = width * 0.5, height * 0.75
            found.detections.append(person)
        self.found.publish(found)


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.parse_args(remove_ros_args()[1:])
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(PeopleDetector())
    rclpy.try_shutdown()
