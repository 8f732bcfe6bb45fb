# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The camera: subscribe with the right transport and reliability, hand images over."""

from __future__ import annotations

from collections.abc import Callable
import re
import time
from typing import Protocol

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.frames.stored_frame import Arrival, EncodedImage, Outcome, RawImage
from sam2_tracker.core.types import FrameHeader
from sam2_tracker.ros.inputs.image_input import ImageSubscription
from sam2_tracker.ros.message_conversion import header_from_msg
from sam2_tracker.ros.messages import image_from_msg, payload_from_msg
from sam2_tracker.ros.parameters import InputConfig

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
    """

    def __init__(self, node: Node, config: InputConfig, append: Append,
                 mono16_white: Callable[[], int]) -> None:
        self._node = node
        self._logger = node.get_logger()
        self._append = append
        self._mono16_white = mono16_white
        self._refused: set[str] = set()
        self._said_at_s: dict[str, float] = {}
        self._newest: tuple[FrameHeader, int] | None = None
        kind = CompressedImage if config.transport == 'compressed' else Image
        self._subscription = ImageSubscription(node, config, kind, self.on_image)

    @property
    def topic(self) -> str:
        """Name the topic subscribed to."""
        return self._subscription.topic

    @property
    def lost_messages(self) -> int:
        """Count the images that the middleware lost."""
        return self._subscription.lost_messages

    def newest(self) -> tuple[FrameHeader, int] | None:
        """Return header and look-up stamp of the newest image taken, None before the first."""
        return self._newest

    def close(self) -> None:
        """Unsubscribe."""
        self._subscription.close()

    def on_image(self, msg: Image | CompressedImage) -> None:
        """Convert an image and hand it over."""
        received_ns = time.monotonic_ns()
        arrival_stamp_ns = self._node.get_clock().now().nanoseconds or time.time_ns()
        try:
            header = header_from_msg(msg.header)
            image = self._converted(msg)
            arrival = self._append(image, header, received_ns, arrival_stamp_ns)
        except TrackerError as error:
            self._refuse_once(str(error))
            return
        if not header.stamp_ns:
            self._refuse_once('images have stamp 0: they are looked up by their receive time')
        self._report(arrival)

    def _converted(self, msg: Image | CompressedImage) -> RawImage | EncodedImage:
        if isinstance(msg, Image):
            return RawImage(image_from_msg(msg, self._mono16_white()))
        payload = payload_from_msg(msg)
        return EncodedImage(payload) if isinstance(payload, bytes) else RawImage(payload)

    def _report(self, arrival: Arrival) -> None:
        if arrival.stored is not None:
            self._newest = (arrival.stored.header, arrival.stored.stamp_ns)
        if arrival.trouble:
            self._logger.error(arrival.trouble)
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
