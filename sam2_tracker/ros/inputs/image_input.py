# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Images of the camera: subscribed to as its publishers allow, converted, handed over, counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import re
import threading
import time
from typing import Any, Protocol

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from sam2_tracker.core.config import FramePolicy, InputConfig
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.frames.stored_frame import (
    Arrival,
    EncodedImage,
    Outcome,
    RawImage,
    StoredFrame,
)
from sam2_tracker.core.types import FrameHeader
from sam2_tracker.ros.messages import header_from_msg, image_from_msg, payload_from_msg
from sam2_tracker.ros.qos import (
    image_qos,
    image_topic,
    published_otherwise,
    publishers_of,
    subscribed,
    type_name,
)
from sam2_tracker_msgs.msg import TrackedObjects
from sensor_msgs.msg import CompressedImage, Image

# A publisher that appears later is fitted to after at most so long.
REVIEW_PERIOD_S = 0.5
RELIABLE = ReliabilityPolicy.RELIABLE
BEST_EFFORT = ReliabilityPolicy.BEST_EFFORT
# So long after the newest image, or after the subscription, a camera is called silent.
SILENT_AFTER_S = 3.0
# Topics that could have been meant are named up to so many.
MAX_NAMED = 5
# Lines about single frames are said at most so often.
THROTTLE_S = 5.0


class Append(Protocol):
    """Where images go: `Worker.append`."""

    def __call__(self, image: RawImage | EncodedImage, header: FrameHeader, received_ns: int,
                 arrival_stamp_ns: int) -> Arrival: ...


class ImageInput:
    """
    Subscribes to the camera from construction to `close`.

    :param append: takes the images
    :param mono16_white: returns the value of a mono16 pixel that is white
    :ivar refused: how many images were refused
    """

    def __init__(self, node: Node, config: InputConfig, append: Append,
                 mono16_white: Callable[[], int]) -> None:
        self._node = node
        self._logger = node.get_logger()
        self._append = append
        self._mono16_white = mono16_white
        self._max_pixels = config.max_pixels
        self.refused = 0
        self._is_refusing = False
        self._refusal = ''
        self._refused: set[str] = set()
        self._said_at_s: dict[str, float] = {}
        self._newest: StoredFrame | None = None
        self._heard_at_s = time.monotonic()
        self._subscription = _ImageSubscription(node, config, self.on_image)

    @property
    def topic(self) -> str:
        """Name the topic subscribed to."""
        return self._subscription.topic

    @property
    def lost_messages(self) -> int:
        """Count the images that the middleware lost."""
        return self._subscription.lost_messages

    def newest(self) -> StoredFrame | None:
        """Return the newest image taken, None before the first."""
        return self._newest

    def trouble(self) -> str:
        """Say why no image comes in that could be prompted, '' if nothing is wrong."""
        if self.is_refusing:
            return self.refuses()
        if not self.has_publisher():
            return self.nobody_publishes()
        if not self._is_heard():
            return f'no images come in on {self.topic}'
        return ''

    def _is_heard(self) -> bool:
        return time.monotonic() - self._heard_at_s <= SILENT_AFTER_S

    @property
    def is_refusing(self) -> bool:
        """Return whether images come in and the newest was refused."""
        return self._is_refusing and self._is_heard()

    def refuses(self) -> str:
        """Say that images are refused, and why the last one was."""
        return f'images of {self.topic} are refused: {self._refusal}'

    def has_publisher(self) -> bool:
        """Return whether anybody publishes the topic."""
        return bool(self._subscription.offered())

    def nobody_publishes(self) -> str:
        """Say that nobody does, or as another type, and what else could have been meant."""
        if otherwise := self._subscription.published_otherwise():
            return otherwise
        others = self._subscription.others()
        instead = f'; of this type there are {", ".join(others)}' if others else ''
        return f'nobody publishes {self.topic}: start the camera or remap image{instead}'

    def close(self) -> None:
        """Unsubscribe."""
        self._subscription.close()

    def on_image(self, msg: Image | CompressedImage) -> None:
        """Convert an image and hand it over."""
        received_ns = time.monotonic_ns()
        self._heard_at_s = received_ns / 1e9
        arrival_stamp_ns = self._node.get_clock().now().nanoseconds or time.time_ns()
        try:
            header = header_from_msg(msg.header)
            image = self._converted(msg)
            arrival = self._append(image, header, received_ns, arrival_stamp_ns)
        except TrackerError as error:
            self.refused += 1
            self._refusal, self._is_refusing = str(error), True
            self._refuse_once(f'an image of {self.topic} is refused: {error}')
            return
        self._is_refusing = False
        if not header.stamp_ns:
            self._refuse_once('images have stamp 0: they are looked up by their receive time')
        self._report(arrival)

    def _converted(self, msg: Image | CompressedImage) -> RawImage | EncodedImage:
        if isinstance(msg, Image):
            return RawImage(image_from_msg(msg, self._mono16_white()))
        payload = payload_from_msg(msg, self._mono16_white(), self._max_pixels)
        return EncodedImage(payload) if isinstance(payload, bytes) else RawImage(payload)

    def _report(self, arrival: Arrival) -> None:
        if arrival.stored is not None:
            self._newest = arrival.stored
        if arrival.trouble:
            self._logger.error(arrival.trouble)
        if arrival.also and self._may_say('also'):
            self._logger.warning(f'frame dropped: {arrival.also}')
        if arrival.outcome is Outcome.LOST and self._may_say('lost'):
            self._logger.error(f'frame lost: {arrival.reason}')
        elif arrival.outcome is Outcome.DROPPED and self._may_say('dropped'):
            self._logger.warning(f'frame dropped: {arrival.reason}')

    def _refuse_once(self, sentence: str) -> None:
        # One kind of fault differs from frame to frame only in its numbers.
        kind = re.sub(r'\d+', '0', sentence)
        if kind not in self._refused:
            self._refused.add(kind)
            self._logger.warning(sentence)

    def _may_say(self, kind: str) -> bool:
        now_s = time.monotonic()
        if now_s - self._said_at_s.get(kind, -THROTTLE_S) < THROTTLE_S:
            return False
        self._said_at_s[kind] = now_s
        return True


class _ImageSubscription:
    """
    Subscribes; where publishers may ask for something else, it looks again whether they changed.

    :ivar topic: where the images come from, or would: of a camera that publishes CompressedImage
        under a name without /compressed, that name
    """

    def __init__(self, node: Node, config: InputConfig,
                 on_image: Callable[[Image | CompressedImage], None]) -> None:
        self._node = node
        self._config = config
        self._kind, self._other_kind, self._other_transport = (
            (CompressedImage, Image, 'raw') if config.transport == 'compressed'
            else (Image, CompressedImage, 'compressed'))
        self._on_image = on_image
        self._lock = threading.Lock()
        resolved = node.resolve_topic_name('image')
        self._topics = tuple(dict.fromkeys((image_topic(resolved, config.transport), resolved)))
        self.topic = self._fitting_topic()
        self.lost_messages = 0
        self._reliability = fitting_reliability(config.reliability, self.offered())
        self._subscription: Subscription | None = self._subscribe()
        self._review = node.create_timer(
            REVIEW_PERIOD_S, self.on_review, MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        if config.reliability != 'auto' and len(self._topics) == 1:
            self._review.cancel()

    def close(self) -> None:
        """Unsubscribe."""
        with self._lock:
            self._node.destroy_timer(self._review)
            if self._subscription is not None:
                self._node.destroy_subscription(self._subscription)
                self._subscription = None

    def on_review(self) -> None:
        """Subscribe anew if the publishers found ask for another reliability or topic."""
        topic = self._fitting_topic()
        offered = self._offered_on(topic)
        fitting = topic, fitting_reliability(self._config.reliability, offered)
        with self._lock:
            if (not offered or fitting == (self.topic, self._reliability)
                    or self._subscription is None):
                return
            self._node.destroy_subscription(self._subscription)
            self.topic, self._reliability = fitting
            self._subscription = self._subscribe()

    def _fitting_topic(self) -> str:
        """Return the first name under which somebody publishes what can be taken."""
        return next(filter(self._offered_on, self._topics), self._topics[0])

    def offered(self) -> list[ReliabilityPolicy]:
        """Return what each publisher of the topic offers."""
        return self._offered_on(self.topic)

    def _offered_on(self, topic: str) -> list[ReliabilityPolicy]:
        return [found.qos_profile.reliability
                for found in publishers_of(self._node, topic, self._kind)]

    def published_otherwise(self) -> str:
        """Say that the camera publishes another type, and what would be right; else ''."""
        for topic in self._topics:
            if said := published_otherwise(self._node, topic, self._kind):
                is_other = publishers_of(self._node, topic, self._other_kind)
                cure = f'set image_transport to {self._other_transport} or ' if is_other else ''
                return f'{said}: {cure}remap image'
        beside = image_topic(self.topic, self._other_transport)
        if beside != self.topic and publishers_of(self._node, beside, self._other_kind):
            return (f'nobody publishes {self.topic}, but {beside} is published: set '
                    f'image_transport to {self._other_transport} or remap image')
        return ''

    def others(self) -> list[str]:
        """Name some topics that are published as the same type and are no tracker's."""
        topics = self._node.get_topic_names_and_types()
        trackers = tuple(topic.removesuffix('objects') for topic, kinds in topics
                         if type_name(TrackedObjects) in kinds)
        return sorted(
            topic for topic, kinds in topics
            if type_name(self._kind) in kinds and topic != self.topic
            and not topic.startswith(trackers) and publishers_of(self._node, topic, self._kind)
        )[:MAX_NAMED]

    def _subscribe(self) -> Subscription:
        policy = self._config.frame_policy
        qos = image_qos(policy, self._reliability)
        word = 'reliable' if self._reliability == RELIABLE else 'best effort'
        self._node.get_logger().info(f'subscribing to {self.topic} ({word}, depth {qos.depth})')
        if self._reliability == BEST_EFFORT and policy is FramePolicy.EVERY:
            self._node.get_logger().warning(
                f'{self.topic} is subscribed to best effort: frames can be lost, which '
                'frame_policy every is meant to avoid; publish it reliably')
        return subscribed(
            self._node, self._kind, self.topic, self._on_image, qos,
            message_lost=self.on_message_lost, incompatible_qos=self.on_incompatible_qos)

    def on_message_lost(self, event: Any) -> None:
        """Count what the middleware lost."""
        self.lost_messages += event.total_count_change
        if self._config.frame_policy is FramePolicy.EVERY:
            self._node.get_logger().error(
                f'{event.total_count_change} images of {self.topic} were lost on the way, '
                f'{self.lost_messages} so far')

    def on_incompatible_qos(self, _: Any) -> None:
        """Say that a publisher is not heard; under `auto` the next review mends it."""
        if self._config.reliability == 'reliable':
            self._node.get_logger().warning(
                f'a publisher of {self.topic} is best effort: none of its images will come while '
                'image_reliability is reliable; auto or best_effort is right for it')


def fitting_reliability(asked: str, offered: Sequence[ReliabilityPolicy]) -> ReliabilityPolicy:
    """
    Return the reliability to subscribe with.

    :param asked: auto, reliable or best_effort
    :param offered: what the publishers found offer
    """
    if asked == 'auto':
        return RELIABLE if all(policy == RELIABLE for policy in offered) else BEST_EFFORT
    return RELIABLE if asked == 'reliable' else BEST_EFFORT
