# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `lift`: tracked objects in space, by a depth camera.

Apart: import, it hears a stop before ROS is imported, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
import sys

from sam2_tracker.core.lifting.objects import LIFT_SPECS
from sam2_tracker.ros.executable import parser_of, Run, run_until_stopped

EXAMPLE = """\
example:
  ros2 run sam2_tracker lift --ros-args -r depth:=/camera/aligned_depth_to_color/image_raw \\
    -r camera_info:=/camera/aligned_depth_to_color/camera_info
publishes ~/detections (vision_msgs/Detection3DArray) and ~/points (sensor_msgs/PointCloud2).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the executable; see `run_until_stopped`."""
    parser = parser_of(
        'lift', 'Say where the tracked objects are in space, by a depth camera.',
        '-r depth:=TOPIC ...', EXAMPLE, LIFT_SPECS)
    return run_until_stopped(parser, _load, arguments)


def _load() -> Run:
    from sam2_tracker.ros.lift.lift_node import run

    return run


if __name__ == '__main__':
    sys.exit(main())
