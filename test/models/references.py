# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Other projects' own predictors, to compare with: got from PyPI, run in processes of their own.

They lie in a scratch folder, of which this process imports nothing: some install a second `sam2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Prompt, UInt8Array
import torch

HERE = Path(__file__).resolve().parent
PICTURE_HW = (128, 128)
CLICK_XY = (50.0, 40.0)


def installed(folder: Path, packages: Sequence[str]) -> Path:
    """Install packages into a folder, without what they depend on, or skip the test."""
    done = subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-compile',
         '--disable-pip-version-check', '--retries', '1', '--timeout', '20',
         '--target', str(folder), *packages],
        capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ['pip failed']
        pytest.skip(f'{packages[0]} cannot be got from PyPI: {said[-1]}')
    return folder


def run_reference(script: str, *arguments: object) -> None:
    """Run a script of this folder in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def write_pictures(folder: Path, count: int) -> list[UInt8Array]:
    """Write a bright disc that moves over a texture, as stock SAM 2 reads clips; lossless."""
    from PIL import Image

    rng = np.random.default_rng(0)
    height, width = PICTURE_HW
    rough = rng.integers(0, 90, (height // 8, width // 8, 3), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(rough).resize((width, height)))
    rows, columns = np.mgrid[:height, :width]
    pictures = []
    for index in range(count):
        picture = texture.copy()
        disc = (columns - 50 - 3 * index) ** 2 + (rows - 40 - index) ** 2 < 15 ** 2
        picture[disc] = (230, 180, 60)
        path = folder / f'{index:05d}.jpg'
        Image.fromarray(picture).save(path, quality=95)
        pictures.append(np.asarray(Image.open(path).convert('RGB')))
    return pictures


def tracked(predictor: Predictor, pictures: Sequence[UInt8Array]) -> torch.Tensor:
    """Click on the first picture and track through all: (pictures, h, w) logits of the model."""
    memory = predictor.new_memory(PICTURE_HW)
    click = Prompt(points_xy=np.array([CLICK_XY], np.float32),
                   point_labels=np.ones(1, np.int32))
    logits = []
    for index, picture in enumerate(pictures):
        features = predictor.encode(picture)
        if index == 0:
            predictor.prompt(memory, 0, features, click, clear_previous=False)
        output, = predictor.track([TrackStep(memory, index, features)])
        logits.append(output.logits.reshape(output.logits.shape[-2:]))
        memory.prune(index, 0)
    return torch.stack(logits)
