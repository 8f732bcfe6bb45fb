# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
JPEG and PNG payloads: probe, decode, encode.

Decoding is Pillow's, as in stock SAM 2's folder loader, so that both see the same pixels: EXIF
orientation is ignored, and grey or CMYK pictures become RGB. Encoding is OpenCV's, which does not
hold the interpreter's lock meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
import io
import struct

import cv2
import numpy as np
from PIL import Image

from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.types import UInt8Array

MAX_SIDE = 65500  # libjpeg's own limit
_FORMATS = ('JPEG', 'PNG')
_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr')
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


def probe(payload: bytes) -> PayloadInfo:
    """
    Read a payload's format and size without decoding it.

    :raises FrameError: if it is empty, truncated, neither JPEG nor PNG, or has more than 8 bits a
        channel
    """
    if not payload:
        raise FrameError('the image payload is empty')
    stream = io.BytesIO(payload)
    try:
        with Image.open(stream, formats=_FORMATS) as image:
            is_jpeg, mode, (width, height) = image.format != 'PNG', image.mode, image.size
            scan_offset = stream.tell() if is_jpeg else 0
    except _DAMAGED as error:
        raise FrameError(f'the image payload of {len(payload)} bytes, beginning with '
                         f'{payload[:4].hex(" ")}, is not a readable JPEG or PNG') from error
    if mode not in _MODES:
        raise FrameError(f'PNG pixels of mode {mode} are not accepted: 8 bits a channel are')
    # Pillow stops at the scan: a thumbnail's end marker lies before it, and entropy-coded bytes
    # never contain one.
    if payload.rfind(_JPEG_END if is_jpeg else _PNG_END, scan_offset) < 0:
        raise FrameError(f'the {"JPEG" if is_jpeg else "PNG"} payload of {len(payload)} bytes is '
                         'truncated: it has no end marker')
    return PayloadInfo(is_jpeg, (height, width))


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
                         f'{error}') from error


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
