# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
How the executable `prompt` shows an answer: lines for a terminal, JSON, pictures.

Nothing here imports ROS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.plain_file import write_whole
from sam2_tracker.core.text import printable
from sam2_tracker.core.types import Prompt, TrackedObject, UInt8Array, UInt16Array  # noqa: I101
from sam2_tracker.render.palette import colour_rgb, label_picture

# Small enough to be looked at anywhere at once.
PREVIEW_SIDE = 480
_SHORTEST_LABEL = 8
_GREY = 96
_ADDED_RGB, _REMOVED_RGB = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Answer:
    """
    What the tracker answered.

    :param is_done: False where it refused
    :param sentence: why it refused; what was done where there are no objects to be shown
    :param stamp_ns: of the frame that the objects are shown on, 0 for none
    :param objects: None where none were asked for
    :param label_image: (height, width) uint16, pixel = object id
    """

    is_done: bool
    sentence: str = ''
    stamp_ns: int = 0
    objects: tuple[TrackedObject, ...] | None = None
    label_image: UInt16Array | None = None


def as_json(answer: Answer, files: Sequence[Path] = ()) -> str:
    """Return an answer as one line of JSON."""
    content: dict[str, Any] = {'success': answer.is_done, 'message': answer.sentence}
    if answer.objects is not None:
        content['stamp'] = format_stamp(answer.stamp_ns)
        content['objects'] = [_object_json(item) for item in answer.objects]
    if files:
        content['files'] = [str(path) for path in files]
    return json.dumps(content)


def _object_json(item: TrackedObject) -> dict[str, Any]:
    box = item.box
    return {
        'id': item.id, 'label': item.label, 'state': item.state.name,
        'score': round(item.score, 4), 'area': item.area_px,
        'box': None if box is None else [box.x, box.y, box.width, box.height],
        'centroid': [round(value, 2) for value in item.centroid_xy],
        'catching_up': item.catching_up}


def as_lines(answer: Answer, columns: int) -> list[str]:
    """
    Return an answer for people.

    :param columns: of the terminal; labels are cut short to fit, nothing else is
    """
    lines = [printable(answer.sentence)] if answer.sentence else []
    if answer.objects is None:
        return lines
    if answer.stamp_ns or answer.objects:
        lines.append(f'frame {format_stamp(answer.stamp_ns)}')
    if not answer.objects:
        return [*lines, 'no objects']
    rows = [('id', 'state', 'score', 'pixels', 'box (x,y width x height)', 'label')]
    rows += [_row(item) for item in answer.objects]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    left = max(columns - sum(widths) - 2 * len(widths), _SHORTEST_LABEL)
    for *cells, label in rows:
        texts = [cell.rjust(width) if column in (0, 2, 3) else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(cells, widths, strict=True))]
        lines.append('  '.join([*texts, _cut(label, left)]).rstrip())
    return lines


def _row(item: TrackedObject) -> tuple[str, ...]:
    box, state = item.box, item.state.name.lower()
    return (
        str(item.id), f'{state}, catching up' if item.catching_up else state,
        f'{item.score:.2f}', str(item.area_px),
        '-' if box is None else f'{box.x},{box.y} {box.width}x{box.height}',
        printable(item.label))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f'{text[:length - 1]}…'


def write_mask(path: Path, label_image: UInt16Array) -> None:
    """
    Write a mask as PNG: one object white on black; several as a label image in their colours.

    :raises OSError: it cannot be written
    """
    ids = np.unique(label_image[label_image > 0])
    picture = label_picture(label_image)
    if len(ids) <= 1:
        picture = Image.fromarray((label_image > 0).astype(np.uint8) * np.uint8(255))
    _write(path, picture)


def write_preview(path: Path, image_rgb: UInt8Array | None, label_image: UInt16Array,
                  prompts: Sequence[Prompt]) -> None:
    """
    Write a small picture of masks and of the points that led to them.

    :param image_rgb: the frame's pixels, (height, width, 3); None where they could not be had
    :raises OSError: it cannot be written
    """
    height, width = label_image.shape
    scene = np.full((height, width, 3), _GREY, np.uint8)
    if image_rgb is not None and image_rgb.shape[:2] == (height, width):
        scene = image_rgb.copy()
    for object_id in np.unique(label_image[label_image > 0]):
        mask_hw = label_image == object_id
        scene[mask_hw] = scene[mask_hw] // 2 + np.array(colour_rgb(int(object_id))) // 2
    picture = Image.fromarray(scene)
    scale = min(1.0, PREVIEW_SIDE / max(height, width))
    if scale < 1:
        picture = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))))
    draw = ImageDraw.Draw(picture)
    for prompt in prompts:
        _draw_prompt(draw, prompt, scale)
    _write(path, picture)


def _draw_prompt(draw: ImageDraw.ImageDraw, prompt: Prompt, scale: float) -> None:
    for (x, y), label in zip(prompt.points_xy * scale, prompt.point_labels, strict=True):
        inner, outer = (_ADDED_RGB, _REMOVED_RGB) if label else (_REMOVED_RGB, _ADDED_RGB)
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=inner, outline=outer)
    if prompt.box_xyxy is not None:
        left, top, right, bottom = (float(edge) for edge in prompt.box_xyxy * scale)
        draw.rectangle((left, top, right, bottom), outline=_ADDED_RGB)


def _write(path: Path, picture: Image.Image) -> None:
    content = io.BytesIO()
    picture.save(content, 'PNG')
    write_whole(path, content.getvalue())
