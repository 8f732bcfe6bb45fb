# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts as options of a command: `--point`, `--box`, `--mask`, `--label`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import functools
from pathlib import Path

import numpy as np
from sam2_tracker.core.errors import PromptError, reason
from sam2_tracker.core.prompts.mask_pictures import MaskPictures
from sam2_tracker.core.prompts.mask_pixels import masks_in
from sam2_tracker.core.text import text_fault
from sam2_tracker.core.types import Prompt


def add_prompt_options(group: argparse._ArgumentGroup) -> None:
    """Add the options."""
    add_repeatable = functools.partial(group.add_argument, action='append', default=[])
    add_repeatable(
        '--point',
        type=_point,
        metavar='X,Y[,0|1]',
        help='a pixel of the object, or with 0 one beside it; may be repeated',
    )
    add_repeatable(
        '--box',
        type=_box,
        metavar='X0,Y0,X1,Y1',
        help='around the object; repeated, each is an object of its own',
    )
    group.add_argument(
        '--mask',
        type=Path,
        metavar='PNG',
        help='of the object; of a palette PNG each index is an object',
    )
    group.add_argument('--label', default='', help='name of the object')


def option_prompts(
    options: argparse.Namespace, otherwise: str
) -> tuple[tuple[str, Prompt], ...]:
    """
    Return the prompts that were given as options, each with the option that it came by.

    Those of an indexed mask name its indices as objects.

    :param otherwise: what to do where they do not go together
    :raises PromptError: if they do not go together, or the mask cannot be read
    """
    if options.mask is not None and (options.point or options.box):
        raise PromptError(f'--mask goes with neither --point nor --box: {otherwise}')
    if options.point and len(options.box) > 1:
        raise PromptError(
            f'--point with several --box: which object is meant? {otherwise.capitalize()}')
    fault = text_fault(options.label)
    if fault:
        raise PromptError(f'--label {fault}')
    return tuple(_prompts(options))


def _prompts(options: argparse.Namespace) -> Iterator[tuple[str, Prompt]]:
    if options.mask is not None:
        yield from _mask_prompts(options.mask, options.label)
        return
    points = np.array([point[:2] for point in options.point], np.float32).reshape(-1, 2)
    labels = np.array([point[2] for point in options.point], np.int32)
    boxes = [np.array(box, np.float32) for box in options.box]
    if not boxes and len(points):
        yield '--point', Prompt(0, options.label, points, labels)
    for box in boxes:
        yield '--box', Prompt(0, options.label, points, labels, box)


def _mask_prompts(path: Path, label: str) -> Iterator[tuple[str, Prompt]]:
    try:
        masks = masks_in(MaskPictures().read(path))
    except OSError as error:
        raise PromptError(f'--mask {path} cannot be read: {reason(error)}') from error
    except PromptError as error:
        raise PromptError(f'--mask {path} {error}') from error
    for index, mask_hw in masks.items():
        yield f'--mask {path}', Prompt(index, label, mask_hw=mask_hw)


def _point(text: str) -> tuple[float, float, int]:
    numbers = _numbers(text, (2, 3), 'x,y or x,y,0 or x,y,1')
    label = numbers[2] if len(numbers) == 3 else 1.0
    if label not in (0.0, 1.0):
        raise argparse.ArgumentTypeError(f'{text}: the third number is 1 (add) or 0 (remove)')
    return numbers[0], numbers[1], int(label)


def _box(text: str) -> list[float]:
    box = _numbers(text, (4,), 'left,top,right,bottom')
    if box[0] >= box[2] or box[1] >= box[3]:
        raise argparse.ArgumentTypeError(
            f'{text}: right is to be more than left, and bottom more than top'
        )
    return box


def _numbers(text: str, counts: tuple[int, ...], form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(',')]
    except ValueError:
        numbers = []
    if len(numbers) not in counts or not all(np.isfinite(numbers)):
        raise argparse.ArgumentTypeError(f'{text!r} is not {form}')
    return numbers
