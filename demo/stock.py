# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What stock SAM 2 makes of the same frames and prompts."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import io
from pathlib import Path
from typing import Any

from demo.scene import MASK_RULES
import numpy as np
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.engine.mask_summary import mended
from sam2_tracker.core.types import BoolArray, Prompt
import torch


class StockClip:
    """
    `SAM2VideoPredictor` over frames, which its own encoder sees once for all objects.

    :param frames: folder of JPEGs
    """

    @torch.inference_mode()
    def __init__(self, predictor: SAM2VideoPredictor, frames: Path) -> None:
        self._predictor = predictor
        # It shows a progress bar for every call.
        with contextlib.redirect_stderr(io.StringIO()):
            self._state = predictor.init_state(str(frames))
        features: dict[int, Any] = {}
        for index in range(self._state['num_frames']):
            predictor._get_image_feature(self._state, index, 1)
            features |= self._state['cached_features']
        # Its own cache, in which it leaves but one frame.
        self._state['cached_features'] = features

    @torch.inference_mode()
    def masks(self, prompts: Sequence[tuple[int, Prompt]]) -> list[list[BoolArray | None]]:
        """
        Prompt and propagate one object with `SAM2VideoPredictor`'s own functions.

        Holes and specks are mended as the demo's tracker does; stock by itself leaves them.

        After each prompt the object is propagated from the prompted frame to the end, as an
        operator of the finished clip would do.

        :param prompts: frame and prompt, in the order in which they were given
        :returns: for each prompt the masks of all frames from then on, (height, width) bool; None
            before the object's first prompt
        """
        predictor, state = self._predictor, self._state
        predictor.reset_state(state)
        masks: list[BoolArray | None] = [None] * state['num_frames']
        versions = []
        for frame_index, prompt in prompts:
            if prompt.mask_hw is not None:
                predictor.add_new_mask(state, frame_index, 1, prompt.mask_hw)
            else:
                predictor.add_new_points_or_box(state, frame_index, 1, **_arguments(prompt))
            with contextlib.redirect_stderr(io.StringIO()):
                for index, _, logits in predictor.propagate_in_video(state, frame_index):
                    masks[index] = mended(np.asarray((logits[0, 0] > 0).cpu()), MASK_RULES)
            versions.append(list(masks))
        return versions


def _arguments(prompt: Prompt) -> dict[str, Any]:
    arguments: dict[str, Any] = {'clear_old_points': False}
    if len(prompt.points_xy):
        arguments |= {'points': prompt.points_xy, 'labels': prompt.point_labels}
    if prompt.box_xyxy is not None:
        # Stock takes a box only as the beginning of a frame's prompts.
        arguments |= {'box': prompt.box_xyxy, 'clear_old_points': True}
    return arguments
