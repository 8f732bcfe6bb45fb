# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""One model that several cameras track with, each as if it were its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, Protocol

from sam2_tracker.core.protocols import (
    FrameFeatures,
    FrameMasks,
    GraphCounts,
    MaskOutput,
    Memory,
    PredictorProtocol,
    TrackStep,
)
from sam2_tracker.core.sharing.turns import Caller, TurnCounts, Turns
from sam2_tracker.core.types import MaskRules, PLAIN_MASKS, Prompt, UInt8Array, Wanted

Steps = Sequence[TrackStep]


class SharablePredictor(PredictorProtocol, Protocol):
    """A model whose objects can also go into files, and be tracked together."""

    @property
    def is_batched(self) -> bool:
        """Return whether several objects are tracked in one pass."""

    @property
    def summarises_on_host(self) -> bool:
        """Return whether `summarise` may run in any thread, beside the model's own."""

    @property
    def model(self) -> Any:
        """Return the network, whose shapes the memories in files have to fit."""

    def scaled(self, image_rgb: UInt8Array) -> UInt8Array:
        """Scale a picture unless the device does, in any thread; `encode` takes the result."""

    def fingerprint(self) -> str:
        """Return a hash of the weights."""

    def export_cond(self, memory: Memory) -> Any:
        """Return what an object's prompted frames taught."""

    def import_cond(self, memory: Memory, bank: Any) -> None:
        """Let an empty memory start from what an object was elsewhere."""


@dataclass(frozen=True)
class SharingReport:
    """
    What the cameras had of the model since it was loaded.

    :param cameras: by their names
    :param joint_runs: how often objects of several cameras were tracked in one go
    :param joint_failures: how often that failed, and was done camera by camera
    """

    cameras: dict[str, TurnCounts]
    joint_runs: int
    joint_failures: int


class SharedModel:
    """
    A model with the thread that runs it; cameras join and leave.

    A model that tracks objects in batches is given those of all cameras that wait, in one go; if
    that fails, as for want of memory, camera by camera.
    """

    def __init__(self, predictor: SharablePredictor) -> None:
        self.predictor = predictor
        self._callers: dict[str, Caller[Steps, list[MaskOutput]]] = {}
        self._conditions: dict[str, Callable[[], bool]] = {}
        self._turns: Turns[Steps, list[MaskOutput]] = Turns(
            self._track if predictor.is_batched else None)
        predictor.record_only_if(
            lambda: all(holds() for holds in tuple(self._conditions.values())))

    def join(self, camera: str) -> CameraPredictor:
        """Return the model as one more camera sees it."""
        caller = self._callers[camera] = self._turns.caller()

        def set_condition(condition: Callable[[], bool]) -> None:
            self._conditions[camera] = condition

        return CameraPredictor(self.predictor, caller, set_condition)

    def leave(self, camera: str) -> None:
        """Let a camera go; what it waits for is refused."""
        self._conditions.pop(camera, None)
        self._callers.pop(camera).leave()

    def report(self) -> SharingReport:
        """Return who had what; from any thread."""
        counts = {camera: self._turns.counts(caller)
                  for camera, caller in tuple(self._callers.items())}
        return SharingReport(counts, self._turns.joint_runs, self._turns.joint_failures)

    def close(self, timeout_s: float) -> bool:
        """
        End the thread.

        :returns: False if what is under way outlasts the timeout; the thread ends after it
        """
        return self._turns.close('the model was freed', timeout_s)

    def _track(self, batches: Sequence[Steps]) -> list[list[MaskOutput]]:
        outputs = iter(self.predictor.track(list(chain(*batches))))
        return [list(islice(outputs, len(steps))) for steps in batches]


class CameraPredictor:
    """
    The shared model for one camera: a `PredictorProtocol`, each call of which waits for its turn.

    Its calls come from the camera's own threads, so that whatever else they wait for holds up no
    other camera; what a call raises is this camera's alone. `SharedModel.join` makes it.

    :param set_condition: takes the camera's condition for work to be recorded
    """

    def __init__(self, predictor: SharablePredictor, caller: Caller[Steps, list[MaskOutput]],
                 set_condition: Callable[[Callable[[], bool]], None]) -> None:
        self._predictor = predictor
        self._caller = caller
        self._set_condition = set_condition

    @property
    def image_size(self) -> int:
        """Return the side of the square that the model sees, in pixels."""
        return self._predictor.image_size

    @property
    def graph_counts(self) -> GraphCounts | None:
        """Return what was recorded and replayed so far, for all cameras."""
        return self._predictor.graph_counts

    @property
    def model(self) -> Any:
        """Return the network; only its shapes may be asked for."""
        return self._predictor.model

    def record_only_if(self, condition: Callable[[], bool]) -> None:
        """Record nothing while a condition, or one of another camera, does not hold."""
        self._set_condition(condition)

    def warm_up(self) -> None:
        """Do nothing: a model is shared when it is warm."""

    def encode(self, image_rgb: UInt8Array) -> FrameFeatures:
        """Run the image encoder once; see `PredictorProtocol.encode`."""
        # Before its turn: other cameras would wait for a large picture to be scaled.
        scaled = self._predictor.scaled(image_rgb)
        return self._caller.call(lambda: self._predictor.encode(scaled), has_sequel=True)

    def encode_ahead(self, image_rgb: UInt8Array) -> None:
        """Do nothing: while this camera's objects are tracked other cameras wait for the model."""

    def new_memory(self, video_hw: tuple[int, int]) -> Memory:
        """Return an empty memory for one object; see `PredictorProtocol.new_memory`."""
        return self._predictor.new_memory(video_hw)

    def prompt(self, memory: Memory, frame_index: int, features: FrameFeatures,
               prompt: Prompt, clear_previous: bool) -> MaskOutput:
        """Prompt one object on one frame; see `PredictorProtocol.prompt`."""
        return self._caller.call(lambda: self._predictor.prompt(
            memory, frame_index, features, prompt, clear_previous), has_sequel=True)

    def track(self, steps: Sequence[TrackStep]) -> list[MaskOutput]:
        """Track each step's object on its frame; see `PredictorProtocol.track`."""
        if not steps:
            return []
        # Only a summary that needs a turn is waited for.
        has_sequel = not self._predictor.summarises_on_host
        if self._predictor.is_batched:
            return self._caller.call_together(steps, len(steps), has_sequel)
        # One by one, as the model does it: many objects hold up another camera no longer than one.
        return [self._caller.call(partial(self._predictor.track, [step]),
                                  has_sequel or step is not steps[-1])[0] for step in steps]

    def taught(self, memory: Memory, video_hw: tuple[int, int]) -> Memory:
        """Return what an object's prompted frames taught; see `PredictorProtocol.taught`."""
        return self._caller.call(lambda: self._predictor.taught(memory, video_hw))

    def summarise(self, outputs: Sequence[MaskOutput], object_ids: Sequence[int],
                  video_hw: tuple[int, int], wanted: Wanted,
                  rules: MaskRules = PLAIN_MASKS) -> FrameMasks:
        """Turn results of one frame into pixels; see `PredictorProtocol.summarise`."""
        work = partial(self._predictor.summarise, outputs, object_ids, video_hw, wanted, rules)
        # Of a large picture that takes longer than all else.
        return work() if self._predictor.summarises_on_host else self._caller.call(work)

    def fingerprint(self) -> str:
        """Return a hash of the model's weights; the first call takes a moment."""
        # The weights do not change: no turn is needed, and a file's thread asks.
        return self._predictor.fingerprint()

    def export_cond(self, memory: Memory) -> Any:
        """Return what an object's prompted frames taught, for use in other sequences."""
        return self._caller.call(lambda: self._predictor.export_cond(memory))

    def import_cond(self, memory: Memory, bank: Any) -> None:
        """Let an object start from what it was elsewhere, as the frames before the first."""
        self._caller.call(lambda: self._predictor.import_cond(memory, bank))
