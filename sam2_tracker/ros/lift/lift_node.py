# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The node of `lift`: finds what belongs together, lifts it, and says what it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
import re
import time
from types import ModuleType
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.lifting.camera import Camera
from sam2_tracker.core.lifting.objects import (
    lift_objects,
    LIFT_SPECS,
    LiftConfig,
    LiftedObject,
)
from sam2_tracker.core.lifting.pairing import Match, Missing, Pairing, Unmatched
from sam2_tracker.core.types import Float32Array
from sam2_tracker.ros.lift.lift_messages import (
    camera_from_msg,
    detections_to_msg,
    header_of,
    points_to_msg,
)
from sam2_tracker.ros.messages import depth_from_msg, label_image_from_msg, stamp_from_msg
from sam2_tracker.ros.qos import (
    OUTPUT,
    published_otherwise,
    publishers_of,
    reliability_offered,
    subscribed,
)
from sam2_tracker.ros.standing_node import configured_node, spin
from sam2_tracker.ros.stop_request import StopRequest
from sam2_tracker_msgs.msg import TrackedObject, TrackedObjects
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

try:
    import vision_msgs.msg as installed_vision_msgs
except ImportError:
    installed_vision_msgs = None

LOOK_PERIOD_S = 0.2
DIAGNOSTICS_PERIOD_S = 1.0
THROTTLE_S = 10.0
# Enough for what comes while one label image is lifted.
INPUT_DEPTH = 30


def run(arguments: Sequence[str], stop: StopRequest) -> None:
    """
    Lift until asked to stop.

    :raises ConfigError: an argument or a parameter is not accepted
    """
    with configured_node('lift', LiftConfig, LIFT_SPECS, arguments) as (node, config):
        config.check()
        Lifter(node, config)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spin(executor, node, stop.is_made, LOOK_PERIOD_S)
        executor.shutdown()


@dataclass
class Counts:
    """What became of label images, beside what `Pairing` counts; lost messages of any topic."""

    refused: int = 0
    lost: int = 0
    objects: int = 0
    without_depth: int = 0


class Lifter:
    """
    Publishes where objects are, while somebody wants to know; all of it in the executor's thread.

    :param vision: the module vision_msgs.msg, None where that is not installed
    """

    def __init__(self, node: Node, config: LiftConfig,
                 vision: ModuleType | None = installed_vision_msgs) -> None:
        self._node = node
        self._config = config
        self._vision = vision
        self._tracker = expand_topic_name(config.tracker, node.get_name(), node.get_namespace())
        self._pairing: Pairing[Image, TrackedObjects, Image, CameraInfo] = Pairing(
            config.stamp_tolerance_s, config.keep_s)
        self._counts = Counts()
        self._trouble = ''
        self._said_at_s: dict[str, float] = {}
        self._points = node.create_publisher(PointCloud2, '~/points', OUTPUT)
        self._detections = None
        if vision is not None:
            self._detections = node.create_publisher(
                vision.Detection3DArray, '~/detections', OUTPUT)
        else:
            node.get_logger().warning(
                'vision_msgs is not installed, so ~/detections is not published: install it '
                '(apt install ros-$ROS_DISTRO-vision-msgs)')
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._subscriptions: list[Subscription] = []
        self._profiles: tuple[QoSProfile, QoSProfile] | None = None
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(LOOK_PERIOD_S, self.on_look, clock=steady)
        node.create_timer(DIAGNOSTICS_PERIOD_S, self.on_diagnose, clock=steady)
        node.get_logger().info(
            f'lifting the objects of {self._tracker} with {self._depth_topic} and '
            f'{node.resolve_topic_name("camera_info")}, while somebody subscribes')

    @property
    def _depth_topic(self) -> str:
        return self._node.resolve_topic_name('depth')

    # Subscribing only while somebody subscribes: the tracker makes label images only then.

    def on_look(self) -> None:
        """Subscribe or unsubscribe, and decide what need not wait any longer."""
        is_wanted = any(publisher is not None and publisher.get_subscription_count() > 0
                        for publisher in (self._points, self._detections))
        profiles = (profile_for(self._node, 'depth', Image),
                    profile_for(self._node, 'camera_info', CameraInfo)) if is_wanted else None
        if profiles != self._profiles:
            self._profiles = profiles
            self._subscribe()
        self._decide()

    def _subscribe(self) -> None:
        for each in self._subscriptions:
            self._node.destroy_subscription(each)
        self._subscriptions = []
        self._pairing.clear()
        self._trouble = ''
        if self._profiles is None:
            return
        depth, info = self._profiles
        # Where this is the slower one, label images are left out rather than lifted late.
        objects = QoSProfile(depth=INPUT_DEPTH)
        self._subscriptions = [
            subscribed(self._node, *each, message_lost=self.on_message_lost) for each in (
                (Image, f'{self._tracker}/label_image', self.on_label_image, OUTPUT),
                (TrackedObjects, f'{self._tracker}/objects', self.on_objects, objects),
                (Image, 'depth', self.on_depth, depth),
                (CameraInfo, 'camera_info', self.on_camera_info, info))]

    def on_message_lost(self, event: Any) -> None:
        """Count what the middleware lost, of whatever topic."""
        self._counts.lost += event.total_count_change

    def on_label_image(self, msg: Image) -> None:
        """Take the masks of a frame."""
        self._pairing.add_labels(stamp_from_msg(msg.header.stamp), msg, time.monotonic())
        self._decide()

    def on_objects(self, msg: TrackedObjects) -> None:
        """Take the objects of a frame."""
        self._pairing.objects.add(stamp_from_msg(msg.header.stamp), msg)
        self._decide()

    def on_depth(self, msg: Image) -> None:
        """Take a depth image."""
        self._pairing.depth.add(stamp_from_msg(msg.header.stamp), msg)
        self._decide()

    def on_camera_info(self, msg: CameraInfo) -> None:
        """Take a calibration."""
        self._pairing.info.add(stamp_from_msg(msg.header.stamp), msg)
        self._decide()

    def _decide(self) -> None:
        for outcome in self._pairing.decided(time.monotonic()):
            if isinstance(outcome, Unmatched):
                self._say_unmatched(outcome)
                continue
            try:
                self._publish(outcome)
                self._trouble = ''
            except FrameError as error:
                self._counts.refused += 1
                self._trouble = f'label images or depth refused: {error}'
                self._warn(str(error), self._trouble)

    def _publish(self, match: Match[Image, TrackedObjects, Image, CameraInfo]) -> None:
        """
        Lift one frame.

        :raises FrameError: something of it cannot be used
        """
        header = header_of(match.labels, match.depth)
        objects = {each.id: each for each in match.objects.objects
                   if each.state == TrackedObject.VISIBLE}
        lifted = self._lifted(match, objects)
        self._counts.objects += len(lifted)
        self._counts.without_depth += len(objects) - len(lifted)
        if self._detections is not None and self._detections.get_subscription_count():
            self._detections.publish(detections_to_msg(self._vision, lifted, objects, header))
        if self._points.get_subscription_count():
            self._points.publish(points_to_msg(lifted, header))

    def _lifted(self, match: Match[Image, TrackedObjects, Image, CameraInfo],
                object_ids: Iterable[int]) -> tuple[LiftedObject, ...]:
        depth_m = depth_from_msg(match.depth)
        height, width = depth_m.shape
        camera = camera_from_msg(match.info, self._config.rectified).scaled_to((width, height))
        return lift_objects(depth_m, label_image_from_msg(match.labels), rays_of(camera),
                            object_ids, self._config)

    def _say_unmatched(self, outcome: Unmatched) -> None:
        count, topic = self._pairing.unmatched[outcome.missing], self._depth_topic
        if outcome.missing is Missing.CAMERA_INFO:
            nothing = self._nothing_on(self._node.resolve_topic_name('camera_info'), CameraInfo)
            said = f'{count} label images found no camera info: {nothing}'
        elif outcome.missing is Missing.OBJECTS:
            topic = f'{self._tracker}/objects'
            said = f'{count} label images found no objects of their stamp on {topic}'
        elif outcome.off_by_s is None:
            said = f'{count} label images found no depth: {self._nothing_on(topic, Image)}'
        else:
            said = (f'{count} label images found no depth within '
                    f'{self._config.stamp_tolerance_s:g} s: the nearest on {topic} is '
                    f'{outcome.off_by_s:.3f} s away')
        self._trouble = said
        self._warn(outcome.missing.value, said)

    def _nothing_on(self, topic: str, kind: type) -> str:
        return published_otherwise(self._node, topic, kind) or f'nothing comes on {topic}'

    def _warn(self, kind: str, text: str) -> None:
        """Say what is wrong, but each kind only now and then: it is the same for each frame."""
        # One kind of fault differs from frame to frame only in its numbers.
        kind, now_s = re.sub(r'\d+', '0', kind), time.monotonic()
        self._said_at_s = {said: at_s for said, at_s in self._said_at_s.items()
                           if now_s - at_s < THROTTLE_S}
        if kind not in self._said_at_s:
            self._said_at_s[kind] = now_s
            self._node.get_logger().warning(text)

    def on_diagnose(self) -> None:
        """Say on /diagnostics how it goes."""
        name = self._node.get_fully_qualified_name()
        unmatched = self._pairing.unmatched
        values = {
            'lifted': self._pairing.matched - self._counts.refused,
            'refused': self._counts.refused,
            'without depth': unmatched[Missing.DEPTH],
            'without camera info': unmatched[Missing.CAMERA_INFO],
            'without objects': unmatched[Missing.OBJECTS],
            'messages lost': self._counts.lost,
            'objects': self._counts.objects,
            'objects with too little depth': self._counts.without_depth}
        is_idle = self._profiles is None
        status = DiagnosticStatus(
            name=f'{name}: lift', hardware_id=name,
            level=DiagnosticStatus.WARN if self._trouble else DiagnosticStatus.OK,
            message=self._trouble or ('nobody subscribes' if is_idle else 'lifting'),
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])
        now = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(DiagnosticArray(header=Header(stamp=now), status=[status]))


def profile_for(node: Node, topic: str, kind: type) -> QoSProfile:
    """Return how a topic of the camera is heard whole, by what its publishers offer just now."""
    name = node.resolve_topic_name(topic)
    publishers = publishers_of(node, name, kind)
    is_latched = publishers and all(
        each.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for each in publishers)
    return QoSProfile(
        depth=INPUT_DEPTH, reliability=reliability_offered(node, name, kind),
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE)


@lru_cache(maxsize=2)
def rays_of(camera: Camera) -> Float32Array:
    """Return a camera's rays, which stay the same from picture to picture."""
    return camera.rays()
