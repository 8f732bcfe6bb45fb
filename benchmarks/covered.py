# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Clips in which an object disappears and returns, made of the development sequences.

No frame of DAVIS 2016 has an empty mask. So frames are covered: all of the picture by one
colour, as when a hand is before the lens, or the object and its surroundings by a board. Or the
camera looks elsewhere for long: other frames come, which are another sequence's.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.davis import region_overlap
from benchmarks.sequences import box_around, Mask, Picture, Sequence, to_and_fro
from benchmarks.tracking import read_rgb, Track
import cv2
import numpy as np

# An object counts as found again by then.
FRAMES_TO_RETURN = 4
FOUND_OVERLAP = 0.5
BOARD_MARGIN = 0.25


@dataclass(frozen=True)
class Plan:
    """
    When nothing is seen of an object.

    :ivar length: frames of the clip
    :ivar hidden: the frames on which it is not there
    :ivar returns: the frames on which it is there again
    """

    length: int
    hidden: tuple[int, ...]
    returns: tuple[int, ...]


COVERED = Plan(40, (*range(12, 18), *range(26, 36)), (18, 36))
AWAY = Plan(100, tuple(range(20, 80)), (80,))


@dataclass(frozen=True)
class CoveredScore:
    """
    What became of states and returns in one clip.

    :ivar states_right: frames after the first with the right visible or occluded state
    :ivar frames: frames after the first
    :ivar found: returns after which the object was found again
    :ivar returns: returns in all
    :ivar overlaps: J of the frames from `FRAMES_TO_RETURN` after the last return on
    """

    states_right: int
    frames: int
    found: int
    returns: int
    overlaps: tuple[float, ...] = ()

    def __add__(self, other: CoveredScore) -> CoveredScore:
        """Put the counts of two clips together."""
        return CoveredScore(self.states_right + other.states_right, self.frames + other.frames,
                            self.found + other.found, self.returns + other.returns,
                            self.overlaps + other.overlaps)


def cover(rgb: Picture, mask: Mask, kind: str) -> Picture:
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
    left, top, right, bottom = box_around(mask)
    margin_y = int(BOARD_MARGIN * (bottom - 1 - top)) + 4
    margin_x = int(BOARD_MARGIN * (right - 1 - left)) + 4
    board = covered[max(0, top - margin_y):bottom - 1 + margin_y,
                    max(0, left - margin_x):right - 1 + margin_x]
    board[:] = _planks(*board.shape[:2])
    return covered


def _planks(height: int, width: int) -> Picture:
    """Draw a board of brown planks with some grain."""
    rng = np.random.default_rng(0)
    grain = cv2.resize(rng.normal(0, 12, (max(height // 3, 1), 4)).astype(np.float32),
                       (width, height))
    seams = np.where(np.arange(width) % 40 < 2, -40, 0)
    shade = (grain + seams)[:, :, None] + np.array([139, 104, 66])
    return np.clip(shade, 0, 255).astype(np.uint8)


def covered_clip(sequence: Sequence, kind: str) -> tuple[list[Picture], list[Mask]]:
    """Make the pictures of a clip after `COVERED`; the masks are those below the covers too."""
    masks = list(sequence.masks[0][:COVERED.length])
    pictures = [read_rgb(path) for path in sequence.frames[:COVERED.length]]
    return [cover(picture, mask, kind) if frame in COVERED.hidden else picture
            for frame, (picture, mask) in enumerate(zip(pictures, masks, strict=True))], masks


def away_clip(sequence: Sequence, elsewhere: Sequence | None) -> tuple[list[Picture], list[Mask]]:
    """
    Make the pictures of a clip after `AWAY`, in which the object is gone for 60 frames.

    :param elsewhere: what the camera looks at meanwhile; None for the same scene, going to and
        fro, with a board over the object
    :returns: pictures and true masks; those of hidden frames are empty
    """
    before, hidden = AWAY.hidden[0], len(AWAY.hidden)
    masks = sequence.masks[0]
    if elsewhere is None:
        # Ten frames on and ten back, so that the clip goes on where it was.
        order = [before + abs((step + 10) % 20 - 10) for step in range(hidden)]
        others = [cover(read_rgb(sequence.frames[index]), masks[index], 'board')
                  for index in order]
    else:
        height, width = masks[0].shape
        order = [to_and_fro(step, len(elsewhere.frames)) for step in range(hidden)]
        others = [cv2.resize(read_rgb(elsewhere.frames[index]), (width, height))
                  for index in order]
    own = [read_rgb(path) for path in sequence.frames[:AWAY.length - hidden]]
    empty = [np.zeros_like(masks[0])] * hidden
    return ([*own[:before], *others, *own[before:]],
            [*masks[:before], *empty, *masks[before:len(own)]])


def score_covered(track: Track, truth: list[Mask], plan: Plan) -> CoveredScore:
    """Count right states and returns; the true masks are those of the uncovered frames."""
    frames = range(1, plan.length)
    right = sum(track.visible[frame] == (frame not in plan.hidden) for frame in frames)
    found = 0
    for start in plan.returns:
        last = min(start + FRAMES_TO_RETURN, plan.length) - 1
        found += track.visible[last] and (
            region_overlap(track.masks[last], truth[last]) >= FOUND_OVERLAP)
    settled = range(plan.returns[-1] + FRAMES_TO_RETURN, plan.length)
    return CoveredScore(right, len(frames), found, len(plan.returns), tuple(
        region_overlap(track.masks[frame], truth[frame]) for frame in settled))
