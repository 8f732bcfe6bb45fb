# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What the demo shows: a man walks past a parked bicycle, hides its bag and leaves the picture.

Frames are numbered from the clip's first. Everything here was read off the frames by eye.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from sam2_tracker.core.types import Box, Prompt

# The rest of bikes.mp4 is a montage of other shots.
FIRST_FRAME, LAST_FRAME = 187, 241
FRAME_COUNT = LAST_FRAME - FIRST_FRAME + 1
VIDEO_RATE_HZ = 25.0
FRAME_HW = (272, 640)

Outline = tuple[tuple[int, int], ...]

# Pixels, drawn around the objects by hand: the bollard on frame 0, the man on frame 1.
BOLLARD: tuple[Outline, ...] = (
    (
        (256, 140),
        (250, 129),
        (250, 117),
        (256, 106),
        (266, 99),
        (276, 97),
        (287, 100),
        (297, 107),
        (302, 117),
        (302, 129),
        (297, 139),
        (301, 153),
        (311, 153),
        (311, 163),
        (305, 163),
        (305, 271),
        (251, 271),
        (250, 163),
        (243, 163),
        (243, 153),
        (251, 153),
    ),
)
MAN: tuple[Outline, ...] = (
    (
        (52, 0),
        (45, 20),
        (60, 38),
        (68, 28),
        (70, 10),
        (100, 0),
        (102, 30),
        (105, 48),
        (130, 54),
        (138, 48),
        (142, 75),
        (130, 110),
        (105, 150),
        (97, 180),
        (96, 200),
        (108, 215),
        (130, 220),
        (135, 215),
        (122, 200),
        (125, 185),
        (138, 160),
        (150, 130),
        (165, 125),
        (178, 160),
        (200, 195),
        (205, 215),
        (210, 238),
        (240, 243),
        (248, 240),
        (245, 220),
        (238, 205),
        (228, 180),
        (212, 140),
        (200, 95),
        (192, 68),
        (205, 70),
        (207, 40),
        (210, 0),
    ),
    ((232, 0), (235, 15), (248, 30), (255, 20), (250, 0)),
)


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


FRAME_HW = (272, 640)

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
    # While the first frame is held: the two things that stand still, by their outlines.
    Step(0, 0, (outlined('bag', BAG_OUTLINE), outlined('bollard', BOLLARD_OUTLINE))),
    # Late: the man, by a box on a frame that has passed; the tracker catches up with the stream.
    Step(6, 0, (boxed('man', 33, 0, 238, 234),)),
    # Once the man has left: the wheel behind the bag is not the bag.
    Step(30, 30, (clicked('bag', positive=(310, 95), negative=(340, 150)),)),
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
