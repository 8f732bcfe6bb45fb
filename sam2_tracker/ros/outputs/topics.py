# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What is published of a result, one class an output; each computes only what somebody subscribes to.

A new output is a class here, or in a module of its own beside this one, and a line in
`publishers.outputs_of`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
import threading
from types import ModuleType
from typing import Any, TYPE_CHECKING

import cv2
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sam2_tracker.core.config import AnnotateConfig
from sam2_tracker.core.result_topics import (
    JPEG_QUALITY,
    mask_topic,
    ResultTopic,
    SCORE_THRESHOLD,
)
from sam2_tracker.core.types import ObjectState, ShownPicture, TrackedFrame, TrackedObject, Wanted
from sam2_tracker.ros.messages import (
    image_to_msg,
    jpeg_to_msg,
    label_image_to_msg,
    mask_to_msg,
    tracked_objects_to_msg,
)
from sam2_tracker.ros.qos import LATCHED, OUTPUT, without_event_callbacks
from sam2_tracker_msgs.msg import TrackedObjects
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

if TYPE_CHECKING:
    from sam2_tracker.render.overlay import Overlay

try:
    import vision_msgs.msg as installed_vision_msgs
except ImportError:
    installed_vision_msgs = None

NOTHING = Wanted(label_image=False, masks=False)
MASKS = Wanted(label_image=False, masks=True)
LABEL_IMAGE = Wanted(label_image=True, masks=False)


class Output(ABC):
    """
    One output, on one topic or several, for as long as the node lives.

    One thread publishes and removes; `wanted` is called by another.
    """

    def wanted(self) -> Wanted:
        """Say which costly parts of a result the subscribers need just now."""
        return NOTHING

    @abstractmethod
    def publishers(self) -> tuple[Publisher, ...]:
        """Return those whose messages have to arrive where nothing may be lost."""

    @abstractmethod
    def publish(self, tracked: TrackedFrame, header: Header) -> None:
        """
        Publish one result, as far as somebody subscribes.

        :param header: of the source image, for every message
        """

    def forget(self, object_id: int) -> None:  # noqa: B027 most need none
        """Remove what belongs to one object alone; most outputs have nothing of that kind."""

    def clear(self) -> None:  # noqa: B027 most need none
        """Remove what belongs to any object; only while nothing is published."""


class TopicOutput(Output):
    """
    An output with one topic and one message a result.

    :param kind: the type of its message
    :param name: of the topic
    :param needs: costly parts of a result that the message is made of
    """

    def __init__(self, node: Node, kind: type, name: str, qos: QoSProfile = OUTPUT,
                 needs: Wanted = NOTHING) -> None:
        self._needs = needs
        self._publisher = node.create_publisher(kind, name, qos)

    @abstractmethod
    def message(self, tracked: TrackedFrame, header: Header) -> Any:
        """Convert a result to the message, None if there is nothing to say."""

    def is_due(self) -> bool:
        """Tell whether a message would be published: whether somebody subscribes."""
        return self._publisher.get_subscription_count() > 0

    def wanted(self) -> Wanted:
        """Say what the message is made of, while it is due."""
        return self._needs if self.is_due() else NOTHING

    def publishers(self) -> tuple[Publisher, ...]:
        """Return the topic's one."""
        return (self._publisher,)

    def publish(self, tracked: TrackedFrame, header: Header) -> None:
        """Publish the message if it is due."""
        if self.is_due() and (msg := self.message(tracked, header)) is not None:
            self._publisher.publish(msg)


class ObjectsOutput(TopicOutput):
    """`~/objects`: every object of every result, for whoever subscribes now or later."""

    def __init__(self, node: Node) -> None:
        super().__init__(node, TrackedObjects, ResultTopic.OBJECTS.private_name, LATCHED)

    def is_due(self) -> bool:
        """Tell that every result is published."""
        return True

    def message(self, tracked: TrackedFrame, header: Header) -> TrackedObjects:
        """Convert all objects."""
        return tracked_objects_to_msg(tracked.frame.header, tracked.objects)


class LabelImageOutput(TopicOutput):
    """`~/label_image`: each pixel is an object's id."""

    def __init__(self, node: Node) -> None:
        super().__init__(node, Image, ResultTopic.LABEL_IMAGE.private_name, needs=LABEL_IMAGE)

    def message(self, tracked: TrackedFrame, header: Header) -> Image | None:
        """Convert the label image; a result from before somebody subscribed has none."""
        if tracked.label_image is None:
            return None
        return label_image_to_msg(tracked.label_image, header)


class MaskOutput(Output):
    """`~/object_<id>/mask`: a topic for each object, which comes and goes with it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: dict[int, Publisher] = {}
        # A publisher that is gone cannot be asked for its subscribers.
        self._removing = threading.Lock()

    def wanted(self) -> Wanted:
        """Say that masks are, if somebody subscribes to any."""
        with self._removing:
            is_watched = any(publisher.get_subscription_count() for publisher in
                             tuple(self._publishers.values()))
        return MASKS if is_watched else NOTHING

    def publishers(self) -> tuple[Publisher, ...]:
        """Return every object's one."""
        return tuple(self._publishers.values())

    def publish(self, tracked: TrackedFrame, header: Header) -> None:
        """Publish one frame's masks; topics of objects that are gone are removed."""
        self._keep([item.id for item in tracked.objects])
        for item in tracked.objects:
            if item.id not in self._publishers:
                self._add(item.id)
        for item, mask_hw in zip(tracked.objects, tracked.masks, strict=False):
            publisher = self._publishers[item.id]
            if publisher.get_subscription_count():
                publisher.publish(mask_to_msg(mask_hw, header))

    def forget(self, object_id: int) -> None:
        """Remove one object's topic, if there is one."""
        with self._removing:
            publisher = self._publishers.pop(object_id, None)
            if publisher is not None:
                self._node.destroy_publisher(publisher)

    def clear(self) -> None:
        """Remove every topic."""
        self._keep(())

    def _keep(self, object_ids: Collection[int]) -> None:
        for object_id in [known for known in self._publishers if known not in object_ids]:
            self.forget(object_id)

    def _add(self, object_id: int) -> None:
        self._publishers[object_id] = self._node.create_publisher(
            Image, f'~/{mask_topic(object_id)}', OUTPUT,
            event_callbacks=without_event_callbacks())


class AnnotatedOutput(Output):
    """
    `~/annotated` and `~/annotated/compressed`: the picture with what is tracked drawn on it.

    :param config: what is drawn just now
    :ivar shown: the newest picture published, None before the first
    """

    def __init__(self, node: Node, config: Callable[[], AnnotateConfig]) -> None:
        self._config = config
        self.shown: ShownPicture | None = None
        self._drawn_with: AnnotateConfig | None = None
        self._overlay: Overlay | None = None
        self._raw = node.create_publisher(
            Image, ResultTopic.ANNOTATED.private_name, OUTPUT)
        self._compressed = node.create_publisher(
            CompressedImage, ResultTopic.ANNOTATED_JPEG.private_name, OUTPUT)

    def wanted(self) -> Wanted:
        """Say that masks are, if somebody subscribes to either transport."""
        is_watched = (self._raw.get_subscription_count()
                      or self._compressed.get_subscription_count())
        return MASKS if is_watched else NOTHING

    def publishers(self) -> tuple[Publisher, ...]:
        """Return those of both transports."""
        return self._raw, self._compressed

    def publish(self, tracked: TrackedFrame, header: Header) -> None:
        """Draw one result once, and publish it where somebody subscribes."""
        if self.wanted() == NOTHING:
            return
        picture_bgr = self._up_to_date_overlay().draw(tracked)
        if self._raw.get_subscription_count():
            self._raw.publish(image_to_msg(picture_bgr, 'bgr8', header))
        if self._compressed.get_subscription_count():
            _, jpeg = cv2.imencode('.jpg', picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            self._compressed.publish(jpeg_to_msg(jpeg.tobytes(), header))
        self.shown = ShownPicture(tracked.frame.stamp_ns, tracked.frame.source_hw)

    def clear(self) -> None:
        """Forget the ways drawn so far, and what was shown."""
        self._overlay = self.shown = None

    def _up_to_date_overlay(self) -> Overlay:
        # supervision takes a second to import, and most nodes draw nothing.
        from sam2_tracker.render.overlay import Overlay

        config = self._config()
        if self._overlay is None:
            self._overlay = Overlay(config)
        elif config != self._drawn_with:
            self._overlay.configure(config)
        self._drawn_with = config
        return self._overlay


def detection_outputs(node: Node, vision: ModuleType | None = installed_vision_msgs
                      ) -> tuple[Output, ...]:
    """Make the outputs with messages of vision_msgs, none where that is not installed."""
    return () if vision is None else (LabelInfoOutput(node, vision), DetectionOutput(node, vision))


class LabelInfoOutput(TopicOutput):
    """
    `~/label_info`: what the ids are called, whenever that changes.

    :param vision: the module vision_msgs.msg
    """

    def __init__(self, node: Node, vision: ModuleType) -> None:
        super().__init__(node, vision.LabelInfo, ResultTopic.LABEL_INFO.private_name, LATCHED)
        self._vision = vision
        self._published: tuple[tuple[int, str], ...] | None = None

    def is_due(self) -> bool:
        """Tell that names are published for whoever subscribes later."""
        return True

    def message(self, tracked: TrackedFrame, header: Header) -> Any:
        """Convert the names, if they changed."""
        names = tuple((item.id, item.label) for item in tracked.objects)
        if names == self._published:
            return None
        msg = label_info_to_msg(self._vision, tracked.objects, header)
        self._published = names
        return msg


class DetectionOutput(TopicOutput):
    """
    `~/detections`: the visible objects as a detector would publish them.

    :param vision: the module vision_msgs.msg
    """

    def __init__(self, node: Node, vision: ModuleType) -> None:
        super().__init__(node, vision.Detection2DArray, ResultTopic.DETECTIONS.private_name)
        self._vision = vision

    def message(self, tracked: TrackedFrame, header: Header) -> Any:
        """Convert the visible objects."""
        return detections_to_msg(self._vision, tracked.objects, header)


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
