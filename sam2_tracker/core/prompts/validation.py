# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What a valid prompt is; each refusal is a sentence with the value that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.text import text_fault
from sam2_tracker.core.types import (
    Float32Array,
    MAX_OBJECT_ID,
    MAX_POINTS,
    MAX_PROMPTS,
    Prompt,
)


def validate_prompts(
    prompts: Sequence[Prompt],
    source_hw: tuple[int, int],
    known_ids: Collection[int],
    max_objects: int,
    nameable_ids: Collection[int] = (),
    clear_previous: bool = False,
) -> tuple[Prompt, ...]:
    """
    Return the prompts of one request with their boxes clipped to the image.

    :param source_hw: height and width of the source image that they are for
    :param known_ids: the objects that there are
    :param max_objects: most objects at a time
    :param nameable_ids: ids that may be named although there is no such object yet
    :param clear_previous: a prompt with a known id and nothing else takes back its prompts
    :raises PromptError: for the first thing that is wrong; then nothing may be done
    """
    if not prompts:
        raise PromptError('no prompts given: at least one is needed')
    check_prompt_count(len(prompts))
    _check_ids(prompts, known_ids, nameable_ids)
    new_count = sum(prompt.object_id not in known_ids for prompt in prompts)
    check_room(new_count, len(known_ids), max_objects)
    return tuple(
        validate_prompt(
            prompt,
            source_hw,
            _name(prompt, position, len(prompts)),
            is_new=prompt.object_id not in known_ids,
            clear_previous=clear_previous,
        )
        for position, prompt in enumerate(prompts, start=1)
    )


def check_room(new_count: int, object_count: int, max_objects: int) -> None:
    """
    Make sure that there is room for new objects.

    :raises PromptError: if there would be too many
    """
    if new_count and object_count + new_count > max_objects:
        raise PromptError(
            f'too many objects: {new_count} new beside {object_count} tracked, '
            f'at most {max_objects} in all (tracking.max_objects)'
        )


def check_prompt_count(count: int) -> None:
    """
    Make sure that a request is not too long.

    :raises PromptError: if it is
    """
    if count > MAX_PROMPTS:
        raise PromptError(
            f'{count} prompts in one request: at most {MAX_PROMPTS} are taken, give the others in '
            'requests of their own'
        )


def check_point_count(count: int, name: str) -> None:
    """
    Make sure that a prompt has not too many points.

    :param name: how messages call it
    :raises PromptError: if it has
    """
    if count > MAX_POINTS:
        raise PromptError(
            f'{name}: {count} points, at most {MAX_POINTS} are taken; for an outline or a region '
            'give a mask'
        )


def is_renaming(prompt: Prompt) -> bool:
    """Return whether a prompt names an object and gives a label and nothing else."""
    return prompt.object_id != 0 and bool(prompt.label) and is_bare(prompt)


def label_after(prompt: Prompt, before: str = '') -> str:
    """
    Return an object's label after a prompt: blanks alone take it away.

    :param before: the label that the object has
    """
    # Rosidl has no absent text: '' is what every prompt without a label says.
    return (prompt.label if prompt.label.strip() else '') if prompt.label else before


def validate_prompt(
    prompt: Prompt,
    source_hw: tuple[int, int],
    name: str = 'prompt',
    is_new: bool = True,
    clear_previous: bool = False,
) -> Prompt:
    """
    Return one prompt with its box clipped to the image.

    :param name: how messages call it
    :param is_new: there is no such object yet, so neither a label alone nor nothing is enough
    :param clear_previous: nothing is enough for a known object: its prompts are taken back
    :raises PromptError: for the first thing that is wrong
    """
    _check_label(prompt.label, name)
    if prompt.mask_hw is not None and (len(prompt.points_xy) or prompt.box_xyxy is not None):
        raise PromptError(f'{name}: a mask goes with neither points nor a box; give it alone')
    _check_points(prompt, source_hw, name)
    _check_mask(prompt, source_hw, name)
    if is_bare(prompt) and (is_new or not (prompt.label or clear_previous)):
        raise PromptError(f'{name}: the prompt is empty; give points, a box or a mask')
    if prompt.box_xyxy is None:
        return prompt
    return replace(prompt, box_xyxy=_clipped(prompt.box_xyxy, source_hw, name))


def _check_label(label: str, name: str) -> None:
    fault = text_fault(label)
    if fault:
        raise PromptError(f'{name}: its label {fault}')


def is_bare(prompt: Prompt) -> bool:
    """Return whether a prompt has neither points nor a box nor a mask."""
    return not len(prompt.points_xy) and prompt.box_xyxy is None and prompt.mask_hw is None


def _name(prompt: Prompt, position: int, count: int) -> str:
    if prompt.object_id:
        return f'object {prompt.object_id}'
    return 'new object' if count == 1 else f'new object (prompt {position} of {count})'


def _check_ids(
    prompts: Sequence[Prompt], known_ids: Collection[int], nameable_ids: Collection[int]
) -> None:
    seen: set[int] = set()
    for object_id in (prompt.object_id for prompt in prompts if prompt.object_id != 0):
        if not 0 < object_id <= MAX_OBJECT_ID:
            raise PromptError(f'object id {object_id} is not 0 (a new object) to {MAX_OBJECT_ID}')
        if object_id in seen:
            raise PromptError(
                f'object {object_id} is named twice in one request; put its points into one prompt'
            )
        if object_id not in known_ids and object_id not in nameable_ids:
            raise PromptError(
                f'object {object_id} is unknown: {known_objects(known_ids)}; 0 makes a new object'
            )
        seen.add(object_id)


def known_objects(known_ids: Collection[int]) -> str:
    """Return in words which objects there are."""
    if not known_ids:
        return 'no object is tracked'
    return 'tracked are ' + ', '.join(str(object_id) for object_id in sorted(known_ids))


def size_text(source_hw: tuple[int, int]) -> str:
    """Return a picture's size as people write it: width, then height."""
    return f'{source_hw[1]}x{source_hw[0]}'


def _number(value: float) -> str:
    return f'{float(value):.7g}'


def _check_points(prompt: Prompt, source_hw: tuple[int, int], name: str) -> None:
    if len(prompt.points_xy) != len(prompt.point_labels):
        raise PromptError(
            f'{name}: {len(prompt.points_xy)} points but '
            f'{len(prompt.point_labels)} point_labels; give one label per point'
        )
    check_point_count(len(prompt.points_xy), name)
    for x, y in prompt.points_xy:
        point = f'point ({_number(x)}, {_number(y)})'
        if not (np.isfinite(x) and np.isfinite(y)):
            raise PromptError(f'{name}: {point} is not a number')
        if not (0 <= x < source_hw[1] and 0 <= y < source_hw[0]):
            raise PromptError(f'{name}: {point} outside {size_text(source_hw)} frame')
    for label in prompt.point_labels:
        if label not in (0, 1):
            raise PromptError(f'{name}: point label {label} is neither 1 (add) nor 0 (remove)')


def _check_mask(prompt: Prompt, source_hw: tuple[int, int], name: str) -> None:
    if prompt.mask_hw is None:
        return
    if prompt.mask_hw.shape != source_hw:
        given = 'x'.join(str(side) for side in reversed(prompt.mask_hw.shape))
        raise PromptError(f'{name}: the mask is {given} but the frame is {size_text(source_hw)}')
    if not prompt.mask_hw.any():
        raise PromptError(f'{name}: the mask is all zero; set the pixels of the object')


def _clipped(box_xyxy: Float32Array, source_hw: tuple[int, int], name: str) -> Float32Array:
    box = f'box ({", ".join(_number(edge) for edge in box_xyxy)})'
    if box_xyxy.shape != (4,) or not np.isfinite(box_xyxy).all():
        raise PromptError(f'{name}: {box} is not four numbers: left, top, right, bottom')
    left, top, right, bottom = box_xyxy
    if right <= left or bottom <= top:
        raise PromptError(
            f'{name}: {box} is {_number(right - left)} by {_number(bottom - top)} '
            'pixels; width and height must be positive'
        )
    height, width = source_hw
    clipped = np.clip(box_xyxy, 0, np.array([width, height, width, height], np.float32))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        raise PromptError(f'{name}: {box} lies outside the {size_text(source_hw)} frame')
    return clipped.astype(np.float32)
