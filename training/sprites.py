# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Things that move over a picture: cut-out objects and generated shapes, and their ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from training.data import Cutout, Library, UInt8

Floats = NDArray[np.float32]
MAX_LABEL = 255


@dataclass(frozen=True)
class Sprite:
    """
    A moving thing.

    :ivar rgb: (N, N, 3)
    :ivar alpha: (N, N) opacity, 0 to 1, soft at the edge
    :ivar matrices: (T, 2, 3) from sprite to frame pixels
    :ivar hidden: frames in which it is not there
    :ivar look_alike: whether the clip has another one that looks the same
    """

    label: int
    rgb: Floats
    alpha: Floats
    matrices: Floats
    hidden: frozenset[int]
    look_alike: bool = False


def random_sprites(rng: np.random.Generator, library: Library, size: int, frames: int,
                   first_label: int) -> list[Sprite]:
    """Draw nought to five moving things, with a look-alike in half of the clips."""
    sprites: list[Sprite] = []
    for label in range(first_label, min(first_label + int(rng.integers(0, 5)), MAX_LABEL)):
        sprites.append(_random_sprite(rng, library, size, frames, label))
    label = first_label + len(sprites)
    if sprites and label <= MAX_LABEL and rng.random() < 0.5:
        model = sprites[0]
        scale = rng.uniform(0.5, 1.1) * np.linalg.norm(model.matrices[0, 0, :2])
        twin = replace(model, label=label, look_alike=True, hidden=frozenset(),
                       matrices=_way(rng, model.alpha.shape[0], float(scale), size, frames))
        sprites = [replace(model, look_alike=True), *sprites[1:]]
        sprites.insert(int(rng.integers(0, len(sprites) + 1)), twin)
    return sprites


def _random_sprite(rng: np.random.Generator, library: Library, size: int, frames: int,
                   label: int) -> Sprite:
    cutout = library.cutouts[rng.integers(len(library.cutouts))]
    if rng.random() < 0.25:
        cutout = random_shape(rng, library)
    rgb = cutout.rgb.astype(np.float32) * rng.uniform(0.75, 1.25)
    alpha = cv2.GaussianBlur(cutout.alpha.astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < 0.5:
        rgb, alpha = rgb[:, ::-1].copy(), alpha[:, ::-1].copy()
    side = size * np.exp(rng.uniform(np.log(0.14), np.log(0.75)))
    matrices = _way(rng, alpha.shape[0], side / alpha.shape[0], size, frames)
    hidden: frozenset[int] = frozenset()
    if frames >= 4 and rng.random() < 0.2:
        start = int(rng.integers(1, frames))
        hidden = frozenset(range(start, start + int(rng.integers(1, frames))))
    return Sprite(label, np.clip(rgb, 0, 255), alpha, matrices, hidden)


def _way(rng: np.random.Generator, side: int, scale: float, size: int, frames: int) -> Floats:
    """
    Plan where a sprite goes: drift, turn, growth, shear and a jump now and then.

    :param side: the sprite's own side in pixels
    :param scale: frame pixels a sprite pixel on the first frame
    :returns: (T, 2, 3) matrices
    """
    time = np.arange(frames)
    pace = rng.choice([0.3, 1.0, 2.0])
    wobble = np.cumsum(rng.normal(0, 0.01 * pace, (frames, 4)), 0)
    angle = np.deg2rad(rng.normal(0, 12) + rng.normal(0, 3) * pace * time) + 2 * wobble[:, 0]
    growth = scale * np.exp(rng.normal(0, 0.02) * pace * time + wobble[:, 1])
    squeeze = np.exp(rng.normal(0, 0.08) + rng.normal(0, 0.02) * pace * time + wobble[:, 2])
    shear = rng.normal(0, 0.08) + wobble[:, 3]
    start = rng.uniform(0.1, 0.9, 2) * size
    speed = rng.normal(0, 0.022, 2) * pace * size
    position = start + speed * time[:, None] + rng.normal(0, 0.004 * pace * size, (frames, 2))
    cos, sin = np.cos(angle) * growth, np.sin(angle) * growth
    linear = np.stack([np.stack([cos * squeeze, cos * shear - sin], -1),
                       np.stack([sin * squeeze, sin * shear + cos], -1)], 1)
    offset = position[:, :, None] - linear @ np.full((2, 1), side / 2)
    return np.concatenate([linear, offset], 2).astype(np.float32)


def draw_sprite(sprite: Sprite, frame: int, rgb: UInt8,
                labels: UInt8) -> tuple[UInt8, UInt8]:
    """Draw a sprite over (S, S, 3) colours and (S, S) labels of one frame."""
    if frame in sprite.hidden:
        return rgb, labels
    size = labels.shape[::-1]
    matrix = sprite.matrices[frame]
    alpha = cv2.warpAffine(sprite.alpha, matrix, size)
    colour = cv2.warpAffine(sprite.rgb, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    mixed = rgb + (colour - rgb) * alpha[:, :, None]
    return mixed.astype(np.uint8), np.where(alpha > 0.5, np.uint8(sprite.label), labels)


def random_shape(rng: np.random.Generator, library: Library) -> Cutout:
    """Cut a generated blob, polygon or bar out of a random picture."""
    side = 160
    angles = np.linspace(0, 2 * np.pi, 90)
    kind = rng.integers(3)
    if kind == 0:
        waves = [rng.uniform(0, 0.25) * np.cos((k + 2) * angles + rng.uniform(0, 6.3))
                 for k in range(4)]
        radius = 0.3 * side * (1 + np.sum(waves, 0))
    elif kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 12)))
        radius = rng.uniform(0.2, 0.48, len(angles)) * side
    else:
        slim = rng.uniform(0.12, 0.6)
        radius = 0.45 * side * slim / np.hypot(slim * np.cos(angles), np.sin(angles))
    outline = side / 2 + np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1)
    alpha = np.zeros((side, side), np.uint8)
    cv2.fillPoly(alpha, [np.clip(outline, 1, side - 2).astype(np.int32)], 1)
    picture = library.pictures[rng.integers(len(library.pictures))].rgb
    top = rng.integers(picture.shape[0] - side)
    left = rng.integers(picture.shape[1] - side)
    rgb = picture[top:top + side, left:left + side].astype(np.float32)
    if rng.random() < 0.3:
        rgb = 0.25 * rgb + 0.75 * rng.uniform(0, 255, 3)
    return Cutout(rgb.astype(np.uint8), alpha)
