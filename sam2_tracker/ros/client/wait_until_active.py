# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `wait_until_active`: what comes before playing a bag into a tracker.

ROS takes seconds to import: that is done late, so that a stop is heard at once.

Apart: process, it is an executable of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from sam2_tracker.ros.stop_request import StopRequest

if TYPE_CHECKING:
    from rclpy.client import Client
    from rclpy.node import Node

DESCRIPTION = 'Wait until the tracker is active, then exit with status 0; 1 after --timeout.'
EXAMPLE = 'Example: ros2 run sam2_tracker wait_until_active --timeout 60 && ros2 bag play my_bag'
# As a shell says of what SIGINT ended.
INTERRUPTED_EXIT_CODE = 130
ACTIVE = 'active'
ASK_INTERVAL_S = 0.3
ANSWER_TIMEOUT_S = 2.0


def main() -> int:
    """
    Run the executable.

    :returns: 0 when the tracker is active, 1 after the timeout, 130 when stopped by a signal
    """
    stop = StopRequest()
    from rclpy.utilities import remove_ros_args

    parser = argparse.ArgumentParser(description=DESCRIPTION, epilog=EXAMPLE)
    parser.add_argument('--timeout', type=float, default=0.0, metavar='SECONDS')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    problem = wait_until_active(arguments.timeout, stop)
    if not problem:
        return 0
    if stop.is_made():
        return INTERRUPTED_EXIT_CODE
    parser.exit(1, f'{problem} after {arguments.timeout:g} s.\n')


def wait_until_active(timeout_s: float, stop: StopRequest) -> str:
    """
    Ask until the tracker is active or this process is asked to stop.

    :param timeout_s: how long at most, 0 for as long as it takes
    :returns: what is wrong, with the node's name; '' if it became active
    """
    from lifecycle_msgs.srv import GetState
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = rclpy.create_node('wait_until_active')
        name = node.resolve_service_name('sam2_tracker/get_state').removesuffix('/get_state')
        client = node.create_client(GetState, 'sam2_tracker/get_state')
        # Not in the log: that is where what goes wrong is.
        sys.stdout.write(f'waiting until {name} is active\n')
        sys.stdout.flush()
        end_s = time.monotonic() + timeout_s
        while (state := _state(node, client)) != ACTIVE:
            if (timeout_s and time.monotonic() >= end_s) or stop.wait(ASK_INTERVAL_S):
                return f'{name} is {state}' if state else f'There is no node {name} that answers'
        return ''
    finally:
        rclpy.try_shutdown()


def _state(node: Node, client: Client) -> str:
    """Ask once for the lifecycle state; '' if no answer comes in time."""
    from lifecycle_msgs.srv import GetState
    import rclpy

    if not client.wait_for_service(timeout_sec=ASK_INTERVAL_S):
        return ''
    future = client.call_async(GetState.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_TIMEOUT_S)
    if not future.done():
        client.remove_pending_request(future)
        return ''
    return str(future.result().current_state.label)


if __name__ == '__main__':
    sys.exit(main())
