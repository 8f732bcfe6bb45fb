# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: A005
"""What passes between the modules: frames, prompts and results."""

from __future__ import annotations

from dataclasses import dataclass, field
import enum

import numpy as np
import numpy.typing as npt
from sam2_tracker.core.errors import PromptError

UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]


class ObjectState(enum.IntEnum):
    """What is known of an object on a frame; the values are those of TrackedObject.msg."""

    UNKNOWN = 0
    VISIBLE = 1
    OCCLUDED = 2
    LOST = 3


@dataclass(frozen=True)
class FrameHeader:
    """
    The source image's header, kept unchanged for every output.

    :param stamp_ns: the header's own stamp in nanoseconds, 0 where the camera set none
    :param frame_id: the camera's coordinate frame
    """

    stamp_ns: int
    frame_id: str


@dataclass(frozen=True, eq=False)
class Frame:
    """
    One image of the stream.

    :param index: number among the processed frames of the session, from 0
    :param stamp_ns: time for look-up; the receive time where the header's stamp is 0
    :param header: the source's header, unchanged
    :param image_rgb: pixels for the model, (height, width, 3) uint8; may be smaller than the
        source where frames are stored scaled down
    :param source_hw: height and width of the source image: prompts and masks are in its pixels
    :param received_ns: `time.monotonic_ns()` when it arrived, 0 where that means nothing
    """

    index: int
    stamp_ns: int
    header: FrameHeader
    image_rgb: UInt8Array
    source_hw: tuple[int, int]
    received_ns: int = 0


@dataclass(frozen=True)
class ShownPicture:
    """
    A picture that somebody may be looking at: what a click on it has to know.

    :param stamp_ns: time for look-up
    :param source_hw: height and width
    """

    stamp_ns: int
    source_hw: tuple[int, int]


def _no_points() -> Float32Array:
    return np.zeros((0, 2), np.float32)


def _no_labels() -> Int32Array:
    return np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class Prompt:
    """
    What one object looks like on one frame, in pixels of the source image.

    :param object_id: the object, 0 for a new one
    :param label: optional display name; '' keeps the one that there is, blanks alone take it away
    :param points_xy: (P, 2) float32
    :param point_labels: (P,) int32, 1 positive, 0 negative
    :param box_xyxy: (4,) float32 left, top, right, bottom, or None
    :param mask_hw: (height, width) bool, or None; not together with points or a box
    """

    object_id: int = 0
    label: str = ''
    points_xy: Float32Array = field(default_factory=_no_points)
    point_labels: Int32Array = field(default_factory=_no_labels)
    box_xyxy: Float32Array | None = None
    mask_hw: BoolArray | None = None


@dataclass(frozen=True)
class Box:
    """A tight pixel box: columns x to x + width - 1, rows y to y + height - 1."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class TrackedObject:
    """
    One object on one frame.

    :param score: sigmoid of SAM 2's object score, 0 to 1
    :param box: tight box of the mask, None where not visible
    :param area_px: pixels of the mask
    :param centroid_xy: mean pixel position of the mask, (0.0, 0.0) where not visible
    :param catching_up: True until the replay of its newest prompt has reached the live frame
    """

    id: int  # noqa: A003
    label: str
    state: ObjectState
    score: float
    box: Box | None = None
    area_px: int = 0
    centroid_xy: tuple[float, float] = (0.0, 0.0)
    catching_up: bool = False


@dataclass(frozen=True)
class Wanted:
    """Which of the costly outputs of a frame somebody asked for."""

    label_image: bool = True
    masks: bool = True


@dataclass(frozen=True)
class MaskRules:
    """
    What makes a mask of a model's logits.

    :param threshold: logit above which a pixel belongs to the object
    :param fill_hole_area: holes of up to so many source pixels are filled, 0 for none
    :param min_island_area: parts of fewer source pixels are dropped, but an object's largest
    """

    threshold: float = 0.0
    fill_hole_area: int = 0
    min_island_area: int = 0

    @property
    def mends(self) -> bool:
        """Return whether masks are changed after they were made."""
        return self.fill_hole_area > 0 or self.min_island_area > 1


PLAIN_MASKS = MaskRules()


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """
    The result for one frame: self-contained.

    :param objects: every object, in the order of their ids
    :param masks: one (height, width) bool array per object in the same order, all False where
        not visible; empty if not wanted
    :param label_image: (height, width) uint16, pixel = object id, 0 = background: at each pixel
        the object with the highest logit above the threshold; None if not wanted
    """

    frame: Frame
    objects: tuple[TrackedObject, ...]
    masks: tuple[BoolArray, ...] = ()
    label_image: UInt16Array | None = None


MAX_OBJECT_ID = 65535
# A detector finds at most about so many things in a picture (the COCO challenge takes 100), and
# each costs about what it takes to track it on a frame.
MAX_PROMPTS = 100
# SAM 2 was trained with at most 8 clicks. Its mask decoder compares each point of a frame with
# each other and with the whole picture: 10,000 take several seconds on a CPU.
MAX_POINTS = 256


class IdAllocator:
    """Numbers objects from 1 upwards; one for the whole process, so that no id comes back."""

    def __init__(self) -> None:
        self._largest = 0
        self._claimed: set[int] = set()

    def peek(self, count: int) -> tuple[int, ...]:
        """
        Return the ids that the next new objects will have; they stay free.

        :raises PromptError: if there are not so many left
        """
        first = self._largest + 1
        if first + count - 1 > MAX_OBJECT_ID:
            left = MAX_OBJECT_ID - self._largest
            raise PromptError(
                f'{count} new objects asked for but only {left} of the '
                f'{MAX_OBJECT_ID} object ids are left; restart the tracker'
            )
        return tuple(range(first, first + count))

    def claim(self, object_id: int) -> None:
        """
        Take an id out of use; the numbering goes on above the largest claimed.

        :raises PromptError: if it is not 1 to 65535 or was claimed before
        """
        if not 1 <= object_id <= MAX_OBJECT_ID:
            raise PromptError(f'object id {object_id} is not 1 to {MAX_OBJECT_ID}')
        if object_id in self._claimed:
            raise PromptError(f'object id {object_id} was used before')
        self._claimed.add(object_id)
        self._largest = max(self._largest, object_id)

    def is_unused(self, object_id: int) -> bool:
        """Return whether an id can still be claimed."""
        return 1 <= object_id <= MAX_OBJECT_ID and object_id not in self._claimed
