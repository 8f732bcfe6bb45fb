# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Clicked points: one positive point is one new object."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import PointStamped
import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.types import FrameHeader, Prompt, TrackedFrame
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.requests import Ticket
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.ros.messages import stamp_from_msg


class ClickedPoints:
    """
    Turns ~/clicked_point into prompts.

    :param worker: returns the worker, or raises NotReadyError
    :param newest: header and look-up stamp of the newest image, None before the first
    """

    def __init__(self, node: Node, worker: Callable[[], Worker],
                 newest: Callable[[], tuple[FrameHeader, int] | None]) -> None:
        self._node = node
        self._logger = node.get_logger()
        self._worker = worker
        self._newest = newest
        self._warned: set[str] = set()
        self._subscription = node.create_subscription(
            PointStamped, '~/clicked_point', self.on_click, 10,
            callback_group=MutuallyExclusiveCallbackGroup())

    def close(self) -> None:
        """Take no more clicks."""
        self._node.destroy_subscription(self._subscription)

    def on_click(self, msg: PointStamped) -> None:
        """Prompt a new object where the operator clicked."""
        newest = self._newest()
        frame_id = newest[0].frame_id if newest else None
        if msg.header.frame_id and msg.header.frame_id != frame_id:
            self._warn_once(msg.header.frame_id, frame_id)
            return
        stamp_ns = stamp_from_msg(msg.header.stamp)
        if newest and stamp_ns > newest[1]:
            stamp_ns = 0
        try:
            ticket = self._worker().add_prompts(_click_request(msg, stamp_ns))
        except TrackerError as error:
            self._logger.warning(f'clicked point refused: {error}')
        else:
            ticket.add_done_callback(self._log_outcome)

    def _warn_once(self, frame_id: str, image_frame_id: str | None) -> None:
        if frame_id in self._warned:
            return
        self._warned.add(frame_id)
        known = 'no image has come yet' if image_frame_id is None else (
            f"the image's is {image_frame_id!r}")
        self._logger.warning(
            f'clicked point refused: its frame_id is {frame_id!r} and {known}; pixels of the '
            "image are accepted, with the image's frame_id or none (RViz2's points are metres)")

    def _log_outcome(self, ticket: Ticket[TrackedFrame]) -> None:
        try:
            clicked = ticket.result().objects[0]
        except TrackerError as error:
            self._logger.warning(f'clicked point refused: {error}')
        else:
            self._logger.info(f'clicked point: new object {clicked.id}')


def _click_request(msg: PointStamped, stamp_ns: int) -> PromptRequest:
    with np.errstate(over='ignore'):
        point = np.array([[msg.point.x, msg.point.y]], np.float64).astype(np.float32)
    prompt = Prompt(points_xy=point, point_labels=np.ones(1, np.int32))
    return PromptRequest(prompts=(prompt,), stamp_ns=stamp_ns)
