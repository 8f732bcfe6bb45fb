# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels to the encoder's input, bit-identical to stock SAM 2's over a folder of pictures."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from PIL import __version__ as pillow_version
from sam2_tracker.core.engine.graphs.replays import Replays
from sam2_tracker.core.engine.pillow_resize import matching_resize, Resize, resized_by_pillow
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.types import UInt8Array
import torch

# SAM 2's own, those of ImageNet.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# Sizes of pictures that a resize is kept for: a folder may have many.
_SIZES_KEPT = 32
# One is filled while the other is still being copied to the device.
_UPLOADS = 2


class Preprocessor:
    """
    Scale and normalise pictures as stock SAM 2 does.

    On a GPU that is done there, in the integers of Pillow: see `pillow_resize`. A CPU does it with
    Pillow itself.

    :param side: side of the model's square input in pixels
    :param replays: where the work on the device is recorded
    :param on_device: scale on the device
    """

    def __init__(self, side: int, device: torch.device, replays: Replays, log: Log = silent,
                 on_device: bool = False) -> None:
        self._side = side
        self._device = device
        self._replays = replays
        self._log = log
        self._on_device = on_device
        self._upload = _Upload(device)
        self._matching = functools.lru_cache(_SIZES_KEPT)(
            lambda source_hw: matching_resize(source_hw, side, device))
        self._has_warned = False
        self._mean = torch.tensor(MEAN, dtype=torch.float32, device=device)[:, None, None]
        self._std = torch.tensor(STD, dtype=torch.float32, device=device)[:, None, None]
        # A tensor: CUDA multiplies by the reciprocal of a plain number, which rounds otherwise.
        self._white = torch.tensor(255.0, device=device)

    def __call__(self, image_rgb: UInt8Array) -> torch.Tensor:
        """
        Scale, upload as bytes and normalise on the device.

        :param image_rgb: (height, width, 3) uint8
        :returns: (1, 3, side, side) float32 on the device
        """
        height, width = image_rgb.shape[:2]
        resize = self._resize_of((height, width)) if self._on_device else None
        if resize is None:
            return self._normalise(self._upload(
                resized_by_pillow(image_rgb, self._side)).permute(2, 0, 1))
        scale = resize
        return self._replays(
            'resize', lambda pixels: (self._normalise(scale(pixels[0])),),
            (self._upload(image_rgb),))[0]

    def _resize_of(self, source_hw: tuple[int, int]) -> Resize | None:
        """Return what scales pictures of a size just as Pillow does, None if nothing does."""
        found = self._matching(source_hw)
        if found is None and not self._has_warned:
            self._has_warned = True
            height, width = source_hw
            self._log(Level.WARN, f'{width}x{height} pictures are scaled on the CPU, which is '
                                  f'slower: Pillow {pillow_version} rounds otherwise than is '
                                  f'known for {self._device}')
        return found

    def _normalise(self, planes: torch.Tensor) -> torch.Tensor:
        floats = planes.to(torch.float32, memory_format=torch.contiguous_format)
        return floats.div_(self._white).sub_(self._mean).div_(self._std)[None]


class _Upload:
    """
    The way of pictures to a device: one copy into pinned memory, and on without waiting.

    :param device: on a CPU it is one copy
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        count = _UPLOADS if device.type == 'cuda' else 0
        self._slots = itertools.cycle([_Pinned() for _ in range(count)])

    def __call__(self, image_rgb: UInt8Array) -> torch.Tensor:
        """Return a copy on the device."""
        if self._device.type != 'cuda':
            return torch.from_numpy(np.array(image_rgb))
        return next(self._slots).send(image_rgb, self._device)


class _Pinned:
    """Pinned memory for one picture, reused when that has arrived."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)
        self._arrived = torch.cuda.Event()
        self._is_used = False

    def send(self, image_rgb: UInt8Array, device: torch.device) -> torch.Tensor:
        """Copy a picture here and begin to copy it on, in the current stream."""
        if self._is_used:
            self._arrived.synchronize()
        if self._bytes.numel() < image_rgb.size:
            self._bytes = torch.empty(image_rgb.size, dtype=torch.uint8, pin_memory=True)
        pixels = self._bytes[:image_rgb.size].view(image_rgb.shape)
        np.copyto(pixels.numpy(), image_rgb)
        sent = pixels.to(device, non_blocking=True)
        self._arrived.record()
        self._is_used = True
        return sent
