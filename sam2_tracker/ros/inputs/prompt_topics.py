# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Prompts and detections that come by topics, one class a topic; the log says what becomes of them.

Another such topic is a class here, or in a module of its own beside this one, and a line in
`prompt_topics_of`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
import threading

from geometry_msgs.msg import Point, PointStamped
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sam2_tracker.core import text
from sam2_tracker.core.config import NodeConfig
from sam2_tracker.core.detections.detection import upright
from sam2_tracker.core.errors import ConfigError, TrackerError
from sam2_tracker.core.frames.stored_frame import StoredFrame
from sam2_tracker.core.types import Prompt, ShownPicture, TrackedFrame
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.requests import Ticket
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.ros.inputs.image_input import fitting_reliability, REVIEW_PERIOD_S
from sam2_tracker.ros.messages import stamp_from_msg
from sam2_tracker.ros.qos import published_otherwise, publishers_of, subscribed

try:
    import vision_msgs.msg as installed_vision_msgs
except ImportError:
    installed_vision_msgs = None

Newest = Callable[[], StoredFrame | None]
Shown = Callable[[], ShownPicture | None]


def prompt_topics_of(node: Node, config: Callable[[], NodeConfig], worker: Callable[[], Worker],
                     newest: Newest, annotated: Shown) -> list[PromptTopic]:
    """
    Subscribe to every topic of prompts that the settings ask for.

    :param config: as it is just now
    :param worker: returns the worker, or raises NotReadyError
    :param newest: the newest image, None before the first
    :param annotated: the newest annotated picture that was published, None before the first
    """
    topics: list[PromptTopic] = []
    if config().prompt.clicked_point:
        topics.append(ClickedPoints(node, worker, newest))
    if config().prompt.mouse:
        camera = node.resolve_topic_name('image').removesuffix('/compressed')
        for topic, shown in ((camera, lambda: _as_shown(newest())), ('~/annotated', annotated)):
            # The viewer names the topic of the transport that it has chosen.
            topics += [MouseClicks(node, f'{topic}{transport}_mouse_left', worker, shown,
                                   lambda: config().prompt.mouse_object)
                       for transport in ('', '/compressed')]
    if config().detections.use:
        topics.append(Detections(node, worker))
    return topics


def check_messages(config: NodeConfig) -> None:
    """
    Make sure that the messages of all topics that the settings ask for are installed.

    :raises ConfigError: if some are not
    """
    if config.detections.use and installed_vision_msgs is None:
        raise ConfigError(
            "parameter 'detections.use' is true but vision_msgs is not installed: install it "
            '(apt install ros-$ROS_DISTRO-vision-msgs) or set it to false')


def _as_shown(newest: StoredFrame | None) -> ShownPicture | None:
    return None if newest is None else ShownPicture(newest.stamp_ns, newest.source_hw)


class PromptTopic(ABC):
    """
    A subscription whose messages are prompts, from construction to `close`.

    :param kind: the type of its messages
    :param topic: its name
    :param what: one message in words, for the log
    :ivar topic: its name in full
    :ivar lost_messages: how many the middleware told that it had lost
    :cvar counted: what they are, as `/diagnostics` counts them
    """

    counted = 'clicks'

    def __init__(self, node: Node, kind: type, topic: str, what: str,
                 worker: Callable[[], Worker], qos: QoSProfile | int = 10) -> None:
        self._node = node
        self._logger = node.get_logger()
        self._what = what
        self._worker = worker
        self._kind = kind
        self.topic = node.resolve_topic_name(topic)
        self.lost_messages = 0
        self._subscription = self._subscribe(qos)

    def _subscribe(self, qos: QoSProfile | int) -> Subscription:
        return subscribed(self._node, self._kind, self.topic, self.on_message, qos,
                          message_lost=self.on_message_lost)

    def on_message_lost(self, event: object) -> None:
        """Count what the middleware lost, and say so the first time."""
        is_first = not self.lost_messages
        self.lost_messages += event.total_count_change
        if is_first:
            self._logger.warning(
                f'{self.counted} of {self.topic} were lost on the way: {self.lost_messages}; '
                'further ones are counted only')

    def trouble(self) -> str:
        """Say why messages that somebody publishes do not come, '' if nothing is wrong."""
        otherwise = published_otherwise(self._node, self.topic, self._kind)
        return otherwise and f'{otherwise}: none of it is heard'

    @abstractmethod
    def on_message(self, msg: object) -> None:
        """Prompt what the message says."""

    def close(self) -> None:
        """Take no more prompts."""
        self._node.destroy_subscription(self._subscription)

    def _prompt(self, request: PromptRequest) -> None:
        try:
            ticket = self._worker().add_prompts(request)
        except TrackerError as error:
            self._refuse(str(error))
        else:
            ticket.add_done_callback(self._log_outcome)

    def _log_outcome(self, ticket: Ticket[TrackedFrame]) -> None:
        try:
            prompted = ticket.result().objects[0]
        except TrackerError as error:
            self._refuse(str(error))
        else:
            self._logger.info(f'{self._what}: {self._outcome(prompted.id)}')

    def _outcome(self, object_id: int) -> str:
        return f'new object {object_id}'

    def _refuse(self, reason: str) -> None:
        self._logger.warning(f'{self._what} refused: {reason}')


class ClickedPoints(PromptTopic):
    """`~/clicked_point`: one positive point is one new object."""

    def __init__(self, node: Node, worker: Callable[[], Worker], newest: Newest) -> None:
        self._newest = newest
        self._warned: set[str] = set()
        super().__init__(node, PointStamped, '~/clicked_point', 'clicked point', worker)

    def on_message(self, msg: PointStamped) -> None:
        """Prompt a new object where the operator clicked."""
        newest = self._newest()
        frame_id = newest.header.frame_id if newest else None
        if msg.header.frame_id and msg.header.frame_id != frame_id:
            self._refuse_once(msg.header.frame_id, frame_id)
            return
        stamp_ns = stamp_from_msg(msg.header.stamp)
        if newest and stamp_ns > newest.stamp_ns:
            stamp_ns = 0
        self._prompt(_click_request(msg, stamp_ns))

    def _refuse_once(self, frame_id: str, image_frame_id: str | None) -> None:
        if frame_id in self._warned:
            return
        self._warned.add(frame_id)
        known = 'no image has come yet' if image_frame_id is None else (
            f"the image's is {text.shown(image_frame_id)}")
        self._refuse(
            f'its frame_id is {text.shown(frame_id)} and {known}; pixels of the image are '
            "accepted, with the image's frame_id or none (RViz2's points are metres)")


class MouseClicks(PromptTopic):
    """
    `<topic>_mouse_left`: where somebody clicked on the picture that a viewer shows.

    Such a click has no stamp: it belongs to the newest picture that the viewer can have got.

    :param topic: with `_mouse_left`
    :param shown: returns that picture, None before the first
    :param object_id: returns the object that is meant, 0 for a new one
    """

    def __init__(self, node: Node, topic: str, worker: Callable[[], Worker], shown: Shown,
                 object_id: Callable[[], int]) -> None:
        self._shown = shown
        self._object_id = object_id
        super().__init__(node, Point, topic, 'mouse click', worker)

    def on_message(self, msg: Point) -> None:
        """Prompt a new object, or the one that is set, where the operator clicked."""
        shown = self._shown()
        if shown is None:
            self._refuse(f'no picture has been published yet on which {self.topic} could be')
            return
        height, width = shown.source_hw
        # The viewer rounds to whole pixels: at the right and the lower edge to one too many.
        x, y = (size - 1 if value == size else value
                for value, size in ((msg.x, width), (msg.y, height)))
        prompt = _positive_point(x, y, self._object_id())
        self._prompt(PromptRequest(prompts=(prompt,), stamp_ns=shown.stamp_ns))

    def _outcome(self, object_id: int) -> str:
        is_known = object_id == self._object_id()
        return f'object {object_id} is prompted again' if is_known else f'new object {object_id}'


class Detections(PromptTopic):
    """
    `~/detections_in`: what a detector found, each message on the frame of its own stamp.

    The core says what cannot be used, and which objects it makes of them. Subscribed to reliably,
    as a message with many boxes is lost easily, unless a publisher offers best effort only.
    """

    counted = 'detections'

    def __init__(self, node: Node, worker: Callable[[], Worker]) -> None:
        assert installed_vision_msgs is not None
        self._reliability = ReliabilityPolicy.RELIABLE
        super().__init__(node, installed_vision_msgs.Detection2DArray, '~/detections_in',
                         'detections', worker, _detection_qos(self._reliability))
        self._lock = threading.Lock()
        self._review = node.create_timer(
            REVIEW_PERIOD_S, self.on_review, MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_review(self) -> None:
        """Subscribe anew if the publishers found ask for another reliability."""
        offered = [found.qos_profile.reliability
                   for found in publishers_of(self._node, self.topic, self._kind)]
        fitting = fitting_reliability('auto', offered)
        with self._lock:
            if not offered or fitting == self._reliability or self._review.is_canceled():
                return
            super().close()
            self._reliability = fitting
            self._subscription = self._subscribe(_detection_qos(fitting))

    def close(self) -> None:
        """Take no more detections."""
        with self._lock:
            self._review.cancel()
            self._node.destroy_timer(self._review)
            super().close()

    def on_message(self, msg: object) -> None:
        """Hand over what was found."""
        # Between two states of the lifecycle there may be no worker any more.
        with suppress(TrackerError):
            self._worker().add_detections(
                stamp_from_msg(msg.header.stamp), msg.header.frame_id,
                map(upright, msg.detections))


def _detection_qos(reliability: ReliabilityPolicy) -> QoSProfile:
    return QoSProfile(depth=100, reliability=reliability)


def _positive_point(x: float, y: float, object_id: int = 0) -> Prompt:
    with np.errstate(over='ignore'):
        point = np.array([[x, y]], np.float64).astype(np.float32)
    return Prompt(object_id, points_xy=point, point_labels=np.ones(1, np.int32))


def _click_request(msg: PointStamped, stamp_ns: int) -> PromptRequest:
    return PromptRequest((_positive_point(msg.point.x, msg.point.y),), stamp_ns)
