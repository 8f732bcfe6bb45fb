# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""From a received image to the JPEG that is stored and the pixels that are tracked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames.stored_frame import EncodedImage, RawImage
from sam2_tracker.core.types import UInt8Array


@dataclass(frozen=True, eq=False)
class FrameJpeg:
    """
    A frame ready to be stored.

    :param payload: JPEG
    :param source_hw: height and width as received
    :param pixels_rgb: what to track if it is not the decoded payload, else None
    """

    payload: bytes
    source_hw: tuple[int, int]
    pixels_rgb: UInt8Array | None = None


class FrameCodec:
    """Encodes frames as the settings say."""

    def __init__(self, config: BufferConfig, policy: FramePolicy) -> None:
        self._quality = config.jpeg_quality
        self._max_side = config.max_side
        # Under `every` a raw frame always makes the JPEG round trip, so that results do not
        # depend on whether there was a backlog.
        self._track_received = policy is FramePolicy.LATEST

    def encode(self, image: RawImage | EncodedImage) -> FrameJpeg:
        """
        Return the JPEG of an image: a payload that needs no scaling is passed on as it is.

        :raises FrameError: if it is empty, truncated, damaged or not a picture at all
        """
        if isinstance(image, EncodedImage):
            info = jpeg.probe(image.payload)
            if info.is_jpeg and jpeg.fits(info.hw, self._max_side):
                return FrameJpeg(image.payload, info.hw)
            return self._encode_pixels(jpeg.decode(image.payload))
        _check(image.image_rgb)
        return self._encode_pixels(image.image_rgb)

    def _encode_pixels(self, received_rgb: UInt8Array) -> FrameJpeg:
        height, width = received_rgb.shape[:2]
        pixels_rgb = jpeg.shrink(received_rgb, self._max_side)
        payload = jpeg.encode(pixels_rgb, self._quality)
        return FrameJpeg(payload, (height, width), pixels_rgb if self._track_received else None)


def _check(pixels: UInt8Array) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise FrameError(f'an image of shape {pixels.shape} and type {pixels.dtype} is not '
                         '(height, width, 3) uint8')
    height, width = pixels.shape[:2]
    if not 0 < min(height, width) <= max(height, width) <= jpeg.MAX_SIDE:
        raise FrameError(f'an image of {width}x{height} is not between 1x1 and '
                         f'{jpeg.MAX_SIDE}x{jpeg.MAX_SIDE}')
