# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of masks in a user's files: decoded whole and within limits, or refused."""

from __future__ import annotations

import io
from pathlib import Path
import struct
import zlib

from PIL import Image
from sam2_tracker.core.errors import one_line
from sam2_tracker.core.plain_file import read_whole

MOST_BYTES = 64 << 20
# A picture of 8660x5773; a mask has the size of its frame.
MOST_PIXELS = 50_000_000
# As masks in memory, a byte a pixel.
MOST_PIXELS_TOGETHER = 500_000_000
# PIL would run another program for some others.
_FORMATS = ('PNG', 'JPEG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM')
# What its readers raise where a picture is damaged.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, struct.error,
    zlib.error,
)


class MaskPictures:
    """Decodes the masks of one file of prompts, which are all in memory together."""

    def __init__(self) -> None:
        self._pixels = 0

    def read(self, path: Path) -> Image.Image:
        """
        Return a decoded picture, of whatever mode it is.

        :raises OSError: with the reason, if it cannot be read, is damaged or too large
        """
        content = io.BytesIO(read_whole(path, MOST_BYTES))
        try:
            with Image.open(content, formats=_FORMATS) as picture:
                self._check_size(picture)
                picture.load()
                return picture
        except Image.DecompressionBombError as error:
            raise OSError(f'it has more than {MOST_PIXELS} pixels') from error
        except _DAMAGE as error:
            raise OSError(one_line(error) or type(error).__name__) from error

    def _check_size(self, picture: Image.Image) -> None:
        pixels = picture.width * picture.height
        if pixels > MOST_PIXELS:
            raise OSError(f'it is {picture.width}x{picture.height}: at most {MOST_PIXELS} pixels '
                          'are accepted')
        self._pixels += pixels
        if self._pixels > MOST_PIXELS_TOGETHER:
            raise OSError(f'with it the masks have {self._pixels} pixels: at most '
                          f'{MOST_PIXELS_TOGETHER} are kept')
