# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Objects across a change of the picture's size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.prompts.validation import size_text
from sam2_tracker.core.protocols import FrameFeatures, Memory, PredictorProtocol
from sam2_tracker.core.tracking.given_prompts import GivenPrompt
from sam2_tracker.core.tracking.results import summarised
from sam2_tracker.core.tracking.track import Track
from sam2_tracker.core.tracking.visibility import object_name, VisibilityHistory
from sam2_tracker.core.types import BoolArray, Frame, Prompt, Wanted

_MASK_ONLY = Wanted(label_image=False, masks=True)


def same_aspect(before_hw: tuple[int, int], after_hw: tuple[int, int]) -> bool:
    """Return whether one size is the other scaled, each side rounded to whole pixels."""
    (height, width), (new_height, new_width) = before_hw, after_hw
    return 2 * abs(width * new_height - new_width * height) <= max(
        height + width, new_height + new_width
    )


def carry_over(
    tracks: Iterable[Track],
    newest_index: int,
    before_hw: tuple[int, int],
    after_hw: tuple[int, int],
    predictor: PredictorProtocol,
    config: TrackingConfig,
    log: Log,
) -> None:
    """
    Make each object's last mask, at the new size, its prompt on the next frame.

    One that is not visible goes on by what its prompted frames taught. Where the aspect changed,
    or a new object has not caught up yet, the object is lost. What was remembered elsewhere and
    not tracked here yet stays as it is.
    """
    for track in tracks:
        if track.memory is None and track.replay is None and track.carried_mask_hw is None:
            continue  # Lost before.
        if track.memory is not None and track.memory.last_index is None:
            track.replay = None
            track.forget_prompts()
            continue
        mask_hw = None
        if same_aspect(before_hw, after_hw):
            mask_hw = _last_mask(track, newest_index, after_hw, predictor, config)
            if mask_hw is None and track.memory is not None:
                _carry_unseen(track, track.memory, newest_index, after_hw, predictor)
                continue
        if mask_hw is None:
            track.lose()
            log(
                Level.WARN,
                f'{object_name(track.shown)} is lost: {_what_changed(before_hw, after_hw)}',
            )
            continue
        track.memory, track.replay, track.carried_mask_hw = None, None, mask_hw
        track.forget_prompts()
        track.history = VisibilityHistory()


def _carry_unseen(
    track: Track,
    memory: Memory,
    newest_index: int,
    after_hw: tuple[int, int],
    predictor: PredictorProtocol,
) -> None:
    """Let an object that is hidden go on by its memory: there is no mask to prompt it with."""
    before = track.history.before(newest_index + 1)
    track.memory, track.replay = predictor.taught(memory, after_hw), None
    track.forget_prompts()
    track.history = VisibilityHistory()
    if before is not None:
        track.history.record(-1, before)


def _what_changed(before_hw: tuple[int, int], after_hw: tuple[int, int]) -> str:
    if before_hw == after_hw:
        return f'the picture was not {size_text(after_hw)} for a while'
    return f'the picture changed from {size_text(before_hw)} to {size_text(after_hw)}'


def take_up_carried(
    tracks: Iterable[Track], frame: Frame, features: FrameFeatures, predictor: PredictorProtocol
) -> None:
    """Prompt the objects that were carried over with their masks on the first new frame."""
    for track in tracks:
        # Remembered from elsewhere before there was a picture, or one of this size.
        if track.memory is not None and track.memory.video_hw != frame.source_hw:
            track.memory = track.memory.fork(frame.source_hw)
        if track.carried_mask_hw is not None:
            memory = predictor.new_memory(frame.source_hw)
            prompt = Prompt(track.id, mask_hw=track.carried_mask_hw)
            predictor.prompt(memory, frame.index, features, prompt, False)
            track.memory, track.carried_mask_hw = memory, None
            track.given = (GivenPrompt(frame.index, prompt, carried=True),)


def _last_mask(
    track: Track,
    newest_index: int,
    after_hw: tuple[int, int],
    predictor: PredictorProtocol,
    config: TrackingConfig,
) -> BoolArray | None:
    output = None if track.memory is None else track.memory.output(newest_index)
    if track.memory is None or output is None:
        # The size changed again before a frame of the one before was tracked.
        return None if track.carried_mask_hw is None else _scaled(track.carried_mask_hw, after_hw)
    masks = summarised(predictor, [output], [track.id], after_hw, _MASK_ONLY, config)
    is_shown = masks.objects[0].visible and track.memory.believes(newest_index)
    return masks.masks[0] if is_shown else None


def _scaled(mask_hw: BoolArray, after_hw: tuple[int, int]) -> BoolArray | None:
    (height, width), (new_height, new_width) = mask_hw.shape, after_hw
    rows = np.arange(new_height) * height // new_height
    columns = np.arange(new_width) * width // new_width
    scaled: BoolArray = mask_hw[rows[:, np.newaxis], columns]
    return scaled if scaled.any() else None
