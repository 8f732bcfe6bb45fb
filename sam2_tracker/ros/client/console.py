# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `console`: a page for browsers, to point at things in the camera's pictures.

Apart: import, it hears a stop before ROS is imported, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
import sys

from sam2_tracker.ros.executable import parser_of, Run, run_until_stopped
from sam2_tracker.web.settings import CONSOLE_SPECS

EXAMPLES = """\
examples:
  ros2 run sam2_tracker console
  ros2 run sam2_tracker console --ros-args -p tracker:=/robot/sam2_tracker -p port:=8091
then open the address that it prints in a browser.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the executable; see `run_until_stopped`."""
    parser = parser_of(
        'console', "Serve the prompt console: a page with the tracker's pictures and masks.",
        '-p NAME:=VALUE', EXAMPLES, CONSOLE_SPECS)
    return run_until_stopped(parser, _load, arguments)


def _load() -> Run:
    from sam2_tracker.ros.client.console_process import run

    return run


if __name__ == '__main__':
    sys.exit(main())
