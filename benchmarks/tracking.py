# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Run the engine over a sequence, as fast as it goes, and keep what it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import time

from benchmarks.sequences import Mask, Picture
import numpy as np
from PIL import Image
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Prompt, Wanted


@dataclass(frozen=True)
class Track:
    """
    What the engine said of one object.

    :ivar masks: a (H, W) mask a frame
    :ivar visible: for each frame whether the engine called the object visible
    """

    masks: tuple[Mask, ...]
    visible: tuple[bool, ...]


@dataclass(frozen=True)
class Run:
    """What the engine said of all objects, and how long each frame after the first took."""

    tracks: tuple[Track, ...]
    seconds: tuple[float, ...]


def read_rgb(path: object) -> Picture:
    """Decode a picture as SAM 2's own loader does: PIL, RGB."""
    return np.asarray(Image.open(str(path)).convert('RGB'))


def run_engine(predictor: Predictor, pictures: Iterable[Picture],
               prompts: list[Prompt]) -> Run:
    """
    Prompt every object on the first frame and track all of them through the others.

    :param pictures: (H, W, 3) RGB, at least one
    :param prompts: one an object
    """
    found: list[list[tuple[Mask, bool]]] = [[] for _ in prompts]
    seconds = []
    memories = []
    for index, rgb in enumerate(pictures):
        start = time.perf_counter()
        features = predictor.encode(rgb)
        size = (rgb.shape[0], rgb.shape[1])
        if index == 0:
            memories = [predictor.new_memory(size) for _ in prompts]
            for memory, prompt in zip(memories, prompts, strict=True):
                predictor.prompt(memory, 0, features, prompt, clear_previous=False)
        outputs = predictor.track([TrackStep(memory, index, features) for memory in memories])
        shown = predictor.summarise(outputs, range(1, len(prompts) + 1), size,
                                    Wanted(label_image=False))
        for memory in memories:
            memory.prune(index, 0)
        if index:
            seconds.append(time.perf_counter() - start)
        for row, mask, summary in zip(found, shown.masks, shown.objects, strict=True):
            row.append((mask, summary.visible))
    return Run(tuple(Track(tuple(mask for mask, _ in row), tuple(seen for _, seen in row))
                     for row in found), tuple(seconds))
