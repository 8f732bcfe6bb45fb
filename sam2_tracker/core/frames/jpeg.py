# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Pictures as received, and the JPEGs that are stored of them: probe, decode, scale, encode.

Decoding is Pillow's, as in stock SAM 2's folder loader, so that both see the same pixels: EXIF
orientation is ignored, and grey or CMYK pictures become RGB. Encoding is OpenCV's, which does not
hold the interpreter's lock meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
import io
import struct

import cv2
import numpy as np
from PIL import Image
from sam2_tracker.core.config import BufferConfig, FramePolicy, MAX_PIXELS
from sam2_tracker.core.errors import FrameError, one_line
from sam2_tracker.core.frames.stored_frame import EncodedImage, RawImage
from sam2_tracker.core.types import UInt8Array

MAX_SIDE = 65500  # libjpeg's own limit
_FORMATS = ('JPEG', 'PNG')
_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr')
_JPEG_SCAN = b'\xff\xda'
# Of progressive pictures; those that search for the smallest file come to about 20.
_MOST_SCANS = 40
_JPEG_END = b'\xff\xd9'
_PNG_END = b'IEND\xaeB`\x82'
# What Pillow's parsers raise on damaged files, besides their own errors.
_DAMAGED = (OSError, SyntaxError, ValueError, IndexError, TypeError, EOFError, struct.error,
            Image.DecompressionBombError)


@dataclass(frozen=True)
class PayloadInfo:
    """
    What the head of a payload says.

    :param is_jpeg: False for a PNG
    :param hw: height and width in pixels
    """

    is_jpeg: bool
    hw: tuple[int, int]


def probe(payload: bytes, max_pixels: int = MAX_PIXELS) -> PayloadInfo:
    """
    Read a payload's format and size without decoding it.

    :param max_pixels: of the largest picture that is accepted
    :raises FrameError: if it is empty, truncated, neither JPEG nor PNG, has more than 8 bits a
        channel or too many pixels
    """
    if not payload:
        raise FrameError('the image payload is empty')
    stream = io.BytesIO(payload)
    try:
        with Image.open(stream, formats=_FORMATS) as image:
            is_jpeg, mode, (width, height) = image.format != 'PNG', image.mode, image.size
            scan_offset = stream.tell() if is_jpeg else 0
    except Image.DecompressionBombError as error:
        raise FrameError(f'the image payload of {len(payload)} bytes has more than {max_pixels} '
                         'pixels (image_max_pixels)') from error
    except _DAMAGED as error:
        raise FrameError(f'the image payload of {len(payload)} bytes, beginning with '
                         f'{payload[:4].hex(" ")}, is not a readable JPEG or PNG') from error
    refuse_too_large((height, width), max_pixels)
    if mode not in _MODES:
        raise FrameError(f'PNG pixels of mode {mode} are not accepted: 8 bits a channel are')
    # Pillow stops at the scan: a thumbnail's end marker lies before it, and entropy-coded bytes
    # never contain one.
    if payload.rfind(_JPEG_END if is_jpeg else _PNG_END, scan_offset) < 0:
        raise FrameError(f'the {"JPEG" if is_jpeg else "PNG"} payload of {len(payload)} bytes is '
                         'truncated: it has no end marker')
    if is_jpeg:
        refuse_many_scans(payload, scan_offset)
    return PayloadInfo(is_jpeg, (height, width))


def refuse_too_large(hw: tuple[int, int], max_pixels: int) -> None:
    """
    Refuse a picture that would take too long, and too much memory, to decode.

    :raises FrameError: if it has more pixels
    """
    height, width = hw
    if width * height > max_pixels:
        raise FrameError(f'a picture of {width}x{height} is too large: up to {max_pixels} pixels '
                         'are accepted (image_max_pixels)')


def refuse_many_scans(payload: bytes, offset: int = 0) -> None:
    """
    Refuse a JPEG each of whose scans, of 75 bytes, has the decoder go over the whole picture.

    :param offset: in the first scan, behind all that the head may hold
    :raises FrameError: if it has more scans than encoders make
    """
    scans = 1 + payload.count(_JPEG_SCAN, offset)
    if scans > _MOST_SCANS:
        raise FrameError(f'the JPEG payload of {len(payload)} bytes has {scans} scans: at most '
                         f'{_MOST_SCANS} are decoded')


def decode(payload: bytes) -> UInt8Array:
    """
    Decode a JPEG or PNG to (height, width, 3) uint8 RGB, as stock SAM 2 does.

    :raises FrameError: if it is damaged
    """
    try:
        with Image.open(io.BytesIO(payload), formats=_FORMATS) as image:
            return np.array(image.convert('RGB'))
    except _DAMAGED as error:
        raise FrameError(f'the image payload of {len(payload)} bytes cannot be decoded: '
                         f'{one_line(error)}') from error


def encode(image_rgb: UInt8Array, quality: int) -> bytes:
    """
    Encode (height, width, 3) uint8 RGB as a JPEG.

    :param quality: 1 to 100
    """
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    encoded, jpeg = cv2.imencode('.jpg', cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), flags)
    if not encoded:
        raise FrameError(f'a picture of shape {image_rgb.shape} cannot be encoded as JPEG')
    return jpeg.tobytes()


def shrink(image_rgb: UInt8Array, max_side: int) -> UInt8Array:
    """
    Scale a picture down so that its longest side fits, area-averaged.

    :param max_side: pixels, 0 for no limit; a picture that fits already is returned as it is
    """
    height, width = image_rgb.shape[:2]
    if fits((height, width), max_side):
        return image_rgb
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def fits(hw: tuple[int, int], max_side: int) -> bool:
    """Return whether a size needs no scaling."""
    return max_side == 0 or max(hw) <= max_side


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
        return encode(self.to_encode, self.quality)


class FrameCodec:
    """Says of a received image what is stored and what is tracked, by the settings."""

    def __init__(self, config: BufferConfig, policy: FramePolicy,
                 max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
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
            info = probe(image.payload, self._max_pixels)
            if info.is_jpeg and fits(info.hw, self._max_side):
                return FrameJpeg(info.hw, received=image.payload)
            return self._of_pixels(decode(image.payload))
        _check(image.image_rgb)
        height, width = image.image_rgb.shape[:2]
        refuse_too_large((height, width), self._max_pixels)
        return self._of_pixels(image.image_rgb)

    def _of_pixels(self, received_rgb: UInt8Array) -> FrameJpeg:
        height, width = received_rgb.shape[:2]
        pixels_rgb = shrink(received_rgb, self._max_side)
        return FrameJpeg((height, width), to_encode=pixels_rgb, quality=self._quality,
                         pixels_rgb=pixels_rgb if self._track_received else None)


def _check(pixels: UInt8Array) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise FrameError(f'an image of shape {pixels.shape} and type {pixels.dtype} is not '
                         '(height, width, 3) uint8')
    height, width = pixels.shape[:2]
    if not 0 < min(height, width) <= max(height, width) <= MAX_SIDE:
        raise FrameError(f'an image of {width}x{height} is not between 1x1 and '
                         f'{MAX_SIDE}x{MAX_SIDE}')
