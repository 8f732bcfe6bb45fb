# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A tracker on a fake model, driven frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

from fakes import click, FakeFrames, FakeMemory, FakePredictor, frame
import numpy as np
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.log import Level
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.tracking.drafting import PromptDraft, PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import Frame, IdAllocator, Prompt, TrackedFrame, TrackedObject, Wanted

ALL = Wanted()


class Rig:
    """The tracker with everything around it; `results` has one result per frame."""

    def __init__(self, config: TrackingConfig | None = None, **settings: object) -> None:
        self.predictor = FakePredictor()
        self.frames = FakeFrames()
        self.ids = IdAllocator()
        self.lines: list[tuple[Level, str]] = []
        self.results: list[TrackedFrame] = []
        chosen = config or TrackingConfig(**{'look_back_frames': 20, **settings})
        self.tracker = Tracker(
            self.predictor,
            self.frames,
            chosen,
            self.ids,
            lambda level, line: self.lines.append((level, line)),
        )

    @property
    def newest(self) -> TrackedFrame:
        return self.results[-1]

    def play(self, count: int, empty: bool = False) -> None:
        """Process so many more frames."""
        for index in range(self.tracker.next_index, self.tracker.next_index + count):
            self.step(frame(index, empty=empty))

    def step(self, next_frame: Frame) -> TrackedFrame:
        """Process one frame."""
        self.tracker.advance(next_frame)
        self.frames.frames[next_frame.index] = next_frame
        self.results.append(self.tracker.result(ALL))
        return self.newest

    def target(self, index: int) -> PromptTarget:
        return PromptTarget(index, self.frames.frames[index])

    def draft(self, index: int, *prompts: Prompt, clear: bool = False) -> PromptDraft:
        return self.tracker.draft(self.target(index), prompts, clear, with_label_image=True)

    def prompt(self, index: int, *prompts: Prompt, clear: bool = False) -> TrackedFrame:
        """Prompt on a processed frame."""
        draft = self.draft(index, *prompts, clear=clear)
        self.tracker.commit(draft)
        return draft.result

    def add(self, index: int | None = None) -> int:
        """Click a new object and return its id."""
        at = self.tracker.next_index - 1 if index is None else index
        return self.prompt(at, click()).objects[0].id

    def catch_up(self) -> int:
        """Replay to the end and return in how many slices."""
        slices = 1
        while self.tracker.catch_up():
            slices += 1
        return slices

    def shown(self, object_id: int) -> TrackedObject:
        return next(each for each in self.tracker.objects() if each.id == object_id)


def mask_of(result: TrackedFrame, object_id: int) -> np.ndarray:
    position = [each.id for each in result.objects].index(object_id)
    return result.masks[position]


def reference(
    prompts: Sequence[tuple[int, Prompt]],
    start: int,
    end: int,
    pictures: dict[int, int] | None = None,
) -> dict[int, int]:
    """
    Return the tokens of a plain session: prompts in their order, then all frames in order.

    :param start: the first frame tracked
    :param pictures: for frames whose picture has another number
    """
    model, memory = FakePredictor(), FakeMemory((48, 64))
    _play(model, memory, prompts, pictures or {}, start, end)
    return {index: memory.output(index).token for index in range(start, end)}


def _play(
    model: FakePredictor,
    memory: FakeMemory,
    prompts: Sequence[tuple[int, Prompt]],
    pictures: dict[int, int],
    start: int,
    end: int,
) -> None:
    features = [model.encode(frame(index, pictures.get(index)).image_rgb) for index in range(end)]
    for index, prompt in prompts:
        model.prompt(memory, index, features[index], prompt, False)
    for index in range(start, end):
        model.track([TrackStep(memory, index, features[index])])


def token_of(rig: Rig, object_id: int, index: int) -> int:
    """Return the number that stands for an object's whole history up to a frame."""
    return rig.tracker.memory(object_id).output(index).token
