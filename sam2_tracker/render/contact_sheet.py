# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Many frames on one picture, to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sam2_tracker.core.types import UInt8Array

CAPTION_HEIGHT = 22
GAP = 4


def contact_sheet(
    images: Sequence[UInt8Array], captions: Sequence[str], columns: int = 3, tile_width: int = 426
) -> UInt8Array:
    """
    Put pictures side by side, in reading order, each with a caption above it.

    :param images: one or more (height, width, 3) uint8, of any sizes; all BGR or all RGB
    :param captions: one for each picture
    :param tile_width: width of each picture on the sheet in pixels
    :returns: (height, width, 3) uint8, channels as given
    """
    tiles = [
        _tile(image, caption, tile_width) for image, caption in zip(images, captions, strict=True)
    ]
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    width = min(columns, len(tiles)) * (tile_width + GAP) + GAP
    heights = [max(tile.shape[0] for tile in row) + GAP for row in rows]
    sheet = np.full((sum(heights) + GAP, width, 3), 255, np.uint8)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = GAP + column * (tile_width + GAP)
            sheet[top : top + tile.shape[0], left : left + tile_width] = tile
        top += height
    return sheet


def spread(count: int, wanted: int) -> list[int]:
    """Choose ``wanted`` of ``count`` positions, evenly spread, the first and last among them."""
    return sorted({round(position) for position in np.linspace(0, count - 1, min(wanted, count))})


def _tile(image: UInt8Array, caption: str, width: int) -> UInt8Array:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    tile = np.full((height + CAPTION_HEIGHT, width, 3), 255, np.uint8)
    tile[CAPTION_HEIGHT:] = picture
    cv2.putText(
        tile,
        caption,
        (2, CAPTION_HEIGHT - 6),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.5,
        (0, 0, 0),
        1,
        cv2.LINE_AA,
    )
    return tile
