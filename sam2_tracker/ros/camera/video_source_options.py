# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What video_source can be told."""

from __future__ import annotations

import argparse

from sam2_tracker.core.settings import ParameterSpec, Value, When
from sam2_tracker.ros.executable import parser_of


class PathSpec(ParameterSpec):
    """A text that may be given as a number: ``-p path:=0`` is a webcam."""

    def check(self, value: object) -> Value:
        """Return the value as text; see `ParameterSpec`."""
        return super().check(str(value) if type(value) is int else value)


SPECS = (
    PathSpec(
        'path',
        '',
        When.FIXED,
        "A video file, a folder of JPEGs or PNGs, or a webcam's number.",
        pattern=r'.+',
        pattern_help='a video file, a folder or a number',
        is_path=True,
    ),
    ParameterSpec(
        'rate',
        0.0,
        When.FIXED,
        "Frames a second; 0 for the file's own, 30 for a folder, or all that a webcam delivers.",
        0.0,
        1000.0,
    ),
    ParameterSpec('loop', False, When.FIXED, 'Begin again at the end; stamps go on.'),
    ParameterSpec('first_frame', 0, When.FIXED, 'Number of the first frame to play.', 0, 2**31),
    ParameterSpec(
        'last_frame', -1, When.FIXED, 'Number of the last frame to play; -1 for all.', -1, 2**31
    ),
    ParameterSpec(
        'image_transport',
        'raw',
        When.FIXED,
        'raw publishes Image on image, compressed '
        'publishes CompressedImage on image/compressed; JPEGs of a folder go out as '
        'they are.',
        choices=('raw', 'compressed'),
    ),
    ParameterSpec('frame_id', 'camera', When.FIXED, "The headers' coordinate frame."),
    ParameterSpec(
        'reliability',
        'reliable',
        When.FIXED,
        'Reliability offered to subscribers.',
        choices=('reliable', 'best_effort'),
    ),
    ParameterSpec(
        'hold_first',
        False,
        When.FIXED,
        'Publish the first frame when somebody subscribes, and the rest when ~/play is called: '
        'time to prompt on it.',
    ),
    ParameterSpec('wait_for_subscriber', False, When.FIXED, 'Play only when somebody subscribes.'),
)

EXAMPLES = """\
examples:
  ros2 run sam2_tracker video_source --ros-args -p path:=clip.mp4 -p loop:=true
  ros2 run sam2_tracker video_source --ros-args -p path:=0 -r image:=/camera/image
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser of `--help`."""
    return parser_of(
        'video_source',
        'Publish a video file, a folder of pictures or a webcam as a camera topic.',
        '-p path:=PATH',
        EXAMPLES,
        SPECS,
    )
