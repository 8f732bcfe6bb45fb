# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `console`: a page for browsers, to point at things in the camera's pictures.

Apart: import, it hears a stop before ROS is imported, which takes seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from sam2_tracker.ros.stop_request import StopRequest
from sam2_tracker.web.settings import CONSOLE_SPECS

HELP = """\
examples:
  ros2 run sam2_tracker console
  ros2 run sam2_tracker console --ros-args -p tracker:=/robot/sam2_tracker -p port:=8091
then open the address that it prints in a browser.

parameters (-p NAME:=VALUE):
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser of `--help`; parameters themselves come as ROS arguments."""
    width = max(len(spec.name) for spec in CONSOLE_SPECS)
    rows = '\n'.join(
        f'  {spec.name:{width}}  {spec.description} '
        f'Default: {str(spec.default).lower() or "none"}.'
        for spec in CONSOLE_SPECS)
    return argparse.ArgumentParser(
        prog='console', epilog=HELP + rows, usage='%(prog)s [-h] --ros-args -p NAME:=VALUE',
        description="Serve the prompt console: a page with the tracker's pictures and masks.",
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
    from sam2_tracker.ros.client.console_process import run

    try:
        run(arguments, stop)
    except ConfigError as error:
        sys.stderr.write(f'console: {error}\n')
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
