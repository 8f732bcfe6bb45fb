# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a tracker's camera: found in the graph, not decoded before need."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.types import UInt8Array
from sam2_tracker.ros.messages import image_from_msg, payload_from_msg, stamp_from_msg
from sam2_tracker.ros.qos import reliability_offered
from sam2_tracker.web.tracker_client import Picture
from sensor_msgs.msg import CompressedImage, Image

KINDS = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage}
DEPTH = 2


class CameraPictures:
    """
    Subscribes to the camera of a tracker while somebody looks; used in the executor's thread.

    :param tracker: the tracker's name
    :param image: the camera's topic, '' for the one that the tracker subscribes to
    :param on_picture: takes the pictures
    """

    def __init__(self, node: Node, tracker: str, image: str,
                 on_picture: Callable[[Picture], None]) -> None:
        self._node = node
        self._tracker = tracker
        self._image = node.resolve_topic_name(image) if image else ''
        self._on_picture = on_picture
        self._subscription: Subscription | None = None
        self._wanted: tuple[str, str, ReliabilityPolicy] | None = None
        self._is_wanted = False

    @property
    def topic(self) -> str:
        """Name the topic subscribed to, '' if there is none."""
        return self._subscription.topic_name if self._subscription is not None else ''

    def want(self, is_wanted: bool) -> None:
        """Subscribe, or unsubscribe."""
        self._is_wanted = is_wanted
        self.review()

    def review(self) -> None:
        """Subscribe anew where the tracker listens to another camera, or that one changed."""
        wanted = self._found() if self._is_wanted else None
        # A tracker that is away for a moment may come back to the same camera.
        if wanted == self._wanted or (wanted is None and self._is_wanted):
            return
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self._wanted = wanted
        if wanted is not None:
            topic, kind, reliability = wanted
            self._subscription = self._node.create_subscription(
                KINDS[kind], topic, self.on_image,
                QoSProfile(depth=DEPTH, history=HistoryPolicy.KEEP_LAST, reliability=reliability),
                callback_group=MutuallyExclusiveCallbackGroup())

    def _found(self) -> tuple[str, str, ReliabilityPolicy] | None:
        """Return topic, type and reliability of the camera, None if there is none to be found."""
        topics = [(self._image, kind) for kind in self._kinds_of(self._image)
                  ] if self._image else self._tracker_s_topics()
        for topic, kind in topics:
            return topic, kind, reliability_offered(self._node, topic, KINDS[kind])
        return None

    def _kinds_of(self, topic: str) -> list[str]:
        kinds = dict(self._node.get_topic_names_and_types()).get(topic, [])
        return [kind for kind in kinds if kind in KINDS]

    def _tracker_s_topics(self) -> list[tuple[str, str]]:
        namespace, _, name = self._tracker.rpartition('/')
        try:
            found = self._node.get_subscriber_names_and_types_by_node(name, namespace or '/')
        except NodeNameNonExistentError:
            return []
        return [(topic, kind) for topic, kinds in found for kind in kinds
                if kind in KINDS and not topic.startswith(f'{self._tracker}/')]

    def on_image(self, msg: Image | CompressedImage) -> None:
        """Hand a picture on as it came."""
        try:
            picture = picture_from_msg(msg)
        except FrameError:
            return  # The tracker refuses it too, and says why.
        self._on_picture(picture)


def picture_from_msg(msg: Image | CompressedImage) -> Picture:
    """
    Return a picture; its pixels are made when they are asked for.

    :raises FrameError: its size cannot be read
    """
    stamp_ns = stamp_from_msg(msg.header.stamp)
    if isinstance(msg, Image):
        return Picture(stamp_ns, (msg.height, msg.width), lambda: image_from_msg(msg))
    payload = bytes(msg.data)
    info = jpeg.probe(payload)

    def pixels() -> UInt8Array:
        found = payload_from_msg(msg)
        return jpeg.decode(found) if isinstance(found, bytes) else found

    return Picture(stamp_ns, info.hw, pixels, payload if info.is_jpeg else None)
