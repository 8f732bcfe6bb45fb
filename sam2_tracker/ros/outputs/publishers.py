# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Publish results from a thread of its own, each output only where somebody subscribes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
import math
import queue
import threading
import time
import traceback
from types import ModuleType
from typing import TYPE_CHECKING

import cv2
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sam2_tracker.core.config import AnnotateConfig
from sam2_tracker.core.types import ObjectState, TrackedFrame, TrackedObject, Wanted
from sam2_tracker.ros.messages import (
    header_to_msg,
    image_to_msg,
    jpeg_to_msg,
    label_image_to_msg,
    mask_to_msg,
    tracked_objects_to_msg,
)
from sam2_tracker.ros.outputs.delivery import Outgoing
from sam2_tracker.ros.qos import LATCHED, OUTPUT, without_event_callbacks
from sam2_tracker_msgs.msg import TrackedObjects

if TYPE_CHECKING:
    from sam2_tracker.render.overlay import Overlay


JPEG_QUALITY = 90


class AnnotatedOutput:
    """
    Draws results for whoever watches.

    :param config: what is drawn just now
    """

    def __init__(self, node: Node, config: Callable[[], AnnotateConfig]) -> None:
        self._config = config
        self._drawn_with: AnnotateConfig | None = None
        self._overlay: Overlay | None = None
        self._raw = node.create_publisher(Image, '~/annotated', OUTPUT)
        self._compressed = node.create_publisher(
            CompressedImage, '~/annotated/compressed', OUTPUT)

    def is_wanted(self) -> bool:
        """Tell whether somebody subscribes."""
        return bool(self._raw.get_subscription_count()
                    or self._compressed.get_subscription_count())

    def publishers(self) -> tuple[Publisher, ...]:
        """Return the publishers of both transports."""
        return self._raw, self._compressed

    def publish(self, tracked: TrackedFrame, header: Header) -> None:
        """Draw and publish one result, if somebody subscribes."""
        if not self.is_wanted():
            return
        picture_bgr = self._up_to_date_overlay().draw(tracked)
        if self._raw.get_subscription_count():
            self._raw.publish(image_to_msg(picture_bgr, 'bgr8', header))
        if self._compressed.get_subscription_count():
            _, jpeg = cv2.imencode('.jpg', picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            self._compressed.publish(jpeg_to_msg(jpeg.tobytes(), header))

    def reset(self) -> None:
        """Forget the ways drawn so far."""
        self._overlay = None

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


# Results that wait for publishing; the worker waits beyond that, so that none is lost.
QUEUE_LENGTH = 4
JOIN_TIMEOUT_S = 2.0
# Histories are shallow: what is still on its way is lost when the next ones are written. Fast DDS
# repairs a loss after its heartbeat of 3 s at the latest.
REPAIR_TIME_S = 4.0
# `ros2 launch` has 5 s in all for the node to end.
LAST_REPAIR_TIME_S = 0.5
THROTTLE_S = 5.0

Record = Callable[[str, float], None]


class OutputPublishers:
    """
    Every output of the node.

    :param annotate: what is drawn on the annotated stream just now
    :param record: takes the duration of a stage in seconds
    :ivar fault: why the newest result could not be published, '' if it was
    """

    def __init__(self, node: Node, annotate: Callable[[], AnnotateConfig],
                 record: Record) -> None:
        self.fault = ''
        self._logger = node.get_logger()
        self._record = record
        self._objects = node.create_publisher(TrackedObjects, '~/objects', LATCHED)
        self._label_image = node.create_publisher(Image, '~/label_image', OUTPUT)
        self._masks = MaskTopics(node)
        self._annotated = AnnotatedOutput(node, annotate)
        self._detections = detection_output(node)
        self._waiting: queue.SimpleQueue[TrackedFrame | int | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(QUEUE_LENGTH)
        self._thread: threading.Thread | None = None
        self._lossless = False
        self._outgoing = Outgoing()
        self._repaired_by_s = math.inf

    def wanted(self) -> Wanted:
        """Tell which costly outputs somebody subscribes to."""
        return Wanted(
            label_image=self._label_image.get_subscription_count() > 0,
            masks=self._masks.is_wanted() or self._annotated.is_wanted())

    def put(self, tracked: TrackedFrame) -> None:
        """Hand over a result; waits while too many are not yet published."""
        self._room.acquire()
        self._waiting.put(tracked)

    def forget(self, object_id: int) -> None:
        """Remove an object's topic after the results handed over so far; does not wait."""
        if self._thread is not None:
            self._waiting.put(object_id)

    def start(self, lossless: bool) -> None:
        """
        Begin to publish.

        :param lossless: let every result reach its subscribers before the next one is published
        """
        self._lossless = lossless
        self._repaired_by_s = math.inf
        self._thread = threading.Thread(target=self._run, name='publish', daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Wait for subscribers only a moment longer: publishing is about to end."""
        self._repaired_by_s = min(self._repaired_by_s, time.monotonic() + LAST_REPAIR_TIME_S)

    def stop(self) -> None:
        """Publish what waits and end the thread."""
        self.hurry()
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(JOIN_TIMEOUT_S)
            self._thread = None

    def clear(self) -> None:
        """Remove every object's topic; only while stopped."""
        self._masks.keep(())
        self._annotated.reset()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                if isinstance(item, TrackedFrame):
                    self._room.release()
                    self._publish(item)
                    self.fault = ''
                else:
                    self._masks.remove(item)
            except Exception as error:  # noqa: BLE001 - one bad frame must not end the stream
                self.fault = f'a result could not be published: {error!r}'
                self._logger.error(f'{self.fault}\n{traceback.format_exc()}',
                                   throttle_duration_sec=THROTTLE_S)

    def _publish(self, tracked: TrackedFrame) -> None:
        begun_ns = time.monotonic_ns()
        header = header_to_msg(tracked.frame.header)
        if self._lossless:
            self._wait_for_room()
        self._objects.publish(tracked_objects_to_msg(tracked.frame.header, tracked.objects))
        self._publish_label_image(tracked, header)
        self._masks.publish(tracked, header)
        if self._detections is not None:
            self._detections.publish(tracked, header)
        self._annotated.publish(tracked, header)
        now_ns = time.monotonic_ns()
        self._record('publish', (now_ns - begun_ns) / 1e9)
        if tracked.frame.received_ns:
            self._record('total', (now_ns - tracked.frame.received_ns) / 1e9)

    def _wait_for_room(self) -> None:
        publishers = (self._objects, self._label_image, *self._masks.publishers(),
                      *self._annotated.publishers())
        end_s = time.monotonic() + REPAIR_TIME_S
        self._outgoing.wait_for_room(
            publishers, lambda: time.monotonic() >= min(end_s, self._repaired_by_s))
        self._outgoing.published(publishers)

    def _publish_label_image(self, tracked: TrackedFrame, header: Header) -> None:
        if tracked.label_image is not None and self._label_image.get_subscription_count():
            self._label_image.publish(label_image_to_msg(tracked.label_image, header))
