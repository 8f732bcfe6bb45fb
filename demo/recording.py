# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What was asked of the node and what it published, in memory and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sam2_tracker.core.types import (  # noqa: I101
    BoolArray,
    Box,
    ObjectState,
    Prompt,
    TrackedObject,
    UInt8Array,
    UInt16Array,
)
from sam2_tracker.render.palette import label_picture


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """
    Everything published for one frame.

    :param objects: empty if it was not received, or there were none
    :param label_image: None if it was not received
    :param masks: by object id; those that were received
    :param annotated_bgr: None if it was not received
    """

    stamp_ns: int
    objects: tuple[TrackedObject, ...]
    label_image: UInt16Array | None = None
    masks: Mapping[int, BoolArray] | None = None
    annotated_bgr: UInt8Array | None = None

    def of(self, object_id: int) -> TrackedObject | None:
        """Return an object's result, None if it was not there yet."""
        return next((item for item in self.objects if item.id == object_id), None)


@dataclass(frozen=True, eq=False)
class Call:
    """
    One call of ~/add_prompts.

    :param prompts: with the ids that the objects have
    :param sent_after: so many frames had been received when it was sent
    :param answered_after: so many frames had been received when the answer came
    :param reply: the objects as they are on the prompted frame
    :param reply_label_image: their masks there
    """

    on_frame: int
    prompts: tuple[Prompt, ...]
    sent_after: int
    answered_after: int
    reply: tuple[TrackedObject, ...]
    reply_label_image: UInt16Array


@dataclass(frozen=True, eq=False)
class Recording:
    """
    A run of the node.

    :param model: name of its model
    :param threads: that its model computed with: their number shows in the last bits
    :param frames: in the order of the stream
    """

    model: str
    threads: int
    frames: tuple[RecordedFrame, ...]
    calls: tuple[Call, ...]

    @property
    def labels(self) -> Mapping[int, str]:
        """Return every prompted object's name by its id."""
        return {prompt.object_id: prompt.label for call in self.calls for prompt in call.prompts}


def save(recording: Recording, folder: Path) -> None:
    """Write masks as PNG and the rest as JSON into a folder."""
    masks = folder / 'masks'
    masks.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(recording.frames):
        if frame.label_image is not None:
            label_picture(frame.label_image).save(masks / f'{index:05d}.png')
        for object_id, mask in (frame.masks or {}).items():
            own = masks / f'object_{object_id}'
            own.mkdir(exist_ok=True)
            _write_mask(own / f'{index:05d}.png', mask)
    for number, call in enumerate(recording.calls):
        label_picture(call.reply_label_image).save(masks / f'reply_{number}.png')
        for prompt in call.prompts:
            if prompt.mask_hw is not None:
                _write_mask(masks / _prompt_file(call, prompt), prompt.mask_hw)
    _write_json(folder / 'prompts.json', [_call_to_json(call) for call in recording.calls])
    _write_json(
        folder / 'results.json',
        {
            'model': recording.model,
            'threads': recording.threads,
            'frames': [
                {'stamp_ns': frame.stamp_ns, 'objects': [asdict(item) for item in frame.objects]}
                for frame in recording.frames
            ],
        },
    )


def load(folder: Path) -> Recording:
    """
    Read what `save` wrote, without the annotated pictures.

    :raises ValueError: if something of it is missing or damaged
    """
    try:
        return _load(folder)
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise ValueError(f'{folder} has no whole demo in it ({type(error).__name__}: {error}): '
                         'run `make demo`') from error


def _load(folder: Path) -> Recording:
    masks = folder / 'masks'
    results = json.loads((folder / 'results.json').read_text())
    frames = tuple(
        _frame_from_json(masks, index, frame) for index, frame in enumerate(results['frames'])
    )
    calls = tuple(
        _call_from_json(call, masks, f'reply_{number}.png')
        for number, call in enumerate(json.loads((folder / 'prompts.json').read_text()))
    )
    if not isinstance(results['threads'], int) or results['threads'] < 1:
        raise ValueError(f"threads {results['threads']!r}: a number above 0 is expected")
    return Recording(str(results['model']), results['threads'], frames, calls)


def _prompt_file(call: Call, prompt: Prompt) -> str:
    return f'prompt_of_{prompt.object_id}_on_{call.on_frame:05d}.png'


def _write_mask(path: Path, mask: BoolArray) -> None:
    Image.fromarray(mask.view(np.uint8) * np.uint8(255)).save(path)


def _frame_from_json(masks: Path, index: int, frame: Any) -> RecordedFrame:
    name = f'{index:05d}.png'
    own = {int(path.parent.name.split('_')[1]): path for path in masks.glob(f'object_*/{name}')}
    return RecordedFrame(
        frame['stamp_ns'],
        tuple(_object_from_json(item) for item in frame['objects']),
        _read_labels(masks / name) if (masks / name).is_file() else None,
        {object_id: _read_mask(path) for object_id, path in own.items()},
    )


def _object_from_json(item: Any) -> TrackedObject:
    box = None if item['box'] is None else Box(**item['box'])
    return TrackedObject(
        **{
            **item,
            'state': ObjectState(item['state']),
            'box': box,
            'centroid_xy': tuple(item['centroid_xy']),
        }
    )


def _call_to_json(call: Call) -> Any:
    return {
        'on_frame': call.on_frame,
        'sent_after': call.sent_after,
        'answered_after': call.answered_after,
        'prompts': [
            {
                'object': prompt.object_id,
                'label': prompt.label,
                'points': prompt.points_xy.tolist(),
                'point_labels': prompt.point_labels.tolist(),
                'box': None if prompt.box_xyxy is None else prompt.box_xyxy.tolist(),
                'mask': None if prompt.mask_hw is None else _prompt_file(call, prompt),
            }
            for prompt in call.prompts
        ],
        'reply': [asdict(item) for item in call.reply],
    }


def _call_from_json(call: Any, masks: Path, reply_name: str) -> Call:
    prompts = tuple(
        Prompt(
            prompt['object'],
            prompt['label'],
            np.array(prompt['points'], np.float32).reshape(-1, 2),
            np.array(prompt['point_labels'], np.int32),
            None if prompt['box'] is None else np.array(prompt['box'], np.float32),
            _read_mask(masks / prompt['mask']) if prompt['mask'] else None,
        )
        for prompt in call['prompts']
    )
    return Call(
        call['on_frame'],
        prompts,
        call['sent_after'],
        call['answered_after'],
        tuple(_object_from_json(item) for item in call['reply']),
        _read_labels(masks / reply_name),
    )


def _read_mask(path: Path) -> BoolArray:
    return np.asarray(Image.open(path)) > 0


def _read_labels(path: Path) -> UInt16Array:
    return np.asarray(Image.open(path)).astype(np.uint16)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + '\n')
