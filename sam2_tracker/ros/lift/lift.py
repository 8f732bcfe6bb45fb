# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `lift`: tracked objects in space, by a depth camera.

Apart: import, it hears a stop before ROS is imported, which takes seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from sam2_tracker.core.lifting.objects import LIFT_SPECS
from sam2_tracker.ros.stop_request import StopRequest

HELP = """\
example:
  ros2 run sam2_tracker lift --ros-args -r depth:=/camera/aligned_depth_to_color/image_raw \\
    -r camera_info:=/camera/aligned_depth_to_color/camera_info
publishes ~/detections (vision_msgs/Detection3DArray) and ~/points (sensor_msgs/PointCloud2).

parameters (-p NAME:=VALUE):
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser of `--help`; parameters themselves come as ROS arguments."""
    width = max(len(spec.name) for spec in LIFT_SPECS)
    rows = '\n'.join(
        f'  {spec.name:{width}}  {spec.description} Default: {str(spec.default).lower()}.'
        for spec in LIFT_SPECS)
    return argparse.ArgumentParser(
        prog='lift', epilog=HELP + rows, usage='%(prog)s [-h] --ros-args -r depth:=TOPIC ...',
        description='Say where the tracked objects are in space, by a depth camera.',
        formatter_class=argparse.RawDescriptionHelpFormatter)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the executable until it is asked to stop.

    :returns: 0 after a clean stop, 2 for a parameter that is not accepted
    """
    stop = StopRequest()
    arguments = list(sys.argv if arguments is None else arguments)
    parser().parse_known_args(arguments[1:])
    from sam2_tracker.core.errors import ConfigError
    from sam2_tracker.ros.lift.lift_node import run

    try:
        run(arguments, stop)
    except ConfigError as error:
        sys.stderr.write(f'lift: {error}\n')
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
