# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Where a stream cuts to another shot: told from the colours of two pictures that follow."""

from __future__ import annotations

import bisect
from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.source import FrameLookup
from sam2_tracker.core.types import Frame, UInt8Array

# A picture's colours are those of so many rows and columns, evenly spread: at most twice that.
_SIDE = 160
_HUES, _SATURATIONS = 60, 80
# Bhattacharyya distance of two pictures' colours, 0 to 1, above which one is of another shot.
LEAST_DISTANCE = 0.35
# Shots that are known when they come again, the newest.
_SHOTS_KNOWN = 16
_BEFORE_ALL = -2

Colours = NDArray[np.float32]


def colours_of(image_rgb: UInt8Array) -> Colours:
    """
    Count a picture's colours by hue and saturation.

    :param image_rgb: (height, width, 3)
    :returns: (60, 80), scaled to a norm of 1
    """
    height, width, _ = image_rgb.shape
    small = np.ascontiguousarray(
        image_rgb[::max(1, height // _SIDE), ::max(1, width // _SIDE)])
    counts = cv2.calcHist([cv2.cvtColor(small, cv2.COLOR_RGB2HSV)], [0, 1], None,
                          [_HUES, _SATURATIONS], [0, 180, 0, 256])
    return np.asarray(cv2.normalize(counts, counts), np.float32)


def distance(one: Colours, other: Colours) -> float:
    """Return how different the colours of two pictures are: 0, not at all, to 1."""
    return float(cv2.compareHist(one, other, cv2.HISTCMP_BHATTACHARYYA))


class Cuts:
    """
    The shots of a stream.

    Every processed frame is compared with the one processed before it, so the same frames have
    the same shots however they come. Where one begins that looks as an earlier one did when it was
    left, it is that one again.

    :param frames: knows how far anything can go back
    :ivar count: how many cuts there were, in all sessions
    """

    def __init__(self, frames: FrameLookup) -> None:
        self._frames = frames
        self._before: Colours | None = None
        self._newest: tuple[int, Colours] | None = None
        # From which frame on which shot runs; earlier than any frame there is one.
        self._begins: list[tuple[int, int]] = [(_BEFORE_ALL, 0)]
        self._left: deque[tuple[int, Colours]] = deque(maxlen=_SHOTS_KNOWN)
        self.count = 0

    def look_at(self, index: int, image_rgb: UInt8Array) -> None:
        """
        Find out whether the next frame begins a shot.

        :param index: another picture may come under it until there is one under the next number
        """
        if self._newest is not None and self._newest[0] != index:
            self._before = self._newest[1]
        elif self._begins[-1][0] == index:
            self._undo()
        colours = colours_of(image_rgb)
        if self._before is not None and distance(self._before, colours) > LEAST_DISTANCE:
            self._left.append((self._begins[-1][1], self._before))
            self.count += 1
            self._begins.append((index, self._known(colours)))
        self._newest = index, colours

    def _undo(self) -> None:
        self._begins.pop()
        self._left.pop()
        self.count -= 1

    def _known(self, colours: Colours) -> int:
        """Return the newest shot that was left with colours like these, or a new one."""
        for shot, before in reversed(self._left):
            if distance(before, colours) <= LEAST_DISTANCE:
                return shot
        return self.count

    def shot(self, index: int) -> int:
        """Return the number of the shot that a frame is of."""
        place = bisect.bisect_right(self._begins, index, key=lambda begin: begin[0])
        return self._begins[max(place, 1) - 1][1]

    def shots(self, index: int) -> tuple[int, int]:
        """Return the shots of the frame before one, and of that one."""
        return self.shot(index - 1), self.shot(index)

    def place(self, index: int, picture: Frame) -> int:
        """
        Return the processed frame beside a skipped one that is of the same shot as that.

        :param index: the nearest one in time
        """
        try:
            is_later = picture.stamp_ns > self._frames.stamp_ns(index)
            beside = index + 1 if is_later else index - 1
            if self.shot(beside) == self.shot(index):
                return index
            colours = colours_of(picture.image_rgb)
            return min(index, beside, key=lambda each: distance(
                colours, colours_of(self._frames.image(each))))
        except FrameError:
            return index

    def forget_before(self, oldest_index: int) -> None:
        """Forget the shots before a frame that lie on frames which are gone."""
        while len(self._begins) > 1 and self._begins[1][0] < oldest_index and self._is_gone():
            del self._begins[0]

    def _is_gone(self) -> bool:
        try:
            self._frames.stamp_ns(self._begins[1][0])
        except FrameError:
            return True
        return False

    def clear(self) -> None:
        """Begin again, with frame 0 of a new session; the shot goes on."""
        self._before = self._newest = None
        self._begins = [(_BEFORE_ALL, self._begins[-1][1])]
