# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Publish results from a thread of its own, each output only where somebody subscribes."""

from __future__ import annotations

from collections.abc import Callable
import math
import queue
import threading
import time
import traceback

from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sam2_tracker.core.types import TrackedFrame, Wanted
from sam2_tracker.ros.annotated import AnnotatedOutput
from sam2_tracker.ros.detections import detection_output
from sam2_tracker.ros.mask_topics import MaskTopics
from sam2_tracker.ros.message_conversion import header_to_msg, tracked_objects_to_msg
from sam2_tracker.ros.messages import label_image_to_msg
from sam2_tracker.ros.outputs.delivery import Outgoing
from sam2_tracker.ros.parameters import AnnotateConfig
from sam2_tracker.ros.qos import LATCHED, OUTPUT
from sam2_tracker_msgs.msg import TrackedObjects

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
