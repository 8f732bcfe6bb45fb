# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What the demo shows: a man walks past a parked bicycle, hides its bag and leaves the picture.

Frames are numbered from the clip's first. Everything here was read off the frames by eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sam2_tracker.core.types import Box, Prompt

# The rest of bikes.mp4 is a montage of other shots.
FIRST_FRAME, LAST_FRAME = 187, 241
FRAME_COUNT = LAST_FRAME - FIRST_FRAME + 1
VIDEO_RATE_HZ = 25.0


@dataclass(frozen=True)
class Step:
    """
    One call of ~/add_prompts.

    :param after_frame: it is made when this frame's result has arrived
    :param on_frame: the frame that is prompted: its stamp is given
    :param prompts: those that refine name their object by its label
    """

    after_frame: int
    on_frame: int
    prompts: tuple[Prompt, ...]


def _prompt(
    label: str,
    box: tuple[int, int, int, int] | None = None,
    positive: tuple[tuple[int, int], ...] = (),
    negative: tuple[tuple[int, int], ...] = (),
) -> Prompt:
    return Prompt(
        label=label,
        points_xy=np.array([*positive, *negative], np.float32).reshape(-1, 2),
        point_labels=np.array([1] * len(positive) + [0] * len(negative), np.int32),
        box_xyxy=None if box is None else np.array(box, np.float32),
    )


STEPS = (
    # While the first frame is held: the two things that stand still.
    Step(
        0,
        0,
        (_prompt('bag', box=(293, 53, 366, 139)), _prompt('bollard', box=(242, 97, 314, 272))),
    ),
    # Late: the man, on a frame that has passed; the tracker catches up with the stream.
    Step(9, 1, (_prompt('man', box=(45, 0, 240, 234), positive=((165, 70), (130, 150))),)),
    # Once the man has left: the wheel behind the bag is not the bag.
    Step(30, 30, (_prompt('bag', positive=((310, 95),), negative=((352, 150),)),)),
)

#: Boxes drawn by hand around what is visible of each object, every 25 frames.
HAND_BOXES: Mapping[int, Mapping[str, Box]] = {
    0: {
        'bag': Box(295, 54, 69, 84),
        'bollard': Box(243, 98, 70, 174),
        'man': Box(33, 0, 205, 233),
    },
    25: {
        'bag': Box(280, 54, 70, 84),
        'bollard': Box(209, 98, 70, 174),
        'man': Box(482, 58, 158, 214),
    },
    50: {'bag': Box(263, 54, 70, 84), 'bollard': Box(172, 98, 69, 174)},
}


def box_iou(first: Box, second: Box) -> float:
    """Compute intersection over union of two boxes."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    common = max(0, width) * max(0, height)
    return common / (first.width * first.height + second.width * second.height - common)
