# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What both ends of a topic agree on: the name for a transport, type, quality of service, arrival.

Every room may use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sam2_tracker.core.config import FramePolicy

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

__all__ = [
    'has_arrived', 'image_qos', 'image_topic', 'LATCHED', 'OUTPUT', 'published_otherwise',
    'publishers_of', 'reliability_offered', 'SERVICE', 'subscribed', 'type_name',
    'without_event_callbacks']

_LATEST_DEPTH = 2
_EVERY_DEPTH = 1000
_NO_TIME = Duration(seconds=0)

LATCHED = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL)

OUTPUT = QoSProfile(
    depth=5,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE)

# With the usual depth of 10 a burst of calls would lose some without a word. A reply is kept by
# the caller's own depth, too.
SERVICE = QoSProfile(
    depth=1000,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE)


def image_topic(resolved: str, transport: str) -> str:
    """Return the topic of a transport: /compressed is appended unless the name ends so."""
    if transport == 'compressed' and not resolved.endswith('/compressed'):
        return f'{resolved}/compressed'
    return resolved


def image_qos(policy: FramePolicy, reliability: ReliabilityPolicy) -> QoSProfile:
    """Return the image subscription's profile: short when live, long when nothing may be lost."""
    return QoSProfile(
        depth=_EVERY_DEPTH if policy is FramePolicy.EVERY else _LATEST_DEPTH,
        history=HistoryPolicy.KEEP_LAST,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE)


def type_name(kind: type) -> str:
    """Return a message type's name, as in sensor_msgs/msg/Image."""
    return f'{kind.__module__.partition(".")[0]}/msg/{kind.__name__}'


def publishers_of(node: Node, topic: str, kind: type) -> list[TopicEndpointInfo]:
    """Return who publishes a topic as this type: no others are heard by who subscribes to it."""
    return [found for found in node.get_publishers_info_by_topic(topic)
            if found.topic_type == type_name(kind)]


def published_otherwise(node: Node, topic: str, kind: type) -> str:
    """Say that a topic is published as other types than this, '' if it is not."""
    others = sorted({found.topic_type for found in node.get_publishers_info_by_topic(topic)
                     } - {type_name(kind)})
    return f'{topic} is published as {", ".join(others)}, not {type_name(kind)}' if others else ''


def reliability_offered(node: Node, topic: str, kind: type) -> ReliabilityPolicy:
    """Return how all publishers of a topic are heard: reliably, if each one found is reliable."""
    is_reliable = all(found.qos_profile.reliability == ReliabilityPolicy.RELIABLE
                      for found in publishers_of(node, topic, kind))
    return ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT


def subscribed(node: Node, kind: type, topic: str, callback: Callable[[Any], None],
               qos: QoSProfile | int, **on_events: Callable[[Any], None]) -> Subscription:
    """
    Subscribe, and hear of what the middleware tells of it, where it does.

    :param on_events: as of `SubscriptionEventCallbacks`, by name: message_lost, incompatible_qos
    """
    def create(events: SubscriptionEventCallbacks | None) -> Subscription:
        # A group of its own: rclpy leaves that of an event occupied whose subscription has gone.
        return node.create_subscription(
            kind, topic, callback, qos, callback_group=MutuallyExclusiveCallbackGroup(),
            event_callbacks=events)

    try:
        return create(SubscriptionEventCallbacks(**on_events))
    except UnsupportedEventTypeError:
        return create(None)


def without_event_callbacks() -> PublisherEventCallbacks:
    """
    Return callbacks for none of a publisher's events.

    Its events would be waited for by the executor, which fails if the publisher is gone by then.
    """
    return PublisherEventCallbacks(use_default_callbacks=False)


def has_arrived(publisher: Publisher) -> bool:
    """
    Tell whether all reliable subscribers have everything.

    Never waits: rclpy holds the interpreter while it waits, so that no thread of the process
    could go on meanwhile.
    """
    return bool(publisher.wait_for_all_acked(_NO_TIME))
