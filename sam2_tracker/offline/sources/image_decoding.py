# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Turn the image messages of a bag into RGB pixels, where no cv_bridge exists."""

from __future__ import annotations

from collections.abc import Callable
import io
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from sam2_tracker.core.errors import FrameError, one_line
from sam2_tracker.core.frames import jpeg
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
_CHANNELS_AND_CODE: dict[str, tuple[int, int | None]] = {
    'rgb8': (3, None), 'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB), 'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2RGB), 'bayer_bggr8': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2RGB), 'bayer_grbg8': (1, cv2.COLOR_BayerGB2RGB),
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
            f'image encoding {message.encoding!r} is not accepted: use one of {ACCEPTED}'
        )
    channels, code = _CHANNELS_AND_CODE[message.encoding]
    _refuse_odd_size(message, channels)
    rows = _rows_without_padding(message, channels)
    pixels = rows if channels == 1 else rows.reshape(rows.shape[0], message.width, channels)
    if code is None:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def rgb_from_payload(payload: bytes) -> UInt8Array:
    """
    Decode a compressed image as stock SAM 2 decodes a file; 16-bit grey PNG is scaled to 8 bits.

    :returns: (height, width, 3) RGB uint8
    :raises FrameError: if it is damaged, or neither JPEG nor PNG
    """
    grey = _from_16_bit_png(payload) if payload.startswith(b'\x89PNG') else None
    if grey is not None:
        return grey
    jpeg.probe(payload)
    return jpeg.decode(payload)


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
    scaled = np.minimum(grey, white).astype(np.float32) * np.float32(255.0 / white)
    return np.asarray(cv2.cvtColor(np.rint(scaled).astype(np.uint8), cv2.COLOR_GRAY2RGB), np.uint8)


def _from_16_bit_png(payload: bytes) -> UInt8Array | None:
    """Return a 16-bit grey PNG's pixels, None for any other picture."""
    picture = _or_frame_error(lambda: Image.open(io.BytesIO(payload), formats=('PNG',)))
    if not picture.mode.startswith('I'):
        return None
    grey = np.asarray(_or_frame_error(picture.copy)).astype(np.uint32) >> 8
    return np.asarray(cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2RGB), np.uint8)


def _or_frame_error(read: Callable[[], Image.Image]) -> Image.Image:
    try:
        return read()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FrameError(f'a PNG cannot be decoded: {one_line(error)}') from error
