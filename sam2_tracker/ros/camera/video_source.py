# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `video_source`: a video, a folder of pictures or a webcam as a camera topic.

Apart: import, it hears a stop before ROS is imported, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
import sys

from sam2_tracker.core.errors import ConfigError, FrameError
from sam2_tracker.offline.errors import ExitCode
from sam2_tracker.ros.stop_request import StopRequest


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the executable.

    :returns: 0 at the end of the source or when stopped by a signal, 1 if it cannot be read, 2
        for a parameter that is not accepted, 6 at the end of a source with frames that could not
        be read, as `process` does
    """
    # Before the seconds that importing ROS takes.
    stop = StopRequest()
    from sam2_tracker.ros.camera.video_source_options import parser

    arguments = list(sys.argv if arguments is None else arguments)
    parser().parse_known_args(arguments[1:])
    from sam2_tracker.ros.camera.video_source_node import run

    try:
        damage = run(arguments, stop)
    except (ConfigError, FrameError) as error:
        print(f'video_source: {error}', file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, ConfigError) else 1
    if damage:
        sentence = f'not every frame was published: {damage}'
        print(f'video_source: {sentence}', file=sys.stderr)  # noqa: T201
    return ExitCode.DAMAGED if damage else ExitCode.DONE


if __name__ == '__main__':
    sys.exit(main())
