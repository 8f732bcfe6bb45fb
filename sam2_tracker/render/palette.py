# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""One colour per object id, the same in every picture."""

from __future__ import annotations

import numpy as np
from PIL import Image
from sam2_tracker.core.types import UInt8Array, UInt16Array  # noqa: I101

# Neighbouring ids are far apart in hue, and none is close to grey or black.
HEX_COLOURS = (
    '#ff3838', '#00c2ff', '#ffb21d', '#48f90a', '#cb38ff', '#ff701f', '#00d4bb', '#ff95c8',
    '#cfd231', '#344bff', '#92cc17', '#ff37c7', '#3ddb86', '#8438ff', '#ff9d97', '#2c99a8',
    '#e8e34f', '#520085', '#1a9334', '#a0522d',
)  # fmt: skip


def colour_rgb(object_id: int) -> tuple[int, int, int]:
    """Return an object's colour; ids that are a multiple of the palette apart share one."""
    text = HEX_COLOURS[(object_id - 1) % len(HEX_COLOURS)]
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def label_picture(label_image: UInt16Array) -> Image.Image:
    """
    Turn a label image into a picture to store as PNG: pixel = id, shown in the objects' colours.

    :param label_image: (height, width) uint16, 0 = background
    :returns: a palette image as DAVIS has them, or 16-bit grey if an id is above 255
    """
    if label_image.size and int(label_image.max()) > 255:
        return Image.fromarray(label_image)
    picture = Image.fromarray(label_image.astype(np.uint8))
    picture.putpalette(_palette().tobytes())
    return picture


def _palette() -> UInt8Array:
    colours = np.zeros((256, 3), np.uint8)
    colours[1:] = [colour_rgb(object_id) for object_id in range(1, 256)]
    return colours
