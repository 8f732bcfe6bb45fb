# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `prompt`: point at things, and ask for what is tracked, from a shell.

Apart: import, it answers `--help` and wrong options before ROS is imported, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
import sys

from sam2_tracker.core.errors import PromptError
from sam2_tracker.ros.client.prompt_options import make_parser, split_arguments, wish_of
from sam2_tracker.ros.stop_request import StopRequest


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the executable.

    :returns: an `ExitCode`
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = make_parser()
    own, ros = split_arguments(given)
    options = parser.parse_args(own)
    try:
        wish = wish_of(options)
    except PromptError as error:
        parser.error(str(error))
    stop = StopRequest()
    from sam2_tracker.ros.client.prompt_process import run

    return int(run(wish, ros, stop))


if __name__ == '__main__':
    sys.exit(main())
