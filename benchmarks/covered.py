# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Clips in which an object disappears and returns, made of the development sequences.

No frame of DAVIS 2016 has an empty mask. So frames are covered: all of the picture by one
colour, as when a hand is before the lens, or the object and its surroundings by a board.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.davis import region_overlap
from benchmarks.tracking import Track
import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
LENGTH = 40
COVERED = (*range(12, 18), *range(26, 36))
RETURNS = (18, 36)
# An object counts as found again by then.
FRAMES_TO_RETURN = 4
FOUND_OVERLAP = 0.5
BOARD_MARGIN = 0.25


@dataclass(frozen=True)
class CoveredScore:
    """
    What became of states and returns in one clip.

    :ivar states_right: frames after the first with the right visible or occluded state
    :ivar frames: frames after the first
    :ivar found: returns after which the object was found again
    :ivar returns: returns in all
    """

    states_right: int
    frames: int
    found: int
    returns: int


def cover(rgb: NDArray[np.uint8], mask: Mask, kind: str) -> NDArray[np.uint8]:
    """
    Cover a (H, W, 3) picture so that nothing of the object is seen.

    :param kind: ``lens`` for all of it, ``board`` for the object's box and a margin
    :raises ValueError: on another kind
    """
    covered = rgb.copy()
    if kind == 'lens':
        covered[:] = (58, 52, 50)
        return covered
    if kind != 'board':
        raise ValueError(f'no cover of kind {kind!r}: lens or board')
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    margin_y = int(BOARD_MARGIN * (rows[-1] - rows[0])) + 4
    margin_x = int(BOARD_MARGIN * (columns[-1] - columns[0])) + 4
    top, left = max(0, rows[0] - margin_y), max(0, columns[0] - margin_x)
    board = covered[top:rows[-1] + margin_y, left:columns[-1] + margin_x]
    board[:] = _planks(*board.shape[:2])
    return covered


def _planks(height: int, width: int) -> NDArray[np.uint8]:
    """Draw a board of brown planks with some grain."""
    rng = np.random.default_rng(0)
    grain = cv2.resize(rng.normal(0, 12, (max(height // 3, 1), 4)).astype(np.float32),
                       (width, height))
    seams = np.where(np.arange(width) % 40 < 2, -40, 0)
    shade = (grain + seams)[:, :, None] + np.array([139, 104, 66])
    return np.clip(shade, 0, 255).astype(np.uint8)


def score_covered(track: Track, truth: tuple[Mask, ...]) -> CoveredScore:
    """Count right states and returns; the true masks are those of the uncovered frames."""
    frames = range(1, LENGTH)
    right = sum(track.visible[frame] == (frame not in COVERED) for frame in frames)
    found = 0
    for start in RETURNS:
        last = min(start + FRAMES_TO_RETURN, LENGTH) - 1
        found += track.visible[last] and (
            region_overlap(track.masks[last], truth[last]) >= FOUND_OVERLAP)
    return CoveredScore(right, len(frames), found, len(RETURNS))
