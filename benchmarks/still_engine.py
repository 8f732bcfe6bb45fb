# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A model that takes no time: what is left of a frame's way is the node's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from sam2_tracker.core.protocols import FrameMasks, MaskSummary, TrackStep
from sam2_tracker.core.types import Box, MaskRules, PLAIN_MASKS, Prompt, UInt8Array, Wanted


@dataclass(frozen=True)
class StillFeatures:
    """Nothing of a picture."""

    nbytes: int = 0


@dataclass(frozen=True)
class StillOutput:
    """An object that is always there."""

    score: float = 0.9


@dataclass
class StillMemory:
    """Only which frames there were."""

    video_hw: tuple[int, int]
    first_index: int | None = None
    last_index: int | None = None
    nbytes: int = 0
    cond_indices: tuple[int, ...] = field(default=())

    def fork(self) -> StillMemory:
        """Copy it."""
        return StillMemory(self.video_hw, self.first_index, self.last_index, 0,
                           self.cond_indices)

    def rewind(self, frame_index: int) -> None:
        """Go back."""
        self.last_index = frame_index

    def prune(self, newest_index: int, look_back: int) -> None:
        """Forget nothing: there is nothing."""

    def adopt(self, frame_index: int, other: StillMemory) -> None:
        """Take over a frame's result."""
        self.last_index = frame_index

    def believes(self, frame_index: int) -> bool:
        """Believe every result."""
        return True

    def output(self, frame_index: int) -> StillOutput:
        """Return the same result for every frame."""
        return StillOutput()


class StillPredictor:
    """A predictor whose every mask is the same square in the middle of the picture."""

    image_size = 64
    graph_counts = None

    def __init__(self) -> None:
        self._shown: dict[tuple[int, int], FrameMasks] = {}

    def record_only_if(self, condition: Callable[[], bool]) -> None:
        """Record nothing."""

    def warm_up(self) -> None:
        """Do nothing."""

    def encode(self, image_rgb: UInt8Array) -> StillFeatures:
        """Look at nothing."""
        return StillFeatures()

    def encode_ahead(self, image_rgb: UInt8Array) -> None:
        """Do nothing."""

    def new_memory(self, video_hw: tuple[int, int]) -> StillMemory:
        """Return an empty memory."""
        return StillMemory(video_hw)

    def prompt(self, memory: StillMemory, frame_index: int, features: StillFeatures,
               prompt: Prompt, clear_previous: bool) -> StillOutput:
        """Take a prompt."""
        memory.first_index = frame_index if memory.first_index is None else memory.first_index
        memory.last_index = frame_index
        memory.cond_indices = (*memory.cond_indices, frame_index)
        return StillOutput()

    def track(self, steps: Sequence[TrackStep]) -> list[StillOutput]:
        """Note that a frame went by."""
        for step in steps:
            assert isinstance(step.memory, StillMemory)
            step.memory.last_index = step.frame_index
        return [StillOutput() for _ in steps]

    def summarise(self, outputs: Sequence[StillOutput], object_ids: Sequence[int],
                  video_hw: tuple[int, int], wanted: Wanted,
                  rules: MaskRules = PLAIN_MASKS) -> FrameMasks:
        """Return the square for every object; the pictures are made once."""
        if not outputs:
            return FrameMasks((), (), np.zeros(video_hw, np.uint16))
        if video_hw not in self._shown:
            height, width = video_hw
            box = Box(width // 4, height // 4, width // 2, height // 2)
            mask = np.zeros(video_hw, bool)
            mask[box.y:box.y + box.height, box.x:box.x + box.width] = True
            summary = MaskSummary(0.9, True, box, box.width * box.height,
                                  (width / 2, height / 2))
            labels = mask.astype(np.uint16) * object_ids[0]
            self._shown[video_hw] = FrameMasks(
                (summary,) * len(outputs), (mask,) * len(outputs), labels)
        return self._shown[video_hw]
