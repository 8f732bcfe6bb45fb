# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Settings of the core, as plain values: the ROS parameters and the command line fill them."""

from __future__ import annotations

from dataclasses import dataclass, field
import enum
from pathlib import Path


class FramePolicy(enum.Enum):
    """What to do when frames come faster than they can be tracked."""

    LATEST = 'latest'
    EVERY = 'every'


@dataclass(frozen=True)
class ModelConfig:
    """
    Which model, and how it runs.

    :param checkpoint: path of the weights, None for the model's own in the cache
    :param device: auto, cpu, cuda or cuda:N
    :param precision: auto (bfloat16 on CUDA, else float32), bfloat16 or float32
    :param compile: none, encoder or full
    :param image_size: side of the square that the model sees in pixels, 0 for the model's own
    :param batching: several objects in one pass: auto (on CUDA, and if compile is full), always or
        never
    """

    name: str = 'nano'
    checkpoint: Path | None = None
    device: str = 'auto'
    precision: str = 'auto'
    compile: str = 'none'
    image_size: int = 0
    batching: str = 'auto'


@dataclass(frozen=True)
class BufferConfig:
    """
    The frame buffer.

    :param directory: parent of the sessions' folders, None for a private temporary one
    :param max_frames: processed frames kept
    :param max_bytes: bytes of JPEG kept, processed and waiting together
    :param jpeg_quality: 1 to 100, for frames that arrive raw
    :param max_side: longest side of a stored frame in pixels, 0 to store them as they are
    :param keep: leave the frames on disk at exit and evict nothing
    """

    directory: Path | None = None
    max_frames: int = 300
    max_bytes: int = 2 * 1024**3
    jpeg_quality: int = 95
    max_side: int = 0
    keep: bool = False


@dataclass(frozen=True)
class TrackingConfig:
    """
    The tracker.

    :param max_cond_frames: prompted frames that memory attention reads per object, 2 or more
    :param look_back_frames: processed frames that a refinement may go back; 0 means 2 s at the
        camera's measured rate
    :param lost_after_s: occluded for longer than this, in image stamps, means lost
    :param mask_threshold: logit above which a pixel belongs to the object
    :param fill_hole_area: holes of up to so many source pixels are filled in the output, 0 for
        none
    """

    max_objects: int = 32
    max_cond_frames: int = 4
    look_back_frames: int = 0
    lost_after_s: float = 3.0
    mask_threshold: float = 0.0
    fill_hole_area: int = 0


@dataclass(frozen=True)
class PromptConfig:
    """
    How prompts find their frame.

    :param stamp_tolerance_s: farthest that the nearest buffered frame may be from a stamp
    :param timeout_s: a request that has not taken effect by then is withdrawn
    """

    stamp_tolerance_s: float = 0.1
    timeout_s: float = 10.0


@dataclass(frozen=True)
class CoreConfig:
    """Everything that the core needs to run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    buffer: BufferConfig = field(default_factory=BufferConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    frame_policy: FramePolicy = FramePolicy.LATEST
