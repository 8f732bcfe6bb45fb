# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
`~/annotations`: outlines and labels that Foxglove and Lichtblick draw over the camera's picture.

Apart: import, foxglove_msgs need not be installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from sam2_tracker.core.result_topics import ResultTopic
from sam2_tracker.core.types import BoolArray, TrackedFrame, TrackedObject
from sam2_tracker.render.palette import colour_rgb
from sam2_tracker.ros.outputs.topics import MASKS, Output, TopicOutput
from std_msgs.msg import Header

try:
    import foxglove_msgs.msg as installed_foxglove_msgs
except ImportError:
    installed_foxglove_msgs = None

# Corners of outlines are left out as long as these stay within so many pixels.
TOLERANCE_PX = 1.0
LINE_PX = 2.0
FILL_ALPHA = 0.2
# A mask may have many specks: the largest parts say what it is.
MOST_OUTLINES = 50
# Of one object: each is a message of its own, and one that is torn has tens of thousands.
MOST_CORNERS = 2000
# Of the picture's height, and not less than can be read.
TEXT_HEIGHT, SMALLEST_TEXT_PX = 1 / 40, 10.0


def annotation_outputs(node: Node, foxglove: ModuleType | None = installed_foxglove_msgs
                       ) -> tuple[Output, ...]:
    """Make the outputs with messages of foxglove_msgs, none where that is not installed."""
    return () if foxglove is None else (AnnotationOutput(node, foxglove),)


class AnnotationOutput(TopicOutput):
    """
    `~/annotations`: the outlines of the visible objects' masks, in their colours, with labels.

    :param foxglove: the module foxglove_msgs.msg
    """

    def __init__(self, node: Node, foxglove: ModuleType) -> None:
        super().__init__(node, foxglove.ImageAnnotations, ResultTopic.ANNOTATIONS.private_name,
                         needs=MASKS)
        self._foxglove = foxglove

    def message(self, tracked: TrackedFrame, header: Header) -> Any:
        """Convert the masks; a result from before somebody subscribed has none."""
        if len(tracked.masks) != len(tracked.objects):
            return None
        return annotations_to_msg(self._foxglove, tracked, header)


def annotations_to_msg(foxglove: ModuleType, tracked: TrackedFrame, header: Header) -> Any:
    """Convert the visible objects to ImageAnnotations, in pixels of the source image."""
    msg = foxglove.ImageAnnotations()
    # Newer versions have a stamp of the whole message besides those of its parts.
    if hasattr(msg, 'timestamp'):
        msg.timestamp = header.stamp
    for item, mask_hw in zip(tracked.objects, tracked.masks, strict=True):
        if item.box is None:
            continue
        colour = [value / 255 for value in colour_rgb(item.id)]
        for outline_xy in outlines(mask_hw):
            msg.points.append(foxglove.PointsAnnotation(
                timestamp=header.stamp, type=foxglove.PointsAnnotation.LINE_LOOP,
                points=[foxglove.Point2(x=float(x), y=float(y)) for x, y in outline_xy],
                outline_color=_colour(foxglove, colour, 1.0),
                fill_color=_colour(foxglove, colour, FILL_ALPHA), thickness=LINE_PX))
        msg.texts.append(_text(foxglove, item, header, mask_hw.shape[0], colour))
    return msg


def outlines(mask_hw: BoolArray) -> list[np.ndarray]:
    """
    Return the outer borders of a mask's parts, the largest first.

    With more than `MOST_CORNERS` corners in all they become coarser.

    :returns: (corners, 2) each; x and y as SAM 2 has them, where the first pixel's middle is 0.5
    """
    found, _ = cv2.findContours(
        mask_hw.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = sorted(found, key=cv2.contourArea, reverse=True)[:MOST_OUTLINES]
    tolerance_px = TOLERANCE_PX
    while len(np.concatenate(corners := _corners(largest, tolerance_px))) > MOST_CORNERS:
        tolerance_px *= 2
    # Through the middles of the outermost pixels; a single pixel has no outline.
    return [outline_xy + 0.5 for outline_xy in corners if len(outline_xy) > 1]


def _corners(outlines_xy: Sequence[np.ndarray], tolerance_px: float) -> list[np.ndarray]:
    nothing = np.empty((0, 2), np.int32)
    return [nothing, *(cv2.approxPolyDP(each, tolerance_px, closed=True)[:, 0]
                       for each in outlines_xy)]


def _text(foxglove: ModuleType, item: TrackedObject, header: Header, height: int,
          colour: list[float]) -> Any:
    size = max(SMALLEST_TEXT_PX, height * TEXT_HEIGHT)
    box = item.box
    assert box is not None
    # Above the object, or within it where there is no room.
    bottom = box.y if box.y >= size else box.y + size
    return foxglove.TextAnnotation(
        timestamp=header.stamp, position=foxglove.Point2(x=float(box.x), y=float(bottom)),
        text=f'{item.id} {item.label} {item.score:.2f}' if item.label else (
            f'{item.id} {item.score:.2f}'),
        font_size=size, text_color=_colour(foxglove, [0.0, 0.0, 0.0], 1.0),
        background_color=_colour(foxglove, colour, 1.0))


def _colour(foxglove: ModuleType, rgb: list[float], alpha: float) -> Any:
    red, green, blue = rgb
    return foxglove.Color(r=red, g=green, b=blue, a=alpha)
