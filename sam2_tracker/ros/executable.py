# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What executables have in common whose settings are ROS parameters: help, and running until a stop.

Imports no ROS: a stop is heard before the seconds that this takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import sys

from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import ParameterSpec
from sam2_tracker.ros.stop_request import StopRequest

Run = Callable[[Sequence[str], StopRequest], None]


def parser_of(name: str, description: str, usage: str, examples: str,
              specs: Sequence[ParameterSpec]) -> argparse.ArgumentParser:
    """Build the parser of `--help`; parameters themselves come as ROS arguments."""
    width = max(len(spec.name) for spec in specs)
    rows = '\n'.join(
        f'  {spec.name:{width}}  {spec.description} '
        f'Default: {str(spec.default).lower() or "none"}.'
        for spec in specs)
    return argparse.ArgumentParser(
        prog=name, usage=f'%(prog)s [-h] --ros-args {usage}', description=description,
        epilog=f'{examples}\nparameters (-p NAME:=VALUE):\n{rows}',
        formatter_class=argparse.RawDescriptionHelpFormatter)


def run_until_stopped(parser: argparse.ArgumentParser, load: Callable[[], Run],
                      arguments: Sequence[str] | None) -> int:
    """
    Run an executable until it is asked to stop.

    :param load: imports what runs it, and with that ROS
    :param arguments: with the program first, None for those of this process
    :returns: 0 after a clean stop, 2 for a parameter that is not accepted
    """
    stop = StopRequest()
    arguments = list(sys.argv if arguments is None else arguments)
    parser.parse_known_args(arguments[1:])
    run = load()
    try:
        run(arguments, stop)
    except ConfigError as error:
        sys.stderr.write(f'{parser.prog}: {error}\n')
        return 2
    return 0
