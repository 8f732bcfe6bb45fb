# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Detections for other packages, where vision_msgs is installed."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from rclpy.node import Node
from std_msgs.msg import Header

from sam2_tracker.core.types import ObjectState, TrackedFrame, TrackedObject
from sam2_tracker.ros.qos import LATCHED, OUTPUT

try:
    import vision_msgs.msg as installed_vision_msgs
except ImportError:
    installed_vision_msgs = None

SCORE_THRESHOLD = 0.5


def detection_output(node: Node, vision: ModuleType | None = installed_vision_msgs
                     ) -> DetectionOutput | None:
    """Return the publishers of detections, None without vision_msgs."""
    return None if vision is None else DetectionOutput(node, vision)


class DetectionOutput:
    """
    Publishes visible objects as detections, and what their ids are called.

    :param vision: the module vision_msgs.msg
    """

    def __init__(self, node: Node, vision: ModuleType) -> None:
        self._vision = vision
        self._detections = node.create_publisher(
            vision.Detection2DArray, '~/detections', OUTPUT)
        self._labels = node.create_publisher(vision.LabelInfo, '~/label_info', LATCHED)
        self._published: tuple[tuple[int, str], ...] | None = None

    def publish(self, tracked: TrackedFrame, header: Header) -> None:
        """Publish one result's detections, and the names if they changed."""
        names = tuple((item.id, item.label) for item in tracked.objects)
        if names != self._published:
            self._labels.publish(label_info_to_msg(self._vision, tracked.objects, header))
            self._published = names
        if self._detections.get_subscription_count():
            self._detections.publish(
                detections_to_msg(self._vision, tracked.objects, header))


def detections_to_msg(vision: ModuleType, objects: Iterable[TrackedObject],
                      header: Header) -> object:
    """Convert the visible objects to a Detection2DArray."""
    return vision.Detection2DArray(header=header, detections=[
        _detection_to_msg(vision, item, header) for item in objects
        if item.state is ObjectState.VISIBLE and item.box is not None])


def label_info_to_msg(vision: ModuleType, objects: Iterable[TrackedObject],
                      header: Header) -> object:
    """Convert the objects' names to a LabelInfo: class_id is the value in the label image."""
    return vision.LabelInfo(header=header, threshold=SCORE_THRESHOLD, class_map=[
        vision.VisionClass(class_id=item.id, class_name=_name(item)) for item in objects])


def _detection_to_msg(vision: ModuleType, item: TrackedObject, header: Header) -> object:
    hypothesis = vision.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = _name(item)
    hypothesis.hypothesis.score = float(item.score)
    detection = vision.Detection2D(header=header, id=str(item.id), results=[hypothesis])
    box = item.box
    detection.bbox.center.position.x = box.x + box.width / 2
    detection.bbox.center.position.y = box.y + box.height / 2
    detection.bbox.size_x = float(box.width)
    detection.bbox.size_y = float(box.height)
    return detection


def _name(item: TrackedObject) -> str:
    return item.label or str(item.id)
