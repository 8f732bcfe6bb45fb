# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is tracked in measurements of speed: pictures, prompts, and how masks are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import io
from pathlib import Path

from benchmarks.sequences import Mask
import numpy as np
from PIL import Image
from sam2_tracker.core.types import Prompt, UInt8Array

HW = (480, 640)
# SAM 2 reads at most 16 pointers, fewer on a shorter clip: stock would compute something else.
SHORTEST_CLIP = 16
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Clip:
    """
    The same frames as JPEGs in a folder and decoded.

    :param pictures: (H, W, 3) RGB each
    """

    folder: Path
    pictures: tuple[UInt8Array, ...]

    @property
    def hw(self) -> tuple[int, int]:
        """Return height and width."""
        height, width = self.pictures[0].shape[:2]
        return height, width


def scene(frames: int, hw: tuple[int, int] = HW) -> list[UInt8Array]:
    """Return pictures of a textured square that wanders over a drifting texture."""
    height, width = hw
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 160, (height // 8, width // 4, 3)).astype(np.uint8)
    ground = np.asarray(Image.fromarray(coarse).resize((2 * width, height)))
    square = rng.integers(90, 256, (height // 4, width // 5, 3)).astype(np.uint8)
    found = []
    for index in range(frames):
        left = index * 2 % width
        picture = ground[:, left:left + width].copy()
        y = height // 3 + int(height / 12 * np.sin(index / 15))
        x = width // 3 + int(width / 10 * np.sin(index / 40))
        picture[y:y + square.shape[0], x:x + square.shape[1]] = square
        found.append(picture)
    return found


def write_clip(folder: Path, frames: int, hw: tuple[int, int] = HW) -> Clip:
    """Write a scene's JPEGs, and decode them as stock SAM 2 does: all ways see one picture."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for index, picture in enumerate(scene(frames, hw)):
        path = folder / f'{index:05d}.jpg'
        Image.fromarray(picture).save(path, quality=_JPEG_QUALITY)
        pictures.append(np.asarray(Image.open(path).convert('RGB')))
    return Clip(folder, tuple(pictures))


def jpeg(picture: UInt8Array) -> bytes:
    """Encode a picture."""
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, 'JPEG', quality=_JPEG_QUALITY)
    return sink.getvalue()


def boxes(objects: int, hw: tuple[int, int] = HW) -> list[Prompt]:
    """Return so many boxes: the first around the square, the others spread over the picture."""
    height, width = hw
    found = [(width / 3, height / 3, width * (1 / 3 + 1 / 5), height * (1 / 3 + 1 / 4))]
    for index in range(objects - 1):
        x, y = width * (0.04 + 0.12 * (index % 7)), height * (0.05 + 0.17 * (index // 7 % 5))
        found.append((x, y, x + width * 0.17, y + height * 0.18))
    return [Prompt(box_xyxy=np.array(box, np.float32)) for box in found]


def overlap(one: Mask, other: Mask) -> float:
    """Return the IoU of two masks; two empty ones agree."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def lowest_overlap(ours: Iterable[Sequence[Mask]], theirs: Iterable[Sequence[Mask]],
                   tolerated_px: int = 0) -> float:
    """
    Return the worst IoU over all frames and objects.

    :param tolerated_px: masks that differ in no more pixels than that count as equal
    :raises ValueError: if one has other frames or objects than the other, or there is none
    """
    found = [1.0 if int((one ^ other).sum()) <= tolerated_px else overlap(one, other)
             for row, others in zip(ours, theirs, strict=True)
             for one, other in zip(row, others, strict=True)]
    if not found:
        raise ValueError('there is no mask to compare')
    return min(found)


def covered_share(masks: Iterable[Sequence[Mask]]) -> float:
    """Return which share of the pictures the masks cover: 0 or 1 would prove nothing."""
    return float(np.mean([mask.mean() for row in masks for mask in row]))
