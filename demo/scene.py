# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What the demo shows: a man walks past a parked bicycle, hides its bag and leaves the picture.

Frames are numbered from the clip's first. Everything here was read off the frames by eye.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from sam2_tracker.core.types import Box, MaskRules, Prompt

# The rest of bikes.mp4 is a montage of other shots.
FIRST_FRAME, LAST_FRAME = 187, 241
FRAME_COUNT = LAST_FRAME - FIRST_FRAME + 1
VIDEO_RATE_HZ = 25.0
FRAME_HW = (272, 640)
# nano's masks have specks, which blow boxes up, and pinholes.
MASK_RULES = MaskRules(fill_hole_area=300, min_island_area=300)


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


BAG_OUTLINE = (
    (312, 55), (362, 64), (362, 84), (352, 116), (340, 124), (328, 138), (303, 131), (303, 116),
    (297, 100), (296, 77),
)  # fmt: skip
BOLLARD_OUTLINE = (
    (278, 98), (292, 101), (302, 112), (304, 126), (298, 142), (294, 148), (312, 153), (313, 160),
    (306, 163), (306, 272), (253, 272), (252, 164), (243, 160), (245, 154), (260, 149), (252, 138),
    (250, 122), (255, 108), (266, 100),
)  # fmt: skip


def outlined(label: str, outline: Sequence[tuple[int, int]]) -> Prompt:
    """Prompt with the mask inside a hand-drawn outline."""
    mask = np.zeros(FRAME_HW, np.uint8)
    cv2.fillPoly(mask, [np.array(outline, np.int32)], 1)
    return Prompt(label=label, mask_hw=mask.astype(bool))


def boxed(label: str, left: int, top: int, right: int, bottom: int) -> Prompt:
    """Prompt with a box."""
    return Prompt(label=label, box_xyxy=np.array([left, top, right, bottom], np.float32))


def clicked(label: str, positive: tuple[int, int], negative: tuple[int, int]) -> Prompt:
    """Prompt with a point on the object and one that is not."""
    return Prompt(
        label=label,
        points_xy=np.array([positive, negative], np.float32),
        point_labels=np.array([1, 0], np.int32),
    )


STEPS = (
    # While the first frame is held: the two things that stand still by their outlines, the man
    # by a box.
    Step(
        0,
        0,
        (
            outlined('bag', BAG_OUTLINE),
            outlined('bollard', BOLLARD_OUTLINE),
            boxed('man', 33, 0, 239, 232),
        ),
    ),
    # Late, on a frame that has passed: the bollard's foot is part of it, the pavement not. The
    # tracker catches up with the stream.
    Step(22, 18, (clicked('bollard', positive=(233, 231), negative=(300, 268)),)),
)

#: Boxes drawn by hand around what is visible of each object: of the man every fourth frame
#: until he has left, of the other two every eighth. Where the man hides most of the bag it is
#: what looks out on his right.
HAND_BOXES: Mapping[int, Mapping[str, Box]] = {
    0: {
        'bag': Box(295, 54, 69, 84),
        'bollard': Box(243, 98, 70, 174),
        'man': Box(33, 0, 206, 232),
    },
    4: {'man': Box(90, 0, 202, 252)},
    8: {
        'bag': Box(325, 54, 34, 82),
        'bollard': Box(232, 98, 72, 174),
        'man': Box(204, 0, 144, 251),
    },
    12: {'man': Box(208, 0, 298, 266)},
    16: {
        'bag': Box(284, 53, 69, 86),
        'bollard': Box(221, 98, 71, 174),
        'man': Box(319, 0, 200, 272),
    },
    20: {'man': Box(426, 0, 214, 272)},
    24: {
        'bag': Box(280, 53, 67, 86),
        'bollard': Box(210, 98, 70, 174),
        'man': Box(454, 0, 186, 272),
    },
    32: {'bag': Box(275, 53, 66, 86), 'bollard': Box(199, 98, 70, 174)},
    40: {'bag': Box(269, 53, 68, 86), 'bollard': Box(185, 98, 72, 174)},
    48: {'bag': Box(264, 53, 67, 86), 'bollard': Box(174, 98, 71, 174)},
}

#: The frames on which anything is seen of each object.
IN_PICTURE: Mapping[str, Container[int]] = {
    'bag': range(FRAME_COUNT),
    'bollard': range(FRAME_COUNT),
    # On the last of them it is a blur at the edge.
    'man': range(28),
}


def box_iou(first: Box, second: Box) -> float:
    """Compute intersection over union of two boxes."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    common = max(0, width) * max(0, height)
    return common / (first.width * first.height + second.width * second.height - common)
