# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Wait until a tracker is active: what comes before playing a bag into it."""

from __future__ import annotations

import argparse
import sys
import time

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

ASK_INTERVAL_S = 0.3
ANSWER_TIMEOUT_S = 2.0

DESCRIPTION = 'Wait until the tracker is active, then exit with status 0; 1 after --timeout.'
EXAMPLE = 'Example: ros2 run sam2_tracker wait_until_active --timeout 60 && ros2 bag play my_bag'


def is_active(node: Node, client: rclpy.client.Client) -> bool:
    """Ask once for the lifecycle state; no answer in time counts as not active."""
    if not client.wait_for_service(timeout_sec=ASK_INTERVAL_S):
        return False
    future = client.call_async(GetState.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_TIMEOUT_S)
    if not future.done():
        client.remove_pending_request(future)
        return False
    return future.result().current_state.id == State.PRIMARY_STATE_ACTIVE


def wait_until_active(node: Node, timeout_s: float) -> bool:
    """
    Ask until the tracker is active.

    :param timeout_s: how long at most, 0 for as long as it takes
    :return: whether it became active
    """
    client = node.create_client(GetState, 'sam2_tracker/get_state')
    end_s = time.monotonic() + timeout_s
    while not is_active(node, client):
        if timeout_s and time.monotonic() >= end_s:
            return False
        time.sleep(ASK_INTERVAL_S)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=DESCRIPTION, epilog=EXAMPLE)
    parser.add_argument('--timeout', type=float, default=0.0, metavar='SECONDS')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    rclpy.init()
    try:
        node = rclpy.create_node('wait_until_active')
        active = wait_until_active(node, arguments.timeout)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        rclpy.try_shutdown()
    if not active:
        parser.exit(1, f'The tracker is not active after {arguments.timeout:g} s.\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
