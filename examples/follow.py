# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Follow one object as a robot would: steer by its offset from the picture's centre.

For example: python examples/follow.py 1 --ros-args -r image:=/camera/image_raw
"""

from argparse import ArgumentParser, RawTextHelpFormatter
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile
from rclpy.utilities import remove_ros_args
from sam2_tracker_msgs.msg import TrackedObject, TrackedObjects
from sensor_msgs.msg import Image


class Follower(Node):
    """Acts on every result of the tracker."""

    def __init__(self, object_id: int) -> None:
        super().__init__('follower')
        self.object_id, self.half_width, self.is_lost = object_id, 0.0, True
        self.images = self.create_subscription(
            Image, 'image', self.on_image, qos_profile_sensor_data
        )
        # As the tracker offers it: the newest result comes at once, even if the stream stands.
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(TrackedObjects, 'sam2_tracker/objects', self.on_objects, latched)

    def on_image(self, image: Image) -> None:
        """Learn the picture's width, which results do not have, from the first picture."""
        self.half_width = image.width / 2
        self.destroy_subscription(self.images)

    def on_objects(self, result: TrackedObjects) -> None:
        """Steer while the object is seen; say when it is lost and when it is found again."""
        found = next((item for item in result.objects if item.id == self.object_id), None)
        if found and found.state == TrackedObject.VISIBLE:
            if self.is_lost:
                self.get_logger().info(f'object {self.object_id} is found: go')
            self.is_lost = False
            if self.half_width:
                self.get_logger().info(f'steer {found.centroid.x / self.half_width - 1:+.2f}')
        # One that is only occluded may be back in a moment: the robot keeps its course.
        elif not self.is_lost and (found is None or found.state == TrackedObject.LOST):
            self.is_lost = True
            self.get_logger().info(f'object {self.object_id} is lost: stop')


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument('object_id', type=int, help='the id that its prompt gave it')
    options = parser.parse_args(remove_ros_args()[1:])
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Follower(options.object_id))
    rclpy.try_shutdown()
