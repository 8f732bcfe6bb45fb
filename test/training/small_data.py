# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of training data as small as can be: three clips and some stills."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from training.pack import encode, HELD_BACK

HELD = HELD_BACK['puppies'][0]
CLIPS = ('moving_square', 'things_desk', HELD)
FRAMES = 12
HEIGHT, WIDTH = 64, 96


def write_data(root: Path) -> Path:
    """Write clips in which a square moves over a bar, and stills of one white object."""
    for number, name in enumerate(CLIPS):
        folder = root / 'video' / name
        folder.mkdir(parents=True)
        frames = []
        for frame in range(FRAMES):
            rgb = np.full((HEIGHT, WIDTH, 3), (40 + 30 * number, 90, 120), np.uint8)
            labels = np.zeros((HEIGHT, WIDTH), np.uint8)
            for label, (rows, columns, colour) in enumerate((
                    (slice(20, 50), slice(60, 84), (10, 200, 40)),
                    (slice(10 + frame, 34 + frame), slice(8 + frame, 40 + frame),
                     (220, 30, 60 * number)))):
                rgb[rows, columns] = colour
                labels[rows, columns] = label + 1
            frames.append(rgb)
            cv2.imwrite(str(folder / f'{frame:05d}.png'), labels)
        (folder / 'video.mp4').write_bytes(encode(frames, rate_factor=20))
    stills = root / 'stills-squares'
    stills.mkdir()
    for number in range(4):
        picture = np.full((80, 70, 3), 128, np.uint8)
        picture[10:50, 10:60] = (200, 40 * number, 10)
        mask = np.zeros((80, 70), np.uint8)
        mask[10:50, 10:60] = 255
        cv2.imwrite(str(stills / f'{number}.jpg'), picture)
        cv2.imwrite(str(stills / f'{number}.png'), mask)
    return root
