# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Frames a second of the engine alone: no ROS, no decoding, one object."""

from __future__ import annotations

from benchmarks.tracking import run_engine
import numpy as np
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.types import Prompt

FRAMES = 60
# Until then the memory is not full: 6 maps and 15 pointers.
WARM_UP = 20


def measure_fps(predictor: Predictor) -> float:
    """Track one object through 640x480 noise that drifts: 1 over the median time of a frame."""
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (60, 80 + FRAMES, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    pictures = [np.ascontiguousarray(scene[:, 2 * frame:2 * frame + 640])
                for frame in range(FRAMES)]
    prompt = Prompt(box_xyxy=np.array([200, 150, 400, 350], np.float32))
    run = run_engine(predictor, pictures, [prompt])
    return 1 / float(np.median(run.seconds[WARM_UP:]))
