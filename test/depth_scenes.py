# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images of things of known shape, by following each pixel's ray."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sam2_tracker.core.lifting.camera import Camera

WALL_M = 4.0
CAMERA = Camera((640, 480), (600.0, 600.0), (319.5, 239.5))


@dataclass(frozen=True, eq=False)
class Scene:
    """
    One thing before a wall.

    :param depth_m: (height, width) float32
    :param mask: its pixels
    """

    camera: Camera
    depth_m: np.ndarray
    mask: np.ndarray

    def labels(self, object_id: int = 7) -> np.ndarray:
        return np.where(self.mask, np.uint16(object_id), np.uint16(0))

    def grown(self, pixels: int) -> Scene:
        """Let the mask reach over its rim."""
        mask = self.mask.copy()
        for _ in range(pixels):
            wider = mask.copy()
            wider[1:] |= mask[:-1]
            wider[:-1] |= mask[1:]
            wider[:, 1:] |= mask[:, :-1]
            wider[:, :-1] |= mask[:, 1:]
            mask = wider
        return replace(self, mask=mask)

    def blurred(self) -> Scene:
        """Mix depth with that of the neighbours, as cameras do where one thing hides another."""
        padded = np.pad(self.depth_m, 1, mode='edge')
        height, width = self.depth_m.shape
        mean = sum(padded[row:row + height, column:column + width]
                   for row in range(3) for column in range(3)) / 9
        return replace(self, depth_m=mean.astype(np.float32))


def of_depth(z: np.ndarray, camera: Camera, wall_m: float = WALL_M) -> Scene:
    """Put what is nearer than the wall before it; NaN is nothing."""
    mask = z < wall_m
    return Scene(camera, np.where(mask, z, wall_m).astype(np.float32), mask)


def sphere(centre, radius: float, camera: Camera = CAMERA, wall_m: float = WALL_M) -> Scene:
    rays = _rays(camera)
    centre = np.asarray(centre)
    along = rays @ centre
    squared = (rays ** 2).sum(axis=-1)
    with np.errstate(invalid='ignore'):
        root = np.sqrt(along ** 2 - squared * (centre @ centre - radius ** 2))
    return of_depth((along - root) / squared, camera, wall_m)


def plate(centre, normal, half: float, camera: Camera = CAMERA) -> Scene:
    """Return a square plate whose one pair of sides is level."""
    rays, centre = _rays(camera), np.asarray(centre)
    normal = np.asarray(normal) / np.linalg.norm(normal)
    z = (normal @ centre) / (rays @ normal)
    across = np.cross(normal, (0.0, 1.0, 0.0))
    across /= np.linalg.norm(across)
    offset = rays * z[..., None] - centre
    is_on = (np.abs(offset @ across) <= half) & (
        np.abs(offset @ np.cross(normal, across)) <= half) & (z > 0)
    return of_depth(np.where(is_on, z, np.nan), camera)


def box(low, high, camera: Camera = CAMERA) -> Scene:
    """Return a box along the axes: where rays have entered all three pairs of its sides."""
    rays = _rays(camera)
    with np.errstate(divide='ignore'):
        first, last = np.asarray(low) / rays, np.asarray(high) / rays
    entered = np.minimum(first, last).max(axis=-1)
    is_hit = entered <= np.maximum(first, last).min(axis=-1)
    return of_depth(np.where(is_hit, entered, np.nan), camera)


def _rays(camera: Camera) -> np.ndarray:
    rays = camera.rays().astype(np.float64)
    return np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1)
