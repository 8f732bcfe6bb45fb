# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The annotated stream, raw and compressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import cv2
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sam2_tracker.core.types import TrackedFrame
from sam2_tracker.ros.messages import image_to_msg, jpeg_to_msg
from sam2_tracker.ros.parameters import AnnotateConfig
from sam2_tracker.ros.qos import OUTPUT

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
        from sam2_tracker.render.overlay import Overlay, OverlayConfig

        config = self._config()
        if self._overlay is None:
            self._overlay = Overlay(OverlayConfig(**asdict(config)))
        elif config != self._drawn_with:
            self._overlay.configure(OverlayConfig(**asdict(config)))
        self._drawn_with = config
        return self._overlay
