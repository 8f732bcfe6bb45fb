# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A mask's picture means what its maker meant, or is refused."""

from __future__ import annotations

from collections.abc import Callable
import io
from pathlib import Path
import tracemalloc

import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts.file import load_prompt_file
from sam2_tracker.core.prompts.mask_pixels import masks_in, one_mask_in

HW = (32, 48)
MASK = np.zeros(HW, bool)
MASK[8:20, 6:26] = True


def grey(inside: int, outside: int = 0) -> Image.Image:
    return Image.fromarray(np.where(MASK, inside, outside).astype(np.uint8))


def cut_out(mode: str = 'RGBA', inside: int = 255, outside: int = 0) -> Image.Image:
    picture = Image.new('RGB', HW[::-1], 'white').convert(mode)
    picture.putalpha(grey(inside, outside))
    return picture


def coloured(inside: tuple[int, int, int], outside: tuple[int, int, int]) -> Image.Image:
    return Image.fromarray(np.where(MASK[..., None], inside, outside).astype(np.uint8))


def soft() -> Image.Image:
    """Draw the mask four times as large and make it small again."""
    large = grey(255).resize((HW[1] * 4, HW[0] * 4), Image.Resampling.NEAREST)
    return large.resize(HW[::-1], Image.Resampling.BICUBIC)


def indexed(transparent: bool = False) -> Image.Image:
    picture = Image.fromarray(MASK.astype(np.uint8) * 3)
    picture = Image.frombytes('P', picture.size, picture.tobytes())
    picture.putpalette([0, 0, 0, 9, 9, 9, 7, 7, 7, 128, 0, 0])
    if transparent:
        picture.info['transparency'] = 0
    return picture


def stored(picture: Image.Image, kind: str) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return Image.open(stream)


@pytest.mark.parametrize(
    'picture',
    [
        grey(255), grey(1), grey(200), grey(255).convert('1'), soft(), grey(255, 10),
        grey(255, 100), stored(grey(255), 'JPEG'),
        stored(grey(255).convert('RGB'), 'JPEG'),
        cut_out(), cut_out('LA'), cut_out(inside=200, outside=60), stored(cut_out(), 'PNG'),
        coloured((255, 255, 255), (0, 0, 0)), coloured((255, 0, 0), (0, 0, 0)),
        coloured((0, 0, 90), (0, 0, 0)), indexed(), stored(indexed(True), 'PNG'),
        Image.fromarray(MASK.astype(np.uint16) * 65535),
        Image.fromarray(MASK.astype(np.uint16)),
        grey(255).convert('RGBA'),
    ],
)  # fmt: skip
def test_a_mask_means_the_object(picture: Image.Image):
    assert np.array_equal(one_mask_in(picture), MASK)


@pytest.mark.parametrize(
    ('picture', 'reason'),
    [
        (coloured((255, 0, 0), (0, 255, 0)), 'has several colours: an object is white, or of one'),
        (stored(coloured((255, 0, 0), (0, 0, 255)), 'JPEG'), 'has several colours'),
        (Image.fromarray(np.tile(np.arange(48, dtype=np.uint8) // 12, (32, 1))),
         'has the values 0, 1, 2, 3: an object is one value on 0'),
        (Image.new('L', (9, 9), 0), 'is all zero: set the pixels of the object'),
        (cut_out(inside=0), 'is all zero'),
    ],
)  # fmt: skip
def test_a_mask_that_could_mean_several_things_is_refused(picture: Image.Image, reason: str):
    with pytest.raises(PromptError, match=reason):
        masks_in(picture)


def two_objects() -> Image.Image:
    pixels = np.zeros(HW, np.uint8)
    pixels[2:9, 2:9], pixels[12:20, 20:40] = 1, 7
    picture = Image.frombytes('P', HW[::-1], pixels.tobytes())
    picture.putpalette([0] * 24)
    return picture


def test_each_index_is_an_object():
    masks = masks_in(two_objects())
    assert {index: int(mask.sum()) for index, mask in masks.items()} == {1: 49, 7: 160}


@pytest.mark.parametrize(
    ('make', 'reason'),
    [
        (two_objects, 'mask mask.png has the indices 1, 7: a prompt is for one object'),
        (lambda: coloured((255, 0, 0), (0, 255, 0)), 'mask mask.png has several colours'),
    ],
)
def test_a_prompts_file_names_the_mask_that_is_refused(
    tmp_path: Path, make: Callable[[], Image.Image], reason: str
):
    make().save(tmp_path / 'mask.png')
    (tmp_path / 'prompts.yaml').write_text('prompts:\n  - {frame: 0, mask: mask.png}\n')
    with pytest.raises(PromptError, match=f'line 2 .*: {reason}'):
        load_prompt_file(tmp_path / 'prompts.yaml')


def many_objects(count: int, side: int) -> Image.Image:
    """Draw so many indices besides 0."""
    pixels = np.arange(side * side, dtype=np.int64).reshape(side, side) % (count + 1)
    picture = Image.frombytes('P', (side, side), pixels.astype(np.uint8).tobytes())
    picture.putpalette([value for index in range(256) for value in (index, 0, 0)])
    return picture


def test_a_palette_whose_masks_would_fill_the_memory_is_refused():
    reason = 'has 200 indices, whose masks have 512000000 pixels: at most 500000000 are kept'
    with pytest.raises(PromptError, match=reason):
        masks_in(many_objects(200, 1600))


def test_of_a_palette_that_is_for_one_object_no_mask_is_made_before_it_is_refused():
    picture = many_objects(200, 700)
    tracemalloc.start()
    try:
        with pytest.raises(PromptError, match=r'indices 1, 2, 3, 4, 5, 6, \.\.\. \(200 in all'):
            one_mask_in(picture)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20 * picture.width * picture.height
