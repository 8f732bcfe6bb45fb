# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
A model without a network: each result is a number that depends on all that SAM 2 would read.

A result that differs in any picture, prompt or memory differs in its number and in its mask, so
equal masks mean equal histories. Reads what stock SAM 2 reads: every prompted frame (its pointers
only from the past, which makes no difference here), and the six tracked ones before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import zlib

import numpy as np
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.protocols import FrameMasks, GraphCounts, MaskSummary, TrackStep
from sam2_tracker.core.types import (
    BoolArray,
    Box,
    Frame,
    FrameHeader,
    MaskRules,
    PLAIN_MASKS,
    Prompt,
    UInt8Array,
    Wanted,
)

MAPS = 6
SOURCE_HW = (48, 64)
# A picture whose first pixel has this blue shows no object at all.
EMPTY_SCENE = 255


def image(picture: int, empty: bool = False, source_hw: tuple[int, int] = SOURCE_HW) -> UInt8Array:
    """Return a picture with a number of its own."""
    pixels = np.zeros((*source_hw, 3), np.uint8)
    pixels[0, 0] = (picture // 256, picture % 256, EMPTY_SCENE if empty else 0)
    return pixels


def frame(
    index: int,
    picture: int | None = None,
    empty: bool = False,
    stamp_s: float | None = None,
    source_hw: tuple[int, int] = SOURCE_HW,
) -> Frame:
    """Return a frame of a camera with ten pictures a second, from stamp 100 s on."""
    seconds = 100 + index / 10 if stamp_s is None else stamp_s
    stamp_ns = round(seconds * 1e9)
    number = index if picture is None else picture
    return Frame(
        index,
        stamp_ns,
        FrameHeader(stamp_ns, 'camera'),
        image(number, empty, source_hw),
        source_hw,
    )


def click(
    object_id: int = 0, x: float = 5, y: float = 6, label: str = '', positive: bool = True
) -> Prompt:
    """Return a prompt with one point."""
    return Prompt(
        object_id, label, np.array([[x, y]], np.float32), np.array([int(positive)], np.int32)
    )


@dataclass(frozen=True)
class FakeFeatures:
    picture: int
    empty: bool
    nbytes: int = 1000


@dataclass(frozen=True)
class FakeOutput:
    token: int
    score: float


@dataclass
class FakeMemory:
    video_hw: tuple[int, int]
    cond: dict[int, FakeOutput] = field(default_factory=dict)
    tracked: dict[int, FakeOutput] = field(default_factory=dict)
    inputs: dict[int, tuple[int, ...]] = field(default_factory=dict)
    passed: set[int] = field(default_factory=set)
    oldest: int = 0
    # The shot that it is known from; on which frames it was in another one.
    home: int | None = None
    elsewhere: set[int] = field(default_factory=set)

    @property
    def cond_indices(self) -> tuple[int, ...]:
        return tuple(sorted(self.cond))

    @property
    def first_index(self) -> int | None:
        return min((index for index in self.cond if index >= 0), default=None)

    @property
    def last_index(self) -> int | None:
        seen = (*self.cond, *self.tracked)
        return max((index for index in seen if index >= 0), default=None)

    @property
    def nbytes(self) -> int:
        return 100 * (len(self.cond) + len(self.tracked))

    def fork(self, video_hw: tuple[int, int] | None = None) -> FakeMemory:
        return FakeMemory(
            video_hw or self.video_hw,
            dict(self.cond),
            dict(self.tracked),
            dict(self.inputs),
            set(self.passed),
            self.oldest,
            self.home,
            set(self.elsewhere),
        )

    def rewind(self, frame_index: int) -> None:
        self.tracked = {t: out for t, out in self.tracked.items() if t <= frame_index}
        self.passed = {t for t in self.passed if t <= frame_index or t in self.cond}

    def forget_prompts(self, frame_index: int) -> None:
        for held in (self.cond, self.tracked, self.inputs):
            held.pop(frame_index, None)
        self.passed.discard(frame_index)

    def prune(self, newest_index: int, look_back: int) -> None:
        self.oldest = newest_index - look_back
        self.tracked = {t: out for t, out in self.tracked.items() if t >= self.oldest - MAPS}
        self.inputs = {t: given for t, given in self.inputs.items() if t >= self.oldest}
        self.passed = {t for t in self.passed if t >= self.oldest}

    def adopt(self, frame_index: int, other: FakeMemory) -> None:
        if frame_index in other.tracked:
            self.tracked[frame_index] = other.tracked[frame_index]
            self.passed.add(frame_index)

    def believes(self, frame_index: int) -> bool:
        return frame_index in self.cond or frame_index not in self.elsewhere

    def output(self, frame_index: int) -> FakeOutput | None:
        if frame_index < self.oldest:
            return None
        return self.cond.get(frame_index) or self.tracked.get(frame_index)

    def read(self, frame_index: int) -> tuple[object, ...]:
        before = range(frame_index - MAPS, frame_index)
        return (
            tuple(sorted((frame_index - t, out.token) for t, out in self.cond.items())),
            tuple((frame_index - t, self.tracked[t].token) for t in before if t in self.tracked),
        )


@dataclass
class FakePredictor:
    """
    The model.

    :param failures: raised by the next steps, one each, before anything is changed.
    :ivar conditions: under which work might be recorded
    :ivar is_batched: whether it says that objects are tracked in one pass
    :ivar summarises_on_host: whether a camera that shares it needs no turn for that
    """

    image_size: int = 64
    is_batched: bool = False
    summarises_on_host: bool = False
    encoded: list[int] = field(default_factory=list)
    steps: list[list[int]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    graph_counts: GraphCounts | None = None
    conditions: list[Callable[[], bool]] = field(default_factory=list)

    def record_only_if(self, condition: Callable[[], bool]) -> None:
        self.conditions.append(condition)

    def warm_up(self) -> None:
        pass

    def scaled(self, image_rgb: UInt8Array) -> UInt8Array:
        return image_rgb

    def encode(self, image_rgb: UInt8Array) -> FakeFeatures:
        if self.failures:
            raise self.failures.pop(0)
        first = image_rgb[0, 0].astype(int)
        picture = int(first[0] * 256 + first[1])
        self.encoded.append(picture)
        return FakeFeatures(picture, bool(first[2] == EMPTY_SCENE))

    def encode_ahead(self, image_rgb: UInt8Array) -> None:
        """Do nothing: `encode` takes no time here."""

    def new_memory(self, video_hw: tuple[int, int]) -> FakeMemory:
        return FakeMemory(video_hw)

    def prompt(
        self,
        memory: FakeMemory,
        frame_index: int,
        features: FakeFeatures,
        prompt: Prompt,
        clear_previous: bool,
    ) -> FakeOutput:
        was_passed = frame_index in memory.passed
        old = memory.output(frame_index)
        given = _prompt_tokens(prompt)
        if clear_previous:
            old = None
        elif prompt.box_xyxy is None and prompt.mask_hw is None:
            given = memory.inputs.get(frame_index, ()) + given
        read = memory.read(frame_index) if was_passed else ()
        token = _token('prompt', features.picture, given, read, old)
        memory.inputs[frame_index] = given
        memory.tracked.pop(frame_index, None)
        memory.home = None
        memory.cond[frame_index] = FakeOutput(token, 0.1 if features.empty else 0.9)
        return memory.cond[frame_index]

    def track(self, steps: Sequence[TrackStep]) -> list[FakeOutput]:
        self.steps.append([step.frame_index for step in steps])
        return [self._track_in_shot(step) for step in steps]

    def _track_in_shot(self, step: TrackStep) -> FakeOutput:
        memory, (before, shot) = step.memory, step.shots
        output = self._track_one(memory, step.frame_index, step.features)
        if memory.home is None:
            memory.home = shot if step.frame_index in memory.cond else before
        memory.elsewhere.discard(step.frame_index)
        if shot != memory.home:
            memory.elsewhere.add(step.frame_index)
        return output

    def _track_one(self, memory: FakeMemory, index: int, features: FakeFeatures) -> FakeOutput:
        assert memory.cond, 'tracked without a prompt'
        memory.passed |= {index, *(t for t in memory.cond if 0 <= t < index)}
        if index in memory.cond:
            return memory.cond[index]
        token = _token('track', features.picture, memory.read(index))
        memory.tracked[index] = FakeOutput(token, 0.2 if features.empty else 0.8)
        return memory.tracked[index]

    def taught(self, memory: FakeMemory, video_hw: tuple[int, int]) -> FakeMemory:
        entries = list(memory.cond.values())
        return FakeMemory(video_hw, {at - len(entries): each for at, each in enumerate(entries)})

    def summarise(
        self,
        outputs: Sequence[FakeOutput],
        object_ids: Sequence[int],
        video_hw: tuple[int, int],
        wanted: Wanted,
        rules: MaskRules = PLAIN_MASKS,
    ) -> FrameMasks:
        masks = [_mask(output, video_hw) for output in outputs]
        label_image = np.zeros(video_hw, np.uint16) if wanted.label_image else None
        if label_image is not None:
            for object_id, mask in zip(object_ids, masks, strict=True):
                label_image[mask] = object_id
        return FrameMasks(
            tuple(_summary(*pair) for pair in zip(outputs, masks, strict=True)),
            tuple(masks) if wanted.masks else (),
            label_image,
        )


def _prompt_tokens(prompt: Prompt) -> tuple[int, ...]:
    parts = (prompt.points_xy, prompt.point_labels, prompt.box_xyxy, prompt.mask_hw)
    return (_token(*(None if part is None else part.tobytes() for part in parts)),)


def _token(*parts: object) -> int:
    return zlib.crc32(repr(parts).encode())


def _mask(output: FakeOutput, video_hw: tuple[int, int]) -> BoolArray:
    mask = np.zeros(video_hw, np.bool_)
    if output.score > 0.5:
        height, width = video_hw
        y, x = output.token % (height - 4), output.token // height % (width - 4)
        mask[y:y + 4, x:x + 4] = True
    return mask


def _summary(output: FakeOutput, mask: BoolArray) -> MaskSummary:
    if not mask.any():
        return MaskSummary(output.score, False)
    rows, columns = np.nonzero(mask)
    box = Box(int(columns.min()), int(rows.min()), 4, 4)
    return MaskSummary(
        output.score, True, box, int(mask.sum()), (float(columns.mean()), float(rows.mean()))
    )


class FakeFrames:
    """Processed frames by index, as a buffer or an offline source gives them."""

    def __init__(self) -> None:
        self.frames: dict[int, Frame] = {}
        self.kept_from: int | None = None
        self._held: set[int] = set()

    def image(self, index: int) -> UInt8Array:
        return self._get(index).image_rgb

    def stamp_ns(self, index: int) -> int:
        return self._get(index).stamp_ns

    def keep_from(self, index: int | None) -> None:
        needed = set() if index is None else set(range(index, max(self.frames) + 1))
        for new in needed - self._held:
            self._get(new)
        self._held = needed
        self.kept_from = index

    def _get(self, index: int) -> Frame:
        if index not in self.frames:
            raise FrameError(f'processed frame {index} is not buffered any more')
        return self.frames[index]
