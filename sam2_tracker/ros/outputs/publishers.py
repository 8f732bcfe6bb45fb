# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Publish results on every output, from a thread of its own; with `every`, until they arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math
import queue
import threading
import time
import traceback

from rclpy.node import Node
from rclpy.publisher import Publisher
from sam2_tracker.core.config import AnnotateConfig
from sam2_tracker.core.types import ShownPicture, TrackedFrame, Wanted
from sam2_tracker.ros.messages import header_to_msg
from sam2_tracker.ros.outputs.annotations import annotation_outputs
from sam2_tracker.ros.outputs.topics import (
    AnnotatedOutput,
    detection_outputs,
    LabelImageOutput,
    MaskOutput,
    ObjectsOutput,
    Output,
)
from sam2_tracker.ros.qos import has_arrived

# Results that wait for publishing; the worker waits beyond that, so that none is lost.
QUEUE_LENGTH = 4
JOIN_TIMEOUT_S = 2.0
# Histories are shallow: what is still on its way is lost when the next ones are written. Fast DDS
# repairs a loss after its heartbeat of 3 s at the latest.
REPAIR_TIME_S = 4.0
# `ros2 launch` has 5 s in all for the node to end.
LAST_REPAIR_TIME_S = 0.5
THROTTLE_S = 5.0

_POLL_S = 0.002

Record = Callable[[str, float], None]


def outputs_of(node: Node, annotate: Callable[[], AnnotateConfig]) -> tuple[Output, ...]:
    """Make every output of the node, in the order in which a result is published."""
    return (
        ObjectsOutput(node),
        LabelImageOutput(node),
        MaskOutput(node),
        *detection_outputs(node),
        *annotation_outputs(node),
        AnnotatedOutput(node, annotate))


class OutputPublishers:
    """
    Every output of the node, and the thread that publishes.

    :param annotate: what is drawn on the annotated stream just now
    :param record: takes the duration of a stage in seconds
    :ivar fault: why the newest result could not be published, '' if it was
    """

    def __init__(self, node: Node, annotate: Callable[[], AnnotateConfig],
                 record: Record) -> None:
        self.fault = ''
        self._logger = node.get_logger()
        self._record = record
        self._outputs = outputs_of(node, annotate)
        self._waiting: queue.SimpleQueue[TrackedFrame | int | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(QUEUE_LENGTH)
        self._thread: threading.Thread | None = None
        self._lossless = False
        self._outgoing = Outgoing()
        self._repaired_by_s = math.inf

    def wanted(self) -> Wanted:
        """Tell which costly parts of a result somebody subscribes to."""
        each = [output.wanted() for output in self._outputs]
        return Wanted(label_image=any(wanted.label_image for wanted in each),
                      masks=any(wanted.masks for wanted in each))

    def newest_annotated(self) -> ShownPicture | None:
        """Return the newest annotated picture that was published, None before the first."""
        return next((output.shown for output in self._outputs
                     if isinstance(output, AnnotatedOutput)), None)

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
        """Remove what belongs to objects; only while stopped."""
        for output in self._outputs:
            output.clear()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                if isinstance(item, TrackedFrame):
                    self._room.release()
                    self._publish(item)
                    self.fault = ''
                else:
                    for output in self._outputs:
                        output.forget(item)
            except Exception as error:  # noqa: BLE001 - one bad frame must not end the stream
                self.fault = f'a result could not be published: {error!r}'
                self._logger.error(f'{self.fault}\n{traceback.format_exc()}',
                                   throttle_duration_sec=THROTTLE_S)

    def _publish(self, tracked: TrackedFrame) -> None:
        begun_ns = time.monotonic_ns()
        header = header_to_msg(tracked.frame.header)
        if self._lossless:
            self._wait_for_room()
        for output in self._outputs:
            output.publish(tracked, header)
        now_ns = time.monotonic_ns()
        self._record('publish', (now_ns - begun_ns) / 1e9)
        if tracked.frame.received_ns:
            self._record('total', (now_ns - tracked.frame.received_ns) / 1e9)

    def _wait_for_room(self) -> None:
        publishers = [each for output in self._outputs for each in output.publishers()]
        end_s = time.monotonic() + REPAIR_TIME_S
        self._outgoing.wait_for_room(
            publishers, lambda: time.monotonic() >= min(end_s, self._repaired_by_s))
        self._outgoing.published(publishers)


class Outgoing:
    """How many messages of each topic may not have arrived yet; one thread uses it."""

    def __init__(self) -> None:
        self._counts: dict[Publisher, int] = {}

    def published(self, publishers: Sequence[Publisher]) -> None:
        """Count a message of each topic that there is; topics that are gone are forgotten."""
        self._counts = {publisher: self._counts.get(publisher, 0) + 1 for publisher in publishers}

    def wait_for_room(self, publishers: Sequence[Publisher], is_over: Callable[[], bool]) -> None:
        """
        Wait until another message of each topic overwrites none that is on its way.

        :param is_over: asked meanwhile whether to give up
        """
        for publisher in publishers:
            while not self._has_room(publisher) and not is_over():
                time.sleep(_POLL_S)

    def _has_room(self, publisher: Publisher) -> bool:
        if has_arrived(publisher):
            self._counts[publisher] = 0
        return self._counts.get(publisher, 0) < int(publisher.qos_profile.depth)
