# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the tracker needs from a model, without torch, so that it can be tested with a fake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TYPE_CHECKING

from sam2_tracker.core.types import (  # noqa: I101
    BoolArray,
    Box,
    MaskRules,
    PLAIN_MASKS,
    Prompt,
    UInt8Array,
    UInt16Array,
    Wanted,
)

if TYPE_CHECKING:
    from typing_extensions import Self


class FrameFeatures(Protocol):
    """What the image encoder made of one frame: shared by all objects, never changed."""

    @property
    def nbytes(self) -> int:
        """Return the bytes that this frame holds on the device."""


class MaskOutput(Protocol):
    """One object's result on one frame, on the device; `summarise` makes pixels of it."""

    @property
    def score(self) -> float:
        """Return the sigmoid of the object score, 0 to 1; waits for the device."""


class Memory(Protocol):
    """All that the model remembers of one object: independent of every other object."""

    @property
    def video_hw(self) -> tuple[int, int]:
        """Return height and width of the source images: prompts are in their pixels."""

    @property
    def first_index(self) -> int | None:
        """Return the oldest remembered prompted frame (imported ones excepted), None before."""

    @property
    def last_index(self) -> int | None:
        """Return the newest frame with a result, None if there is none."""

    @property
    def cond_indices(self) -> tuple[int, ...]:
        """Return the remembered prompted frames in ascending order; imported ones are < 0."""

    @property
    def nbytes(self) -> int:
        """Return the bytes of all tensors remembered."""

    def fork(self, video_hw: tuple[int, int] | None = None) -> Memory:
        """
        Return an independent copy: cheap, the tensors are shared and never changed.

        :param video_hw: for source images of another size; what is remembered has none
        """

    def rewind(self, frame_index: int) -> None:
        """Forget what was tracked after a frame; prompts there stay."""

    def forget_prompts(self, frame_index: int) -> None:
        """Forget the prompts on a frame and its result: it is as if no tracking had come to it."""

    def prune(self, newest_index: int, look_back: int) -> None:
        """
        Forget what no frame from `newest_index - look_back` on can read any more.

        Results are then bit-identical to those without pruning, for tracking on from
        `newest_index` and for prompts and replays on any of the last `look_back` frames.
        """

    def adopt(self, frame_index: int, other: Self) -> None:
        """Take over the tracked result on a frame from another memory of the same object."""

    def believes(self, frame_index: int) -> bool:
        """
        Return whether the result on a frame may be called the object.

        After a cut only once that was proven, by how sure the model is or by a prompt.
        """

    def output(self, frame_index: int) -> MaskOutput | None:
        """Return the result on a frame, None if there is none or it is too old."""


# Where shots are not told apart.
ONE_SHOT = (0, 0)


@dataclass(frozen=True, eq=False)
class TrackStep:
    """
    One object to be tracked on one frame.

    The frame before it (or a prompted one) must have been tracked already; steps of one
    `Predictor.track` call belong to different objects but may be on different frames, and of
    different cameras.

    :param shots: of the frame before and of this one, by their numbers
    """

    memory: Memory
    frame_index: int
    features: FrameFeatures
    shots: tuple[int, int] = ONE_SHOT


@dataclass(frozen=True)
class MaskSummary:
    """
    One object's mask in numbers.

    :param score: sigmoid of the object score, 0 to 1
    :param visible: score above 0.5 and a mask with at least one pixel; all else is empty if not
    :param box: tight box of the mask, None where not visible
    :param area_px: pixels of the mask, 0 where not visible
    :param centroid_xy: mean pixel position of the mask, (0.0, 0.0) where not visible
    """

    score: float
    visible: bool
    box: Box | None = None
    area_px: int = 0
    centroid_xy: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class FrameMasks:
    """
    The masks of several objects on one frame, on the host.

    :param objects: one for each output, in the order given
    :param masks: (height, width) bool, in the same order; empty if not wanted
    :param label_image: (height, width) uint16, pixel = object id, 0 = background: the object with
        the highest logit above the threshold; None if not wanted
    """

    objects: tuple[MaskSummary, ...]
    masks: tuple[BoolArray, ...] = ()
    label_image: UInt16Array | None = None


@dataclass(frozen=True)
class GraphCounts:
    """
    What a predictor did with recordings of its work.

    :param recorded: how many were made and found to give the very same results
    :param replayed: how often one was used
    :param evicted: how many made place for others
    :param eager: how often there was none for the work
    """

    recorded: int = 0
    replayed: int = 0
    evicted: int = 0
    eager: int = 0


class PredictorProtocol(Protocol):
    """A segmentation model with memory. Not thread-safe: one thread owns it."""

    @property
    def image_size(self) -> int:
        """Return the side of the square that the model sees, in pixels."""

    @property
    def graph_counts(self) -> GraphCounts | None:
        """Return what was recorded and replayed so far, None where nothing is."""

    def record_only_if(self, condition: Callable[[], bool]) -> None:
        """
        Record nothing while a condition does not hold: it takes longer than a frame.

        :param condition: asked from any thread
        """

    def warm_up(self) -> None:
        """Run every stage once, so that the first frame is not slower than the rest."""

    def encode(self, image_rgb: UInt8Array) -> FrameFeatures:
        """
        Run the image encoder once.

        :param image_rgb: (height, width, 3) uint8, any size
        """

    def encode_ahead(self, image_rgb: UInt8Array) -> None:
        """
        Begin to encode a picture in another thread; `encode` of this array then waits for it.

        :param image_rgb: (height, width, 3) uint8, not to be written to until then
        """

    def new_memory(self, video_hw: tuple[int, int]) -> Memory:
        """
        Return an empty memory for one object.

        :param video_hw: height and width of the source images
        """

    def prompt(self, memory: Memory, frame_index: int, features: FrameFeatures,
               prompt: Prompt, clear_previous: bool) -> MaskOutput:
        """
        Prompt one object on one frame; the memory is changed, so give a fork for a draft.

        A frame that this object was tracked on is refined: its old mask is a hint. Any other is
        prompted as the first one is. A refinement takes effect on later frames only by a replay:
        `rewind` to this frame, prompt, then `track` the frames after it in order.

        :param prompt: pixels of the memory's `video_hw`; `object_id` and `label` are not read
        :param clear_previous: drop this object's prompts and its old mask on this frame first;
            otherwise points are added to those there, a box or a mask replaces them
        """

    def track(self, steps: Sequence[TrackStep]) -> list[MaskOutput]:
        """
        Track each step's object on its frame and remember the result.

        On a prompted frame that prompt's result is returned as it is.
        """

    def taught(self, memory: Memory, video_hw: tuple[int, int]) -> Memory:
        """
        Return what an object's prompted frames taught, to track it in another sequence with.

        :param memory: of an object that was prompted; not to be used any more
        :param video_hw: height and width of the other sequence's images
        """

    def summarise(self, outputs: Sequence[MaskOutput], object_ids: Sequence[int],
                  video_hw: tuple[int, int], wanted: Wanted,
                  rules: MaskRules = PLAIN_MASKS) -> FrameMasks:
        """
        Turn results of one frame into masks of any size, boxes, areas and a label image.

        :param object_ids: 1 to 65535, one for each output
        :param video_hw: height and width of the masks wanted
        """


StageTimer = Callable[[str], AbstractContextManager[object]]


def untimed(_stage: str) -> AbstractContextManager[object]:
    """Measure nothing."""
    return nullcontext()
