# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
Pillow's bicubic resize of 8-bit pictures, on any device, equal in every byte.

Pillow computes in integers: a pass along each axis, with weights of 22 bits after the point, and
rounds to bytes after each. So order matters: which one Pillow takes depends on its version and on
the picture's size, and `matching_resize` finds it by trying.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from sam2_tracker.core.types import UInt8Array
import torch

# Weights and pixels together fill 31 bits.
_WEIGHT_BITS = 32 - 8 - 2
# Bicubic interpolation reads so many pixels to either side when it enlarges.
_SUPPORT = 2.0

Resize = Callable[[torch.Tensor], torch.Tensor]
_Floats = npt.NDArray[np.float64]


def resized_by_pillow(image_rgb: UInt8Array, side: int) -> UInt8Array:
    """
    Scale a picture to a square as stock SAM 2 does: Pillow, bicubic, aspect not kept.

    :param image_rgb: (height, width, 3) uint8
    :returns: (side, side, 3) uint8
    """
    if image_rgb.shape[:2] == (side, side):
        return image_rgb
    return np.asarray(Image.fromarray(image_rgb).resize((side, side)))


def matching_resize(source_hw: tuple[int, int], side: int, device: torch.device) -> Resize | None:
    """
    Return what resizes pictures of one size on a device just as the installed Pillow does.

    :param source_hw: height and width of the pictures
    :param side: side of the square that they become
    :returns: (height, width, 3) uint8 to (3, side, side) uint8; None if no order of the passes
        gives Pillow's bytes
    """
    noise = np.random.default_rng(0).integers(0, 256, (*source_hw, 3), np.uint8)
    expected = torch.tensor(resized_by_pillow(noise, side), device=device).permute(2, 0, 1)
    pixels = torch.tensor(noise, device=device)
    for vertical_first in (False, True):
        resize = IntegerResize(source_hw, side, vertical_first, device)
        if torch.equal(resize(pixels), expected):
            return resize
    return None


class IntegerResize:
    """
    Bicubic resize in integers.

    :param source_hw: height and width of the pictures
    :param side: side of the square that they become
    :param vertical_first: whether columns are scaled before rows
    """

    def __init__(self, source_hw: tuple[int, int], side: int, vertical_first: bool,
                 device: torch.device) -> None:
        height, width = source_hw
        # The axes of (3, height, width).
        passes = [(axis, _weights(length, side, device))
                  for axis, length in ((2, width), (1, height)) if length != side]
        self._passes = passes[::-1] if vertical_first else passes

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """
        Resize a picture.

        :param pixels: (height, width, 3) uint8
        :returns: (3, side, side) uint8
        """
        planes = pixels.permute(2, 0, 1).contiguous()
        for axis, weights in self._passes:
            planes = weights.apply(planes, axis)
        return planes


@dataclass(frozen=True, eq=False)
class _Weights:
    """
    What each place along the new axis is made of.

    :param places: (taps, places) int64, pixels of the old axis
    :param weights: (taps, places) int32
    """

    places: torch.Tensor
    weights: torch.Tensor

    def apply(self, planes: torch.Tensor, axis: int) -> torch.Tensor:
        """Scale one axis of (3, rows, columns) uint8."""
        shape = (1, -1, 1) if axis == 1 else (1, 1, -1)
        half = 1 << (_WEIGHT_BITS - 1)
        total: torch.Tensor | int = half
        for places, weights in zip(self.places, self.weights, strict=True):
            total = planes.index_select(axis, places) * weights.view(shape) + total
        assert isinstance(total, torch.Tensor)
        return (total >> _WEIGHT_BITS).clamp_(0, 255).to(torch.uint8)


def _weights(old: int, new: int, device: torch.device) -> _Weights:
    """Compute the weights as Pillow does, in the same order of the same operations."""
    scale = old / new
    filter_scale = max(scale, 1.0)
    support = _SUPPORT * filter_scale
    centers = (np.arange(new) + 0.5) * scale
    first = np.maximum((centers - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + support + 0.5).astype(np.int64), old)
    taps = int((last - first).max())
    places = first + np.arange(taps)[:, None]
    raw = _bicubic((places - centers + 0.5) * (1.0 / filter_scale))
    raw[places >= last] = 0.0
    # One after the other: numpy's own sum of many would round otherwise.
    total = np.add.accumulate(raw)[-1]
    # Without a total Pillow leaves them as they are.
    shares = raw / np.where(total == 0.0, 1.0, total)
    rounded = np.trunc(shares * (1 << _WEIGHT_BITS) + np.where(shares < 0, -0.5, 0.5))
    return _Weights(torch.tensor(np.minimum(places, old - 1), device=device),
                    torch.tensor(rounded.astype(np.int32), device=device))


def _bicubic(x: _Floats) -> _Floats:
    """Return the kernel with the parameter -0.5, 0 beyond 2."""
    a = -0.5
    x = np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    kernel: _Floats = np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
    return kernel
