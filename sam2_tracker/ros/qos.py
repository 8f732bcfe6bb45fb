# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service of every topic."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

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
    'EVERY_DEPTH', 'image_qos', 'LATCHED', 'LATEST_DEPTH', 'OUTPUT', 'SERVICE',
    'SubscriptionEventCallbacks', 'UnsupportedEventTypeError', 'without_event_callbacks']

LATEST_DEPTH = 2
EVERY_DEPTH = 1000

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

# With the usual depth of 10 a burst of calls would lose some without a word.
SERVICE = QoSProfile(
    depth=100,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE)


def image_qos(policy: FramePolicy, reliability: ReliabilityPolicy) -> QoSProfile:
    """Return the image subscription's profile: short when live, long when nothing may be lost."""
    return QoSProfile(
        depth=EVERY_DEPTH if policy is FramePolicy.EVERY else LATEST_DEPTH,
        history=HistoryPolicy.KEEP_LAST,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE)


def without_event_callbacks() -> PublisherEventCallbacks:
    """
    Return callbacks for none of a publisher's events.

    Its events would be waited for by the executor, which fails if the publisher is gone by then.
    """
    return PublisherEventCallbacks(use_default_callbacks=False)
