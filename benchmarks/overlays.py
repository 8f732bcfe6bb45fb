# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of masks over frames, to look at."""

from __future__ import annotations

from pathlib import Path

from benchmarks.tracking import Track
import cv2
import numpy as np
from numpy.typing import NDArray

COLOURS = ((255, 80, 60), (60, 170, 255), (90, 230, 90), (250, 220, 60))
SHEET_WIDTH = 380
SHEET_FRAMES = 6


def draw_masks(rgb: NDArray[np.uint8], masks: list[NDArray[np.bool_]],
               truth: list[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Tint (H, W) masks and outline what is true in white."""
    drawn = rgb.astype(np.float32)
    for index, mask in enumerate(masks):
        drawn[mask] = 0.45 * drawn[mask] + 0.55 * np.array(COLOURS[index % len(COLOURS)])
    picture = drawn.astype(np.uint8)
    for mask in truth:
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL,
                                       cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, (255, 255, 255), 1)
    return picture


def write_sheet(path: Path, pictures: list[NDArray[np.uint8]], tracks: tuple[Track, ...],
                truth: tuple[tuple[NDArray[np.bool_], ...], ...]) -> None:
    """Write frames spread over a sequence, masks tinted and truth outlined, as one picture."""
    chosen = np.linspace(0, len(pictures) - 1, min(SHEET_FRAMES, len(pictures))).astype(int)
    tiles = []
    for frame in chosen:
        tile = draw_masks(pictures[frame], [track.masks[frame] for track in tracks],
                          [masks[frame] for masks in truth])
        height = round(tile.shape[0] * SHEET_WIDTH / tile.shape[1])
        tiles.append(cv2.resize(tile, (SHEET_WIDTH, height), interpolation=cv2.INTER_AREA))
    while len(tiles) % 3:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.concatenate(tiles[i:i + 3], 1) for i in range(0, len(tiles), 3)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate(rows)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
