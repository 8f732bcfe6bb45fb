# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""One mask topic per object, created and removed with it."""

from __future__ import annotations

from collections.abc import Collection
import threading

from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sam2_tracker.core.types import TrackedFrame
from sam2_tracker.ros.messages import mask_to_msg
from sam2_tracker.ros.qos import OUTPUT, without_event_callbacks


class MaskTopics:
    """The topics ~/object_<id>/mask. One thread publishes; `is_wanted` may come from another."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: dict[int, Publisher] = {}
        # A publisher that is gone cannot be asked for its subscribers.
        self._removing = threading.Lock()

    def is_wanted(self) -> bool:
        """Tell whether somebody subscribes to any mask."""
        with self._removing:
            return any(publisher.get_subscription_count() for publisher in
                       tuple(self._publishers.values()))

    def publishers(self) -> tuple[Publisher, ...]:
        """Return every object's publisher."""
        return tuple(self._publishers.values())

    def publish(self, tracked: TrackedFrame, header: Header) -> None:
        """Publish one frame's masks; topics of objects that are gone are removed."""
        self.keep([item.id for item in tracked.objects])
        for item in tracked.objects:
            if item.id not in self._publishers:
                self._add(item.id)
        for item, mask_hw in zip(tracked.objects, tracked.masks, strict=False):
            publisher = self._publishers[item.id]
            if publisher.get_subscription_count():
                publisher.publish(mask_to_msg(mask_hw, header))

    def keep(self, object_ids: Collection[int]) -> None:
        """Remove the topics of all other objects."""
        for object_id in [known for known in self._publishers if known not in object_ids]:
            self.remove(object_id)

    def remove(self, object_id: int) -> None:
        """Remove one object's topic, if there is one."""
        with self._removing:
            publisher = self._publishers.pop(object_id, None)
            if publisher is not None:
                self._node.destroy_publisher(publisher)

    def _add(self, object_id: int) -> None:
        self._publishers[object_id] = self._node.create_publisher(
            Image, f'~/object_{object_id}/mask', OUTPUT,
            event_callbacks=without_event_callbacks())
