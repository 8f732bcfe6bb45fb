# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Clips that are hard to track through, with truth, made of the development sequences by a seed.

Look-alikes are the object itself at another time, mirrored or not; absences are boards before the
object, cuts to another film, and objects that leave one film's picture and come back elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
import functools

from benchmarks.covered import cover
from benchmarks.sequences import (
    centre_and_size,
    DAVIS,
    load_sequence,
    Mask,
    Picture,
    to_and_fro,
)
from benchmarks.tracking import read_rgb
import cv2
import numpy as np

Offset = Callable[[int], float]
_WIDTH = 640
# Frames before the object is gone, and after it is back.
BEFORE, AFTER = 20, 22
# Away for so many frames, where that is not in the kind's name.
AWAY = 30
LOOK_ALIKE_FRAMES = 40
# A look-alike is the object as it is so many frames later.
_LATER = 9


@dataclass(frozen=True, eq=False)
class Shot:
    """
    One frame of a clip.

    :ivar rgb: (H, W, 3)
    :ivar truth: (H, W), empty while the object can't be seen
    :ivar look_alike: (H, W), what must not be taken for it; empty where there is none
    """

    rgb: Picture
    truth: Mask
    look_alike: Mask


@dataclass(frozen=True, eq=False)
class Film:
    """
    A sequence of pictures and the object's masks, to and fro without end.

    :ivar pictures: (H, W, 3) each
    :ivar masks: (H, W) each, none empty
    :ivar start: the picture that comes first
    """

    pictures: tuple[Picture, ...]
    masks: tuple[Mask, ...]
    start: int = 0

    def at(self, index: int) -> tuple[Picture, Mask]:
        """Return picture and true mask of a frame."""
        place = to_and_fro(self.start + index, len(self.pictures))
        return self.pictures[place], self.masks[place]

    def from_anywhere(self, rng: np.random.Generator) -> Film:
        """Return the film from another picture on, on which the object is not small for it."""
        areas = np.array([mask.sum() for mask in self.masks])
        return replace(self, start=int(rng.choice(np.flatnonzero(areas >= np.median(areas) / 2))))


@functools.cache
def film(name: str) -> Film:
    """Return a development sequence at 640 pixels a row, read once."""
    sequence = load_sequence(name)
    pictures = tuple(_scaled(read_rgb(path)) for path in sequence.frames)
    height, width = pictures[0].shape[:2]
    masks = tuple(cv2.resize(mask.astype(np.uint8), (width, height),
                             interpolation=cv2.INTER_NEAREST) > 0
                  for mask in sequence.masks[0])
    return Film(pictures, masks)


def _scaled(rgb: Picture) -> Picture:
    height = round(rgb.shape[0] * _WIDTH / rgb.shape[1])
    return np.asarray(cv2.resize(rgb, (_WIDTH, height), interpolation=cv2.INTER_AREA))


def hard_clip(kind: str, seed: int) -> Iterator[Shot]:
    """
    Make a clip.

    :param kind: one of KINDS
    """
    rng = np.random.default_rng([seed, *kind.encode()])
    name, other = rng.choice(DAVIS, 2, replace=False)
    films = [film(str(each)).from_anywhere(rng) for each in (name, other)]
    return KINDS[kind](*films, rng)


def paste(rgb: Picture, source: tuple[Picture, Mask], centre_xy: tuple[float, float],
          scale_xy: tuple[float, float] = (1.0, 1.0),
          behind: Mask | None = None) -> tuple[Picture, Mask]:
    """
    Put what a mask cuts out of one picture into another.

    :param centre_xy: where the middle of its box comes to
    :param scale_xy: its size there; a negative one mirrors it
    :param behind: what it passes behind
    :returns: the picture, and the pixels that it now has
    """
    own_rgb, own_mask = source
    x, y, _, _ = centre_and_size(own_mask)
    matrix = np.array([[scale_xy[0], 0, centre_xy[0] - scale_xy[0] * x],
                       [0, scale_xy[1], centre_xy[1] - scale_xy[1] * y]])
    size = rgb.shape[1], rgb.shape[0]
    alpha = cv2.warpAffine(cv2.GaussianBlur(own_mask.astype(np.float32), (3, 3), 0), matrix, size)
    if behind is not None:
        alpha[behind] = 0
    moved = cv2.warpAffine(own_rgb, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    mixed = rgb + alpha[:, :, None] * (moved.astype(np.float32) - rgb)
    return mixed.astype(np.uint8), alpha > 0.5


def _with_look_alike(own: Film, rng: np.random.Generator, across: Offset) -> Iterator[Shot]:
    """
    Yield frames with a look-alike.

    :param across: how far beside the object it is on a frame, in widths of the object
    """
    mirror, side = rng.choice([-1.0, 1.0]), rng.choice([-1.0, 1.0])
    down, in_front = rng.uniform(-0.15, 0.15), rng.random() < 0.5
    for index in range(LOOK_ALIKE_FRAMES):
        rgb, mask = own.at(index)
        x, y, width, height = centre_and_size(mask)
        centre = (x + side * across(index) * width, y + down * height)
        rgb, other = paste(rgb, own.at(index + _LATER), centre, (mirror, 1.0),
                           None if in_front else mask)
        yield Shot(rgb, mask & ~other, other)


def _crosses(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    del other
    return _with_look_alike(own, rng, lambda index: 2.5 - 5 * min(1, max(0, index - 8) / 24))


def _comes_close(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    del other
    return _with_look_alike(
        own, rng, lambda index: 3.0 - 2.1 * np.sin(np.pi * min(1, max(0, index - 6) / 30)))


def _stays_beside(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    del other
    return _with_look_alike(own, rng, lambda index: 1.2)


def _hidden(own: Film, frames: int) -> Iterator[Shot]:
    for index in range(BEFORE + frames + AFTER):
        rgb, mask = own.at(index)
        nothing = np.zeros_like(mask)
        if BEFORE <= index < BEFORE + frames:
            yield Shot(cover(rgb, mask, 'board'), nothing, nothing)
        else:
            yield Shot(rgb, mask, nothing)


def _hidden_10(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    del other, rng
    return _hidden(own, 10)


def _hidden_60(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    del other, rng
    return _hidden(own, 60)


def _hidden_300(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    del other, rng
    return _hidden(own, 300)


def _back_elsewhere(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    """Yield frames of an object that leaves on one side and comes back, larger or smaller."""
    scale = rng.choice([0.7, 1.4])
    side, down = rng.choice([-1.0, 1.0]), rng.uniform(0.4, 0.6)
    fits = min(1.0, 150 / centre_and_size(own.at(0)[1])[3])
    for index in range(BEFORE + AWAY + AFTER):
        rgb, unrelated = other.at(index)
        height, width = unrelated.shape
        source = own.at(index)
        # In widths of the picture from its middle: there, out, in on the other side.
        going = -0.25 - 0.6 * max(0, index - BEFORE + 10) / 10
        coming = 0.75 - 0.5 * min(1, max(0, index - BEFORE - AWAY) / 8)
        back = index >= BEFORE + AWAY
        size = fits * (scale if back else 1.0)
        across = side * (coming if back else going)
        if BEFORE <= index < BEFORE + AWAY:
            yield Shot(rgb, np.zeros_like(unrelated), np.zeros_like(unrelated))
            continue
        rgb, truth = paste(rgb, source, (width * (0.5 + across), height * down), (size, size))
        yield Shot(rgb, truth, np.zeros_like(truth))


def _cut_away(own: Film, other: Film, rng: np.random.Generator) -> Iterator[Shot]:
    del rng
    for index in range(BEFORE + AWAY + AFTER):
        rgb, mask = own.at(index)
        if BEFORE <= index < BEFORE + AWAY:
            rgb = other.at(index)[0]
            mask = np.zeros(rgb.shape[:2], np.bool_)
        yield Shot(rgb, mask, np.zeros_like(mask))


KINDS: dict[str, Callable[[Film, Film, np.random.Generator], Iterator[Shot]]] = {
    'crosses': _crosses, 'comes close': _comes_close, 'stays beside': _stays_beside,
    'hidden 60': _hidden_60, 'back elsewhere': _back_elsewhere, 'cut away': _cut_away,
    'hidden 10': _hidden_10, 'hidden 300': _hidden_300}
