# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
A camera's intrinsics: the ray of each pixel, at any resolution, and without the lens's distortion.

Rays are those through the middle of pixels, which is where whole coordinates lie, as in ROS and
OpenCV. The camera looks along z, x is to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.text import shown
from sam2_tracker.core.types import Float32Array

Float64Array = npt.NDArray[np.float64]

#: Distortion models of CameraInfo that are known, with the most coefficients that are used.
MODELS = {'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4, 'fisheye': 4}
_ANGULAR = {'equidistant', 'fisheye'}
# Fixed-point steps: a usual lens needs ten, a wide one some more.
_STEPS = 60
# Of rays at distance 1: less than float32 tells apart, and than a millionth of a pixel.
_SETTLED = 1e-9
# So many stay in the processor's cache, and those in the middle settle sooner than at the rim.
_PIXELS_AT_ONCE = 8192
# Where a ray that is distorted again lands farther from its pixel than this, it has none.
_ACCEPTED_PX = 0.05
# Sides may differ by their rounding to whole pixels.
_ROUNDING_PX = 1.0


@dataclass(frozen=True)
class Camera:
    """
    A pinhole camera with its lens.

    :param size: width and height of its pictures in pixels
    :param focal_xy: focal lengths in pixels
    :param centre_xy: where the optical axis meets the picture, in pixels
    :param model: of the distortion, one of `MODELS`; any if there are no coefficients
    :param distortion: its coefficients, in OpenCV's order; none, or only 0: no distortion
    :raises FrameError: a value that no camera has, or a model that is not known
    """

    size: tuple[int, int]
    focal_xy: tuple[float, float]
    centre_xy: tuple[float, float]
    model: str = ''
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = (*self.focal_xy, *self.centre_xy, *self.distortion)
        if not np.isfinite(numbers).all():
            raise FrameError(
                f'camera of {self.size[0]}x{self.size[1]} pixels has a calibration with '
                f'{min(numbers, key=np.isfinite)} in it: finite numbers are right')
        if min(self.focal_xy) <= 0 or min(self.size) <= 0:
            raise FrameError(
                f'camera of {self.size[0]}x{self.size[1]} pixels with focal lengths '
                f'{self.focal_xy[0]:g} and {self.focal_xy[1]:g} is not calibrated: sizes and '
                'focal lengths are above 0')
        if self.is_distorted:
            self._check_model()

    @property
    def is_distorted(self) -> bool:
        """Tell whether pixels are not where a pinhole would have them."""
        return any(self.distortion)

    def _check_model(self) -> None:
        if self.model not in MODELS:
            raise FrameError(f'distortion model {shown(self.model)} is not known: use one of '
                             f'{", ".join(MODELS)}, or a rectified picture')
        if any(self.distortion[MODELS[self.model]:]):
            raise FrameError(
                f'{self.model} has {len(self.distortion)} coefficients: up to '
                f'{MODELS[self.model]} are known, further ones have to be 0')

    def scaled_to(self, size: tuple[int, int]) -> Camera:
        """
        Return the same camera with pictures of another resolution.

        :param size: width and height in pixels, of the same view
        :raises FrameError: the sides have another ratio, so it is another view
        """
        refuse_other_view('depth', size, 'the camera', self.size)
        width, height = self.size
        scale = size[0] / width
        scale_y = size[1] / height
        return replace(
            self, size=size,
            focal_xy=(self.focal_xy[0] * scale, self.focal_xy[1] * scale_y),
            centre_xy=((self.centre_xy[0] + 0.5) * scale - 0.5,
                       (self.centre_xy[1] + 0.5) * scale_y - 0.5))

    def rays(self) -> Float32Array:
        """
        Return where each pixel's ray is at distance 1 along the optical axis.

        :returns: (height, width, 2) float32, x and y; NaN for pixels that the distortion has no
            ray for, or one that is not before the camera
        """
        width, height = self.size
        columns = (np.arange(width) - self.centre_xy[0]) / self.focal_xy[0]
        rows = (np.arange(height) - self.centre_xy[1]) / self.focal_xy[1]
        rays = np.empty((height, width, 2), np.float32)
        at_once = max(1, _PIXELS_AT_ONCE // width)
        for first in range(0, height, at_once):
            part = rows[first:first + at_once]
            straight: Float64Array = np.stack(np.meshgrid(columns, part)).reshape(2, -1)
            if self.is_distorted:
                straight = self._undistorted(straight)
            rays[first:first + at_once] = straight.T.reshape(len(part), width, 2)
        return rays

    def _undistorted(self, distorted: Float64Array) -> Float64Array:
        """Return the rays of places at distance 1, all (2, n); NaN where there is none."""
        coefficients = np.zeros(8)
        given = self.distortion[:MODELS[self.model]]
        coefficients[:len(given)] = given
        distort, undistort = ((_distort_by_angle, _undistort_by_angle) if self.model in _ANGULAR
                              else (_distort_radially, _undistort_radially))
        with np.errstate(all='ignore'):
            straight = undistort(distorted, coefficients)
            missed = np.abs(distort(straight, coefficients) - distorted) * max(self.focal_xy)
        straight[:, ~(missed < _ACCEPTED_PX).all(axis=0)] = np.nan
        return straight


def refuse_other_view(what: str, size: tuple[int, int], other: str, other_size: tuple[int, int]
                      ) -> None:
    """
    Make sure that two pictures can show the same view at different resolutions.

    :param size: width and height in pixels
    :raises FrameError: their sides have another ratio
    """
    (width, height), (other_width, other_height) = size, other_size
    # In pixels of the coarser one, by which its height may be rounded.
    wrong_px = abs(height * other_width - other_height * width) / max(width, other_width)
    if wrong_px >= _ROUNDING_PX:
        raise FrameError(
            f'{what} is {width}x{height}, {other} {other_width}x{other_height}: both have to show '
            'the same view, so their sides have the same ratio')


def _distort_radially(rays: Float64Array, k: Float64Array) -> Float64Array:
    """Distort as plumb_bob and rational_polynomial do: k1 k2 p1 p2 k3 k4 k5 k6."""
    factor, shift = _radial_and_tangential(rays, k)
    return rays * factor + shift


def _undistort_radially(distorted: Float64Array, k: Float64Array) -> Float64Array:
    """Undo that, step by step: what is left after each is distorted a little less wrongly."""
    rays = distorted
    for _ in range(_STEPS):
        factor, shift = _radial_and_tangential(rays, k)
        before, rays = rays, (distorted - shift) / factor
        if _has_settled(rays - before):
            break
    return rays


def _has_settled(change: Float64Array) -> bool:
    return not np.any(np.abs(change) > _SETTLED)


def _radial_and_tangential(rays: Float64Array, k: Float64Array
                           ) -> tuple[Float64Array, Float64Array]:
    x, y = rays
    xx, yy, xy = x * x, y * y, x * y
    r2 = xx + yy
    factor = (1 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]))) / (
        1 + r2 * (k[5] + r2 * (k[6] + r2 * k[7])))
    shift = np.stack([2 * k[2] * xy + k[3] * (r2 + 2 * xx), k[2] * (r2 + 2 * yy) + 2 * k[3] * xy])
    return factor, shift


def _distort_by_angle(rays: Float64Array, k: Float64Array) -> Float64Array:
    """Distort as equidistant does: by the angle to the optical axis, k1 k2 k3 k4."""
    radius: Float64Array = np.linalg.norm(rays, axis=0)
    angle = np.arctan(radius)
    return rays * np.where(radius > 0, _polynomial(angle, k) / radius, 1.0)


def _undistort_by_angle(distorted: Float64Array, k: Float64Array) -> Float64Array:
    """Undo that, by Newton's method for the angle."""
    radius: Float64Array = np.linalg.norm(distorted, axis=0)
    angle = radius.copy()
    for _ in range(_STEPS):
        a2 = angle * angle
        slope = 1 + a2 * (3 * k[0] + a2 * (5 * k[1] + a2 * (7 * k[2] + a2 * 9 * k[3])))
        change = (_polynomial(angle, k) - radius) / slope
        angle -= change
        if _has_settled(change):
            break
    angle[~((angle >= 0) & (angle < np.pi / 2))] = np.nan
    return distorted * np.where(radius > 0, np.tan(angle) / radius, 1.0)


def _polynomial(angle: Float64Array, k: Float64Array) -> Float64Array:
    a2 = angle * angle
    return angle * (1 + a2 * (k[0] + a2 * (k[1] + a2 * (k[2] + a2 * k[3]))))
