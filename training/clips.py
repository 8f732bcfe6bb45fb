# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Compose short clips with exact masks out of still pictures.

A camera moves over a photograph whose own objects bend and drift with it, and cut-outs and
generated shapes move over that: look-alikes, occluders, objects that leave and come back, and
frames in which everything is covered.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from training.data import Library, Picture, UInt8
from training.sprites import draw_sprite, random_sprites, Sprite

Floats = NDArray[np.float32]
MIN_AREA = 0.0025       # of the frame: smaller objects are not prompted
MAX_AREA = 0.55
ATTEMPTS = 20


@dataclass(frozen=True)
class Clip:
    """
    Frames with the objects that can be prompted on the first of them.

    :ivar frames: (T, S, S, 3)
    :ivar labels: (T, S, S) number of the object that is seen at each pixel, 0 = none
    :ivar objects: numbers of at least two objects that are visible on the first frame
    """

    frames: UInt8
    labels: UInt8
    objects: tuple[int, ...]


@dataclass(frozen=True)
class Camera:
    """
    Where each frame looks at the picture.

    :ivar matrices: (T, 2, 3) from frame to picture pixels
    :ivar bends: (T, 5, 5, 2) displacement on a coarse grid, in frame pixels
    """

    matrices: Floats
    bends: Floats


def smooth_path(rng: np.random.Generator, frames: int, speed: float) -> Floats:
    """
    Draw a path of a drift and slow wobble, (T,) from 0.

    :param speed: standard deviation of the drift a frame
    """
    steps = rng.normal(0, speed) + np.cumsum(rng.normal(0, speed * 0.35, frames))
    path = np.concatenate([[0.0], np.cumsum(steps[1:])])
    return path.astype(np.float32)


def move_camera(rng: np.random.Generator, picture: Picture, size: int, frames: int) -> Camera:
    """Plan a camera's way over a picture, with zoom, roll and a bending of what it sees."""
    height, width = picture.labels.shape
    scale = min(height, width) / size * rng.uniform(0.65, 1.0)
    calm = rng.choice([0.15, 1.0])
    zoom = scale * np.exp(smooth_path(rng, frames, 0.02 * calm))
    roll = np.deg2rad(rng.normal(0, 5) + smooth_path(rng, frames, 1.2 * calm))
    room = np.maximum(np.array([width, height]) - size * scale, 0) / 2
    centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * room
    x = centre[0] + smooth_path(rng, frames, 5 * calm) * scale
    y = centre[1] + smooth_path(rng, frames, 3 * calm) * scale
    flip = rng.choice([-1, 1])
    a, b = zoom * np.cos(roll), zoom * np.sin(roll)
    half = size / 2
    matrices = np.stack([np.stack([flip * a, -b, x - flip * a * half + b * half], -1),
                         np.stack([flip * b, a, y - flip * b * half - a * half], -1)], 1)
    bend = rng.choice([0.0, 0.8, 2.0])
    bends = np.cumsum(rng.normal(0, bend, (frames, 5, 5, 2)), 0)
    return Camera(matrices.astype(np.float32), bends.astype(np.float32))


def look(picture: Picture, camera: Camera, frame: int, size: int) -> tuple[UInt8, UInt8]:
    """Draw what the camera sees: (S, S, 3) colours and (S, S) labels."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float32)
    grid += cv2.resize(camera.bends[frame], (size, size), interpolation=cv2.INTER_CUBIC)
    matrix = camera.matrices[frame]
    places = grid @ matrix[:, :2].T + matrix[:, 2]
    rgb = cv2.remap(picture.rgb, places, None, cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REFLECT_101)
    labels = cv2.remap(picture.labels, places, None, cv2.INTER_NEAREST,
                       borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return rgb.astype(np.uint8), labels.astype(np.uint8)


def disturb(rng: np.random.Generator, frame: UInt8, light: float) -> UInt8:
    """Change light, and sometimes blur a frame and add noise."""
    drawn = frame.astype(np.float32) * light
    if rng.random() < 0.2:
        drawn = cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.5:
        drawn += cv2.resize(rng.normal(0, 4, (128, 128, 3)).astype(np.float32),
                            frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(drawn, 0, 255).astype(np.uint8)


def covered_frames(rng: np.random.Generator, frames: int) -> set[int]:
    """Choose frames in which nothing but a cover is seen; never the first, seldom any."""
    if frames < 4 or rng.random() > 0.15:
        return set()
    start = int(rng.integers(1, frames - 1))
    return set(range(start, min(frames - 1, start + int(rng.integers(1, 4)))))


def _cover(rng: np.random.Generator, library: Library, size: int) -> UInt8:
    if rng.random() < 0.6:
        return np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), (size, size, 3)).copy()
    picture = library.pictures[rng.integers(len(library.pictures))]
    return cv2.resize(picture.rgb, (size, size)).astype(np.uint8)


def compose_clip(rng: np.random.Generator, library: Library, size: int, frames: int) -> Clip:
    """
    Compose a clip with at least two promptable objects on its first frame.

    :param size: side of the frames in pixels
    :raises RuntimeError: if the pictures hold no objects
    """
    for _ in range(ATTEMPTS):
        clip = _compose(rng, library, size, frames)
        if len(clip.objects) >= 2:
            return clip
    raise RuntimeError(f'no clip with two objects in {ATTEMPTS} attempts')


def _compose(rng: np.random.Generator, library: Library, size: int, frames: int) -> Clip:
    picture = library.pictures[rng.integers(len(library.pictures))]
    own = int(picture.labels.max())
    camera = move_camera(rng, picture, size, frames)
    sprites = random_sprites(rng, library, size, frames, first_label=own + 1)
    light = np.exp(rng.normal(0, 0.12) + smooth_path(rng, frames, 0.015))
    covered = covered_frames(rng, frames)
    drawn, labelled = [], []
    for frame in range(frames):
        rgb, labels = look(picture, camera, frame, size)
        for sprite in sprites:
            rgb, labels = draw_sprite(sprite, frame, rgb, labels)
        if frame in covered:
            rgb, labels = _cover(rng, library, size), np.zeros_like(labels)
        drawn.append(disturb(rng, rgb, float(light[frame])))
        labelled.append(labels)
    stack = np.stack(labelled)
    return Clip(np.stack(drawn), stack, promptable(rng, stack[0], sprites))


def promptable(rng: np.random.Generator, labels: UInt8,
               sprites: list[Sprite]) -> tuple[int, ...]:
    """List objects of a fair size on a (S, S) frame in random order, look-alikes first."""
    fair = fair_objects(labels)
    alike = {sprite.label for sprite in sprites if sprite.look_alike}
    order = [fair[i] for i in rng.permutation(len(fair))]
    return tuple(sorted(order, key=lambda label: label not in alike))


def fair_objects(labels: UInt8) -> list[int]:
    """List the objects of a fair size on a (S, S) frame."""
    areas = np.bincount(labels.ravel(), minlength=256)[1:] / labels.size
    return [int(label) + 1 for label in np.flatnonzero((areas > MIN_AREA) & (areas < MAX_AREA))]
