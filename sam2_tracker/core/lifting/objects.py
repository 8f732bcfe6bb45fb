# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Objects in space: which of a mask's pixels measure the object, its centroid and its extent.

Depth at the rim of a mask is the least to be trusted: the mask may reach over it, and a camera
mixes what is before with what is behind. So the rim is left out, then points that hang between
two surfaces, then every surface but the one that most points lie on. docs/lift.md has the rules
in words; what is not told by the depth, such as an object's far side, is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.lifting.camera import refuse_other_view
from sam2_tracker.core.settings import setting, specs_of, When
from sam2_tracker.core.types import BoolArray, Float32Array, UInt16Array

Float64Array = npt.NDArray[np.float64]

FIXED = When.FIXED
_NAME = r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*'
# A surface that is seen at a smaller angle than this looks like what hangs between two others.
_FLATTEST_DEG = 8.0
# A surface's bins of depth have at least this share of the points; fewer only hang between two.
_SMALLEST_SHARE = 0.004


@dataclass(frozen=True)
class LiftConfig:
    """What `lift` can be told."""

    tracker: str = setting(
        '/sam2_tracker', "The tracker's node, with its namespace.", when=FIXED,
        pattern=_NAME, pattern_help='the name of a node')
    stamp_tolerance_s: float = setting(
        0.05, "Seconds that depth may be from a label image's stamp; the nearest is taken.",
        when=FIXED, between=(0.0, 10.0))
    keep_s: float = setting(
        5.0, 'Seconds of depth that are kept for label images that come later.', when=FIXED,
        between=(0.1, 600.0))
    rectified: bool = setting(
        False, "Depth is rectified: CameraInfo's P is taken, not K and D.", when=FIXED)
    max_depth_m: float = setting(
        0.0, 'Depth beyond it counts as none; 0 for no limit.', when=FIXED,
        between=(0.0, 10000.0))
    edge_px: int = setting(
        2, "Pixels of depth left out around a mask's rim, but of thin masks.", when=FIXED,
        between=(0, 50))
    max_gap: float = setting(
        0.05, 'Share of its distance from which on a step in depth separates two surfaces.',
        when=FIXED, between=(0.001, 1.0))
    trim_percent: float = setting(
        0.2, 'Percent of the points that an extent leaves out at each end of an axis.',
        when=FIXED, between=(0.0, 25.0))
    min_points: int = setting(
        20, 'An object with fewer points of depth is left out.', when=FIXED, between=(1, 1000000))

    def check(self) -> None:
        """
        Check what belongs together.

        :raises ConfigError: nothing would be kept as long as it may be used
        """
        if self.stamp_tolerance_s > self.keep_s:
            raise ConfigError(f"parameter 'stamp_tolerance_s' is {self.stamp_tolerance_s:g}: it "
                              f'is at most keep_s, which is {self.keep_s:g}')


LIFT_SPECS = tuple(specs_of(LiftConfig))


@dataclass(frozen=True, eq=False)
class LiftedObject:
    """
    What of an object the camera sees, in metres in the camera's frame.

    :param points_xyz: (n, 3) float32, in the order of the depth image's pixels
    :param centroid_xyz: middle of the visible surface, whose near parts count for no more than
        the far ones though they have more pixels
    :param box_centre_xyz: middle of the extent
    :param box_size_xyz: extent along the camera's axes, without `trim_percent` at each end
    """

    id: int  # noqa: A003
    points_xyz: Float32Array
    centroid_xyz: tuple[float, float, float]
    box_centre_xyz: tuple[float, float, float]
    box_size_xyz: tuple[float, float, float]


def lift_objects(depth_m: Float32Array, label_image: UInt16Array, rays: Float32Array,
                 object_ids: Iterable[int], config: LiftConfig) -> tuple[LiftedObject, ...]:
    """
    Find objects in space.

    :param depth_m: (height, width) float32, distances along the optical axis; 0, NaN, infinite
        and negative mean none
    :param label_image: uint16, pixel = object id, of the same view at any resolution
    :param rays: (height, width, 2) of the depth's camera, as `Camera.rays` makes them
    :raises FrameError: the label image is of another view
    :returns: those of the objects that have depth for `min_points` points, in the order given
    """
    (height, width), (label_height, label_width) = depth_m.shape, label_image.shape
    refuse_other_view('depth', (width, height), 'the label image', (label_width, label_height))
    labels = sampled(label_image, depth_m.shape)
    part = _part_with_labels(labels)
    labels, rays = labels[part], rays[part]
    depth_m = _usable(depth_m[part], rays, config.max_depth_m)
    inside = _without_rim(labels, config.edge_px)
    hanging = _between_surfaces(depth_m, rays)
    lifted = []
    for object_id in object_ids:
        mask = labels == object_id
        kept = mask & inside
        # Of a thin mask nearly all is rim.
        if 2 * np.count_nonzero(kept) < np.count_nonzero(mask):
            kept = mask
        places = np.flatnonzero(kept & ~hanging & np.isfinite(depth_m))
        z = depth_m.ravel()[places]
        on_surface = _largest_surface(z, config.max_gap)
        if np.count_nonzero(on_surface) >= config.min_points:
            z, places = z[on_surface], places[on_surface]
            xy = rays.reshape(-1, 2)[places] * z[:, None]
            lifted.append(_measured(object_id, np.column_stack([xy, z]), config))
    return tuple(lifted)


def sampled(label_image: UInt16Array, hw: tuple[int, ...]) -> UInt16Array:
    """
    Return a label image at another resolution: the label in the middle of each pixel.

    :param hw: height and width
    """
    if label_image.shape == tuple(hw):
        return label_image
    rows, columns = (
        ((np.arange(wanted) + 0.5) * there / wanted).astype(np.intp)
        for there, wanted in zip(label_image.shape, hw, strict=True))
    return label_image[rows[:, None], columns]


def _part_with_labels(labels: UInt16Array) -> tuple[slice, slice]:
    """Return the part of a picture that has all labels, and one pixel around them."""
    rows, columns = (np.flatnonzero(labels.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return (slice(max(0, rows[0] - 1), rows[-1] + 2),
            slice(max(0, columns[0] - 1), columns[-1] + 2))


def _usable(depth_m: Float32Array, rays: Float32Array, max_depth_m: float) -> Float32Array:
    """Return the depth with NaN where there is none."""
    is_usable = np.isfinite(depth_m) & (depth_m > 0) & np.isfinite(rays).all(axis=-1)
    if max_depth_m:
        is_usable &= depth_m <= max_depth_m
    return np.where(is_usable, depth_m, np.float32(np.nan))


def _without_rim(labels: UInt16Array, edge_px: int) -> BoolArray:
    """Tell which pixels have none of another label within some pixels; borders are no rim."""
    inside = np.ones(labels.shape, bool)
    differs_below = labels[1:] != labels[:-1]
    differs_right = labels[:, 1:] != labels[:, :-1]
    inside[1:] &= ~differs_below
    inside[:-1] &= ~differs_below
    inside[:, 1:] &= ~differs_right
    inside[:, :-1] &= ~differs_right
    for _ in range(edge_px - 1):
        smaller = inside.copy()
        smaller[1:] &= inside[:-1]
        smaller[:-1] &= inside[1:]
        smaller[:, 1:] &= inside[:, :-1]
        smaller[:, :-1] &= inside[:, 1:]
        inside = smaller
    return inside if edge_px else np.ones(labels.shape, bool)


def _between_surfaces(depth_m: Float32Array, rays: Float32Array) -> BoolArray:
    """
    Tell which pixels hang between what is before and what is behind them.

    Their depth goes on in the same direction to both sides, along a row or a column, by more
    than on any surface that is seen well. Next to a hole the other side alone tells.
    """
    hanging = np.zeros(depth_m.shape, bool)
    for axis in (0, 1):
        z = np.moveaxis(depth_m, axis, 0)
        pitch = np.abs(np.diff(np.moveaxis(rays[..., 1 - axis], axis, 0), axis=0))
        steps = np.diff(z, axis=0)
        with np.errstate(invalid='ignore'):
            steepest = z[:-1] * pitch / np.tan(np.radians(_FLATTEST_DEG))
            direction = np.where(np.abs(steps) > steepest, np.sign(steps), 0)
        direction[~np.isfinite(steps)] = np.nan
        before, after = direction[:-1], direction[1:]
        found = np.moveaxis(hanging, axis, 0)
        with np.errstate(invalid='ignore'):
            found[1:-1] |= (before * after > 0) | (np.isnan(before) & np.isnan(after)) | (
                np.isnan(before) & (after != 0)) | (np.isnan(after) & (before != 0))
    return hanging


def _largest_surface(z: Float32Array, max_gap: float) -> BoolArray:
    """
    Tell which points lie on the surface that has most of them.

    Depths are counted in bins whose width grows with the distance; where a bin is all but empty
    one surface ends.
    """
    if not len(z):
        return np.zeros(0, bool)
    bins = np.floor(np.log(z) / np.log1p(max_gap)).astype(np.int64)
    bins -= bins.min()
    counts = np.bincount(bins)
    is_filled = counts >= max(1.0, _SMALLEST_SHARE * len(z))
    surface = np.cumsum(np.diff(is_filled, prepend=False) & is_filled) * is_filled
    points_on = np.bincount(surface, weights=counts)
    points_on[0] = -1  # What is in bins that are all but empty.
    return np.asarray(surface[bins] == np.argmax(points_on))


def _measured(object_id: int, points_xyz: Float32Array, config: LiftConfig) -> LiftedObject:
    points = points_xyz.astype(np.float64)
    # The part of a flat side that a pixel sees is as large as the third power of its distance:
    # without that the near parts, which have more pixels, would count for more.
    z = points[:, 2]
    weights = z * z * z
    centroid = weights @ points / weights.sum()
    low, high = np.percentile(
        np.ascontiguousarray(points.T), [config.trim_percent, 100 - config.trim_percent], axis=1)
    return LiftedObject(object_id, points_xyz, _triple(centroid), _triple((low + high) / 2),
                        _triple(high - low))


def _triple(values: Float64Array) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
