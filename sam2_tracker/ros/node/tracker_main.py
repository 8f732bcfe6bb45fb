# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executables `tracker` and `trackers`: start their nodes and stop them cleanly.

Apart: import, it hears a stop before ROS is imported, which takes seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from sam2_tracker.core.command_line import USAGE_EXIT_CODE
from sam2_tracker.core.errors import one_line
from sam2_tracker.ros.stop_request import StopRequest

DESCRIPTION = """\
Track the objects that you point at in a camera stream, with SAM 2.

Example:
  ros2 run sam2_tracker tracker --ros-args -r image:=/camera/image_raw -p frame_policy:=latest
then prompt it, here with one click on a new object in the newest frame:
  ros2 service call /sam2_tracker/add_prompts sam2_tracker_msgs/srv/AddPrompts \\
    "{prompts: [{points: [{x: 320, y: 240}], point_labels: [1]}]}"

Parameters: ros2 param list /sam2_tracker, or config/tracker.yaml with every one explained.
"""
SEVERAL = """\
Track the objects that you point at in the streams of several cameras, with one SAM 2 for all.

Example:
  ros2 run sam2_tracker trackers --ros-args -p cameras:="[front, left, rear]" \\
    -r /front/image:=/front_camera/image_raw -r /left/image:=/left_camera/image_raw
Each camera has a node of its own, as /front/sam2_tracker, with all that `tracker` has; the
parameters of the model are those of the node /trackers.

Parameters: ros2 param list /trackers, and of a camera ros2 param list /front/sam2_tracker.
"""
MISSING_MESSAGES = (
    '{name}: the package sam2_tracker_msgs cannot be imported ({error}): colcon does not find it '
    'inside another package by itself, so put it beside this one with `ln -s '
    'sam2_tracker/sam2_tracker_msgs src/sam2_tracker_msgs`, run `colcon build` and source '
    'install/setup.bash')


def missing_messages(name: str) -> str:
    """Say how to get the messages if they are missing, else return an empty text."""
    try:
        # A folder of that name imports as an empty package: ask for what is in it.
        from sam2_tracker_msgs.srv import AddPrompts  # noqa: F401
    except ImportError as error:
        return MISSING_MESSAGES.format(name=name, error=error)
    return ''


def parse(arguments: Sequence[str], name: str, description: str) -> None:
    """Answer --help and refuse what is wrong; may exit."""
    from rclpy.utilities import remove_ros_args

    parser = argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    try:
        others = remove_ros_args([name, *arguments])[1:]
    except RuntimeError as error:
        parser.exit(USAGE_EXIT_CODE, f'{name}: {one_line(error)}\n')
    parser.parse_args(others)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the tracker until it is asked to stop.

    :returns: 0 after a clean stop, 1 where the messages are missing, 2 for a bad parameter
    """
    return _main('tracker', DESCRIPTION, arguments)


def main_cameras(arguments: Sequence[str] | None = None) -> int:
    """Run trackers of several cameras on one model; returns what `main` does."""
    return _main('trackers', SEVERAL, arguments)


def _main(name: str, description: str, arguments: Sequence[str] | None) -> int:
    stop = StopRequest()
    arguments = sys.argv[1:] if arguments is None else arguments
    parse(arguments, name, description)
    problem = missing_messages(name)
    if problem:
        sys.stderr.write(f'{problem}\n')
        return 1
    from sam2_tracker.ros.node.tracker_process import run, run_cameras

    return (run_cameras if name == 'trackers' else run)(arguments, stop)


if __name__ == '__main__':
    sys.exit(main())
