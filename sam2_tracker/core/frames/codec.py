# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""From a received image to the JPEG that is stored and the pixels that are tracked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames.stored_frame import EncodedImage, RawImage
from sam2_tracker.core.types import UInt8Array


@dataclass(frozen=True, eq=False)
class FrameJpeg:
    """
    A frame whose JPEG was received, or is made when it is first asked for.

    :param source_hw: height and width as received
    :param received: JPEG, None if it has to be made
    :param to_encode: (height, width, 3) uint8 RGB to make it of
    :param pixels_rgb: what to track if it is not the decoded JPEG, else None
    """

    source_hw: tuple[int, int]
    received: bytes | None = None
    to_encode: UInt8Array | None = None
    quality: int = 95
    pixels_rgb: UInt8Array | None = None

    @cached_property
    def payload(self) -> bytes:
        """
        Return the JPEG.

        :raises FrameError: if it cannot be made
        """
        if self.received is not None:
            return self.received
        assert self.to_encode is not None
        return jpeg.encode(self.to_encode, self.quality)


class FrameCodec:
    """Stores and tracks frames as the settings say."""

    def __init__(self, config: BufferConfig, policy: FramePolicy) -> None:
        self._quality = config.jpeg_quality
        self._max_side = config.max_side
        # Under `every` a raw frame always makes the JPEG round trip, so that results do not
        # depend on whether there was a backlog.
        self._track_received = policy is FramePolicy.LATEST

    def prepare(self, image: RawImage | EncodedImage) -> FrameJpeg:
        """
        Make an image ready: a payload that needs no scaling is passed on as it is.

        :raises FrameError: if it is empty, truncated, damaged or not a picture at all
        """
        if isinstance(image, EncodedImage):
            info = jpeg.probe(image.payload)
            if info.is_jpeg and jpeg.fits(info.hw, self._max_side):
                return FrameJpeg(info.hw, received=image.payload)
            return self._of_pixels(jpeg.decode(image.payload))
        _check(image.image_rgb)
        return self._of_pixels(image.image_rgb)

    def _of_pixels(self, received_rgb: UInt8Array) -> FrameJpeg:
        height, width = received_rgb.shape[:2]
        pixels_rgb = jpeg.shrink(received_rgb, self._max_side)
        return FrameJpeg((height, width), to_encode=pixels_rgb, quality=self._quality,
                         pixels_rgb=pixels_rgb if self._track_received else None)


def _check(pixels: UInt8Array) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise FrameError(f'an image of shape {pixels.shape} and type {pixels.dtype} is not '
                         '(height, width, 3) uint8')
    height, width = pixels.shape[:2]
    if not 0 < min(height, width) <= max(height, width) <= jpeg.MAX_SIDE:
        raise FrameError(f'an image of {width}x{height} is not between 1x1 and '
                         f'{jpeg.MAX_SIDE}x{jpeg.MAX_SIDE}')
