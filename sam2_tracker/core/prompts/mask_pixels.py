# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Which pixels of a mask's picture are an object's: by alpha, index, grey or colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts.mask_pictures import MOST_PIXELS_TOGETHER
from sam2_tracker.core.types import BoolArray, UInt8Array

# Soft edges, and what JPEG makes of sharp ones, are the object's from half of white on.
_HALF = 0.5
# A picture with soft values that is no list of ids goes up to this share of white.
_WHITE = 0.98
# JPEG gives grey pixels a tint of so much.
_TINT = 32
_SHOWN_VALUES = 6


def masks_in(picture: Image.Image, only_one: bool = False) -> dict[int, BoolArray]:
    """
    Return the masks of a picture, (height, width) bool each: by index if it has indices, else one.

    - Where there is transparency, what is opaque by half or more is the object.
    - Of an indexed picture, as DAVIS has, each index but 0 is an object, whatever its colour.
    - Of a grey one the object is the one value beside 0; of more values, which have to go up to
      white, those of half of white or more are.
    - Of a coloured one it is the one colour beside black.

    :param only_one: refuse several
    :returns: keys are indices; 0 where there are none
    :raises PromptError: with the end of a sentence that begins with the picture's name; also if
        masks of all indices would take too much memory
    """
    alpha = _alpha(picture)
    if picture.mode == 'P' and (alpha is None or _is_background_only(picture, alpha)):
        masks = _masks_by_index(picture, only_one)
    elif alpha is not None:
        masks = {0: alpha >= 255 * _HALF}
    else:
        masks = {0: _object_pixels(picture)}
    if not any(mask.any() for mask in masks.values()):
        raise PromptError('is all zero: set the pixels of the object')
    return masks


def one_mask_in(picture: Image.Image) -> BoolArray:
    """
    Return the mask of a picture that is for one object.

    :raises PromptError: as `masks_in`, and if several objects are in it
    """
    return next(iter(masks_in(picture, only_one=True).values()))


def _masks_by_index(picture: Image.Image, only_one: bool) -> dict[int, BoolArray]:
    pixels = np.asarray(picture)
    indices = [int(index) for index in np.unique(pixels) if index]
    if only_one and len(indices) > 1:
        raise PromptError(
            f'has the indices {_listed(indices)}: a prompt is for one object, so give each a mask '
            'of its own'
        )
    # Before any mask is made: each has as many pixels as the picture.
    together = len(indices) * pixels.size
    if together > MOST_PIXELS_TOGETHER:
        raise PromptError(
            f'has {len(indices)} indices, whose masks have {together} pixels: at most '
            f'{MOST_PIXELS_TOGETHER} are kept'
        )
    return {index: pixels == index for index in indices}


def _alpha(picture: Image.Image) -> UInt8Array | None:
    """Return how opaque the pixels are, None if all are fully."""
    if 'A' not in picture.getbands() and 'transparency' not in picture.info:
        return None
    alpha = np.asarray(picture.convert('RGBA'))[..., 3]
    return alpha if alpha.min() < 255 else None


def _is_background_only(picture: Image.Image, alpha: UInt8Array) -> bool:
    """Return whether what is transparent is just index 0, which is no object anyway."""
    return bool(((alpha < 255) == (np.asarray(picture) == 0)).all())


def _object_pixels(picture: Image.Image) -> BoolArray:
    if picture.mode.startswith(('I', 'F')):
        return _object_of_grey(np.asarray(picture), 65535)
    if picture.mode in ('1', 'L'):
        return _object_of_grey(np.asarray(picture.convert('L')), 255)
    coloured = picture.convert('RGB')
    rgb = np.asarray(coloured)
    if int((rgb.max(axis=2) - rgb.min(axis=2)).max(initial=0)) <= _TINT:
        return _object_of_grey(np.asarray(coloured.convert('L')), 255)
    # None if there are more.
    colours = coloured.getcolors(2)
    if colours is None or (0, 0, 0) not in [colour for _, colour in colours]:
        raise PromptError(
            'has several colours: an object is white, or of one colour, on black, or what is '
            'opaque where there is transparency'
        )
    return np.asarray(rgb.any(axis=2))


def _object_of_grey(grey: npt.NDArray[Any], white: int) -> BoolArray:
    values = np.unique(grey)
    if len(values) == 1 or (len(values) == 2 and values[0] == 0):
        return np.asarray(grey != 0)
    if values[-1] < white * _WHITE:
        raise PromptError(
            f'has the values {_listed(values.tolist())}: an object is one value on 0; soft edges '
            f'have to go up to {white}, and count from the half of it'
        )
    return np.asarray(grey >= white * _HALF)


def _listed(values: Iterable[object]) -> str:
    found = list(values)
    shown = ', '.join(str(value) for value in found[:_SHOWN_VALUES])
    return shown if len(found) <= _SHOWN_VALUES else f'{shown}, ... ({len(found)} in all)'
