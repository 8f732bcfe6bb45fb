# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Asking a tracker from outside whether it is active."""

from __future__ import annotations

import time

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.client import Client
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sam2_tracker.ros.stop_request import StopRequest

ASK_INTERVAL_S = 0.3
ANSWER_TIMEOUT_S = 2.0


def is_active(node: Node, client: Client) -> bool:
    """Ask once for the lifecycle state; no answer in time counts as not active."""
    if not client.wait_for_service(timeout_sec=ASK_INTERVAL_S):
        return False
    future = client.call_async(GetState.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_TIMEOUT_S)
    if not future.done():
        client.remove_pending_request(future)
        return False
    return future.result().current_state.id == State.PRIMARY_STATE_ACTIVE


def wait_until_active(timeout_s: float, stop: StopRequest) -> bool:
    """
    Ask until the tracker is active or this process is asked to stop.

    :param timeout_s: how long at most, 0 for as long as it takes
    :returns: whether it became active
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node('wait_until_active')
        client = node.create_client(GetState, 'sam2_tracker/get_state')
        end_s = time.monotonic() + timeout_s
        while not is_active(node, client):
            if timeout_s and time.monotonic() >= end_s:
                return False
            if stop.wait(ASK_INTERVAL_S):
                return False
        return True
    finally:
        rclpy.try_shutdown()
