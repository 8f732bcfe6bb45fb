# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of plain functions between the core's types and messages."""

from __future__ import annotations

import array
from collections.abc import Iterable, Sequence

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
import numpy as np
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.types import (
    BoolArray,
    Box,
    Float32Array,
    FrameHeader,
    ObjectState,
    Prompt,
    TrackedObject,
)
from sam2_tracker.ros.messages import mask_from_msg, mask_to_msg
from sam2_tracker_msgs.msg import Prompt as PromptMsg
from sam2_tracker_msgs.msg import TrackedObject as TrackedObjectMsg
from sam2_tracker_msgs.msg import TrackedObjects as TrackedObjectsMsg

NS_PER_S = 1_000_000_000


def stamp_from_msg(stamp: Time) -> int:
    """Return a stamp in nanoseconds."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def stamp_to_msg(stamp_ns: int) -> Time:
    """Return nanoseconds as a stamp."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def header_from_msg(header: Header) -> FrameHeader:
    """
    Return an image's header.

    :raises FrameError: a stamp that is not one
    """
    if header.stamp.nanosec >= NS_PER_S:
        raise FrameError(f'image stamp has nanosec {header.stamp.nanosec}: it is below {NS_PER_S}')
    return FrameHeader(stamp_from_msg(header.stamp), header.frame_id)


def header_to_msg(header: FrameHeader) -> Header:
    """Return the header for an output: the source's own."""
    return Header(stamp=stamp_to_msg(header.stamp_ns), frame_id=header.frame_id)


def box_from_msg(roi: RegionOfInterest) -> Float32Array | None:
    """Return left, top, right and bottom, None for the empty region."""
    if roi.width == 0 and roi.height == 0:
        return None
    return np.array([roi.x_offset, roi.y_offset, roi.x_offset + roi.width,
                     roi.y_offset + roi.height], np.float32)


def box_to_msg(box: Box | None) -> RegionOfInterest:
    """Return a tight box as a region, all 0 for None."""
    if box is None:
        return RegionOfInterest()
    return RegionOfInterest(x_offset=box.x, y_offset=box.y, width=box.width, height=box.height)


def prompt_from_msg(msg: PromptMsg) -> Prompt:
    """
    Convert one prompt; its values are checked where the frame is known.

    :raises PromptError: the mask's message is malformed
    """
    points = [(point.x, point.y) for point in msg.points]
    with np.errstate(over='ignore'):
        points_xy = np.array(points, np.float64).reshape(-1, 2).astype(np.float32)
    return Prompt(
        object_id=msg.object_id,
        label=msg.label,
        points_xy=points_xy,
        point_labels=np.array(msg.point_labels, np.int32),
        box_xyxy=box_from_msg(msg.box),
        mask_hw=_mask_or_none(msg))


def prompt_to_msg(prompt: Prompt) -> PromptMsg:
    """Convert a prompt to its message; a box is rounded to whole pixels."""
    msg = PromptMsg(
        object_id=prompt.object_id,
        label=prompt.label,
        points=[Point(x=float(x), y=float(y)) for x, y in prompt.points_xy],
        point_labels=array.array('B', [int(label) for label in prompt.point_labels]))
    if prompt.box_xyxy is not None:
        x0, y0, x1, y1 = (round(float(edge)) for edge in prompt.box_xyxy)
        msg.box = RegionOfInterest(x_offset=x0, y_offset=y0, width=x1 - x0, height=y1 - y0)
    if prompt.mask_hw is not None:
        msg.mask = mask_to_msg(prompt.mask_hw, Header())
    return msg


def tracked_object_to_msg(tracked: TrackedObject) -> TrackedObjectMsg:
    """Convert one object's result."""
    x, y = tracked.centroid_xy
    return TrackedObjectMsg(
        id=tracked.id, label=tracked.label, state=int(tracked.state), score=float(tracked.score),
        box=box_to_msg(tracked.box), area=int(tracked.area_px),
        centroid=Point(x=float(x), y=float(y)), catching_up=tracked.catching_up)


def tracked_object_from_msg(msg: TrackedObjectMsg) -> TrackedObject:
    """Convert one object's result back."""
    roi = msg.box
    box = Box(roi.x_offset, roi.y_offset, roi.width, roi.height) if roi.width else None
    return TrackedObject(
        id=msg.id, label=msg.label, state=ObjectState(msg.state), score=msg.score, box=box,
        area_px=msg.area, centroid_xy=(msg.centroid.x, msg.centroid.y),
        catching_up=msg.catching_up)


def tracked_objects_to_msg(header: FrameHeader,
                           objects: Iterable[TrackedObject]) -> TrackedObjectsMsg:
    """Convert one frame's result."""
    return TrackedObjectsMsg(
        header=header_to_msg(header),
        objects=[tracked_object_to_msg(tracked) for tracked in objects])


def tracked_objects_from_msg(
        msg: TrackedObjectsMsg) -> tuple[FrameHeader, tuple[TrackedObject, ...]]:
    """Convert one frame's result back."""
    return (header_from_msg(msg.header),
            tuple(tracked_object_from_msg(tracked) for tracked in msg.objects))


def prompts_from_msgs(msgs: Sequence[PromptMsg]) -> tuple[Prompt, ...]:
    """Convert a request's prompts."""
    return tuple(prompt_from_msg(msg) for msg in msgs)


def _mask_or_none(msg: PromptMsg) -> BoolArray | None:
    mask: Image = msg.mask
    if not mask.width and not mask.height and not len(mask.data):
        return None
    try:
        return mask_from_msg(mask)
    except FrameError as error:
        raise PromptError(f'object {msg.object_id}: mask refused: {error}') from None
