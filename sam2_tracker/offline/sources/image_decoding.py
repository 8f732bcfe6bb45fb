# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Turn the image messages of a bag into RGB pixels, where no cv_bridge exists."""

from __future__ import annotations

from collections.abc import Callable
import io
import re
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from sam2_tracker.core.config import MAX_PIXELS
from sam2_tracker.core.errors import FrameError, one_line
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.text import shown
from sam2_tracker.core.types import UInt8Array

MONO16_WHITE = 65535


class ImageMessage(Protocol):
    """A sensor_msgs/Image, whoever read it."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: UInt8Array


# In OpenCV a Bayer pattern is named after the second row's second and third pixels.
_BAYER = {
    'bayer_rggb': cv2.COLOR_BayerBG2RGB, 'bayer_bggr': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg': cv2.COLOR_BayerGR2RGB, 'bayer_grbg': cv2.COLOR_BayerGB2RGB}  # fmt: skip
_CHANNELS_AND_CODE: dict[str, tuple[int, int | None]] = {
    'rgb8': (3, None), 'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB), 'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    **{f'{pattern}8': (1, code) for pattern, code in _BAYER.items()},
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY), 'uyvy': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUY2), 'yuyv': (2, cv2.COLOR_YUV2RGB_YUY2),
    'nv12': (1, cv2.COLOR_YUV2RGB_NV12), 'nv21': (1, cv2.COLOR_YUV2RGB_NV21)}  # fmt: skip
_PLANAR = ('nv12', 'nv21')
ACCEPTED = ', '.join(sorted((*_CHANNELS_AND_CODE, 'mono16')))


def rgb_from_image(message: ImageMessage, mono16_white: int = MONO16_WHITE) -> UInt8Array:
    """
    Convert a raw image to pixels.

    :param mono16_white: value of a mono16 pixel that becomes 255
    :returns: (height, width, 3) RGB uint8
    :raises FrameError: empty, truncated, inconsistent or of an encoding that is not accepted
    """
    if message.encoding == 'mono16':
        return _from_mono16(message, mono16_white)
    if message.encoding not in _CHANNELS_AND_CODE:
        raise FrameError(
            f'image encoding {shown(message.encoding)} is not accepted: use one of {ACCEPTED}'
        )
    channels, code = _CHANNELS_AND_CODE[message.encoding]
    _refuse_odd_size(message, channels)
    rows = _rows_without_padding(message, channels)
    pixels = rows if channels == 1 else rows.reshape(rows.shape[0], message.width, channels)
    if code is None:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def rgb_from_payload(
    payload: bytes,
    kind: str = '',
    mono16_white: int = MONO16_WHITE,
    max_pixels: int = MAX_PIXELS,
) -> UInt8Array:
    """
    Decode a compressed image as stock SAM 2 decodes a file, but for what it would misunderstand.

    :param kind: a CompressedImage's format, '' for a file
    :param mono16_white: value of a pixel of a 16-bit grey PNG that becomes 255
    :param max_pixels: of the largest picture that is accepted
    :returns: (height, width, 3) RGB uint8
    :raises FrameError: if it is damaged, too large, or neither JPEG nor PNG
    """
    if payload.startswith(b'\x89PNG') or is_mosaic(kind):
        picture = _opened(payload)
        if _is_grey(picture):
            jpeg.refuse_too_large((picture.height, picture.width), max_pixels)
            if picture.format == 'JPEG':
                jpeg.refuse_many_scans(payload)
            grey = np.asarray(_or_frame_error(picture.copy))
            return rgb_from_grey(grey, kind, mono16_white)
    jpeg.probe(payload, max_pixels)
    return jpeg.decode(payload)


def jpeg_in(payload: bytes, kind: str = '') -> bytes | None:
    """Return a payload if it is a JPEG of what is to be seen: no Bayer pattern, no PNG."""
    if not payload.startswith(b'\xff\xd8') or (is_mosaic(kind) and _is_grey(_opened(payload))):
        return None
    return payload


def is_mosaic(kind: str) -> bool:
    """Return whether a compressed image's format says that grey pixels are a Bayer pattern."""
    return _pattern(kind) is not None


def _pattern(kind: str) -> str | None:
    found = re.match(r'(bayer_(?:rggb|bggr|gbrg|grbg))(?:8|16)\s*(?:;|$)', kind)
    return found[1] if found else None


def rgb_from_grey(
    grey: npt.NDArray[np.generic], kind: str, mono16_white: int = MONO16_WHITE
) -> UInt8Array:
    """
    Make RGB of a compressed image's grey pixels: 16 bits are scaled, a Bayer pattern is undone.

    :param grey: (height, width) uint8, or integers of 16 bits
    :param kind: a CompressedImage's format, '' for a file
    """
    eight_bit = grey if grey.dtype == np.uint8 else _scaled(grey, mono16_white)
    pattern = _pattern(kind)
    code = cv2.COLOR_GRAY2RGB if pattern is None else _BAYER[pattern]
    return np.asarray(cv2.cvtColor(np.asarray(eight_bit, np.uint8), code), np.uint8)


def _rows_without_padding(message: ImageMessage, pixel_bytes: int) -> UInt8Array:
    """Return the picture's bytes, (rows, bytes of a row)."""
    if not message.width or not message.height or not len(message.data):
        raise FrameError(
            f'image is empty: {message.width}x{message.height} with {len(message.data)} bytes'
        )
    row_bytes = message.width * pixel_bytes
    if message.step < row_bytes:
        raise FrameError(
            f'image step {message.step} is too small: {message.width} '
            f'{message.encoding} pixels take {row_bytes} bytes'
        )
    rows = message.height * 3 // 2 if message.encoding in _PLANAR else message.height
    if len(message.data) != message.step * rows:
        raise FrameError(
            f'image has {len(message.data)} bytes: step {message.step} and height '
            f'{message.height} in {message.encoding} take {message.step * rows}'
        )
    padded = np.frombuffer(message.data, np.uint8).reshape(rows, message.step)
    return np.ascontiguousarray(padded[:, :row_bytes])


def _refuse_odd_size(message: ImageMessage, channels: int) -> None:
    is_planar = message.encoding in _PLANAR
    if message.width % 2 and (is_planar or channels == 2):
        raise FrameError(f'image width {message.width} is odd: {message.encoding} has even ones')
    if message.height % 2 and is_planar:
        raise FrameError(f'image height {message.height} is odd: {message.encoding} has even ones')


def _from_mono16(message: ImageMessage, white: int) -> UInt8Array:
    grey = _rows_without_padding(message, 2).view('>u2' if message.is_bigendian else '<u2')
    return np.asarray(cv2.cvtColor(_scaled(grey, white), cv2.COLOR_GRAY2RGB), np.uint8)


def _scaled(grey: npt.NDArray[Any], white: int) -> UInt8Array:
    scaled = np.minimum(grey, white).astype(np.float32) * np.float32(255.0 / white)
    return np.rint(scaled).astype(np.uint8)


def _opened(payload: bytes) -> Image.Image:
    return _or_frame_error(lambda: Image.open(io.BytesIO(payload), formats=('JPEG', 'PNG')))


def _is_grey(picture: Image.Image) -> bool:
    """Return whether pixels have one channel, of 8 or 16 bits."""
    return picture.mode == 'L' or picture.mode.startswith('I')


def _or_frame_error(read: Callable[[], Image.Image]) -> Image.Image:
    try:
        return read()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FrameError(f'a picture cannot be decoded: {one_line(error)}') from error
