# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `wait_until_active`: what comes before playing a bag into a tracker."""

from __future__ import annotations

import argparse
import sys

from sam2_tracker.ros.stop_request import StopRequest

DESCRIPTION = 'Wait until the tracker is active, then exit with status 0; 1 after --timeout.'
EXAMPLE = 'Example: ros2 run sam2_tracker wait_until_active --timeout 60 && ros2 bag play my_bag'
# As a shell says of what SIGINT ended.
INTERRUPTED_EXIT_CODE = 130


def main() -> int:
    """
    Run the executable.

    :returns: 0 when the tracker is active, 1 after the timeout, 130 when stopped by a signal
    """
    # Before the seconds that importing ROS takes.
    stop = StopRequest()
    from rclpy.utilities import remove_ros_args

    parser = argparse.ArgumentParser(description=DESCRIPTION, epilog=EXAMPLE)
    parser.add_argument('--timeout', type=float, default=0.0, metavar='SECONDS')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    from sam2_tracker.ros.client.activity import wait_until_active

    if wait_until_active(arguments.timeout, stop):
        return 0
    if stop.is_made():
        return INTERRUPTED_EXIT_CODE
    parser.exit(1, f'The tracker is not active after {arguments.timeout:g} s.\n')


if __name__ == '__main__':
    sys.exit(main())
