# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the made camera sees: a red and a blue square that move over a shaded ground."""

from __future__ import annotations

from functools import lru_cache
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

Picture = npt.NDArray[np.uint8]

HW = (120, 160)
RED = (220, 40, 40)
BLUE = (40, 60, 230)


@lru_cache(maxsize=16)
def _ground(hw: tuple[int, int]) -> Picture:
    height, width = hw
    y, x = np.mgrid[:height, :width]
    channels = 60 + 80 * x // width, 110 + 60 * y // height, 90 + (x + y) % 50
    return np.ascontiguousarray(np.stack(channels, axis=-1).astype(np.uint8))


def red_centre(number: int, hw: tuple[int, int] = HW) -> tuple[int, int]:
    """Return x and y of the red square's centre."""
    return int(hw[1] * (0.3 + 0.1 * np.sin(number / 15))), hw[0] // 2


def blue_centre(number: int, hw: tuple[int, int] = HW) -> tuple[int, int]:
    """Return x and y of the blue square's centre."""
    return int(hw[1] * (0.75 + 0.05 * np.cos(number / 11))), hw[0] // 2


def half_side(hw: tuple[int, int] = HW) -> int:
    """Return half the squares' side in pixels."""
    return max(1, hw[0] // 8)


def picture(number: int, hw: tuple[int, int] = HW, has_red: bool = True) -> Picture:
    """Return a picture, (height, width, 3) RGB."""
    made = _ground(hw).copy()
    reach = half_side(hw)
    squares = [(blue_centre(number, hw), BLUE)]
    if has_red:
        squares.append((red_centre(number, hw), RED))
    for (x, y), colour in squares:
        made[max(0, y - reach):y + reach, max(0, x - reach):x + reach] = colour
    return made


def red_box(number: int, hw: tuple[int, int] = HW) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the red square."""
    (x, y), reach = red_centre(number, hw), half_side(hw)
    return x - reach, y - reach, x + reach, y + reach


def encoded(pixels: Picture, form: str = 'JPEG', **options: object) -> bytes:
    """Return a picture as a file's bytes."""
    sink = io.BytesIO()
    if form == 'JPEG':
        options.setdefault('quality', 95)
    PIL.Image.fromarray(pixels).save(sink, form, **options)
    return sink.getvalue()


def write_folder(folder: Path, count: int, hw: tuple[int, int] = HW, first: int = 0,
                 digits: int = 5) -> Path:
    """Write pictures as JPEGs, numbered in their names."""
    folder.mkdir(parents=True)
    for number in range(first, first + count):
        (folder / f'{number:0{digits}d}.jpg').write_bytes(encoded(picture(number, hw)))
    return folder
