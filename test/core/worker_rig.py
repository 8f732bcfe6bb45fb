# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A worker on a fake model and a real frame buffer, with a camera in front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
import threading
import time
from typing import TypeVar

from fakes import FakePredictor, image
import numpy as np
from sam2_tracker.core.config import (
    BufferConfig,
    CoreConfig,
    DetectionsConfig,
    FramePolicy,
    PromptConfig,
    TrackingConfig,
)
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import Arrival, RawImage, StoredFrame
from sam2_tracker.core.log import Level
from sam2_tracker.core.prompts.file import PromptFile
from sam2_tracker.core.types import (
    Frame,
    FrameHeader,
    IdAllocator,
    Prompt,
    TrackedFrame,
    TrackedObject,
    UInt8Array,
)
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.requests import Ticket
from sam2_tracker.core.worker.worker import ObjectList, Worker

T = TypeVar('T')

PATIENCE_S = 60.0


class Gate:
    """Lets the worker pass, or holds it until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.entered = threading.Event()

    def set(self) -> None:  # noqa: A003
        self._open.set()

    def clear(self) -> None:
        self._open.clear()

    def pass_through(self) -> None:
        self.entered.set()
        assert self._open.wait(PATIENCE_S)


class GatedPredictor(FakePredictor):
    """Encodes a frame only when it is let to, if the gate is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.entered = self.gate.entered

    def encode(self, image_rgb: UInt8Array):
        # JPEG keeps a flat picture's colour, not a single pixel's.
        picture = image_rgb.copy()
        picture[0, 0] = image_rgb[24, 32]
        self.gate.pass_through()
        return super().encode(picture)


class GatedBuffer(FrameBuffer):
    """Hands a frame out only when it is let to: without an object none is encoded."""

    def __init__(self, config: BufferConfig, policy: FramePolicy, gate: Gate) -> None:
        super().__init__(config, policy)
        self._gate = gate

    def frame(self, stored: StoredFrame, index: int) -> Frame:
        self._gate.pass_through()
        return super().frame(stored, index)


class WorkerRig:
    """The worker with what is around it; pictures are flat, so JPEG leaves them as they are."""

    def __init__(
        self,
        directory: Path,
        policy: FramePolicy = FramePolicy.EVERY,
        timeout_s: float = PATIENCE_S,
        prompts: PromptFile | None = None,
        ids: IdAllocator | None = None,
        buffer: BufferConfig | None = None,
        predictor: GatedPredictor | None = None,
        detections: DetectionsConfig | None = None,
        **tracking: object,
    ) -> None:
        self.predictor = predictor or GatedPredictor()
        settings = {'look_back_frames': 20, **tracking}
        config = CoreConfig(
            tracking=TrackingConfig(**settings),
            frame_policy=policy,
            prompt=PromptConfig(timeout_s=timeout_s),
            detections=detections or DetectionsConfig(),
        )
        self.buffer = GatedBuffer(
            buffer or BufferConfig(directory), policy, self.predictor.gate
        )
        self.results: list[TrackedFrame] = []
        self.lines: list[tuple[Level, str]] = []
        self.result_came = threading.Condition()
        self.worker = Worker(
            self.predictor,
            self.buffer,
            config,
            ids or IdAllocator(),
            self.on_result,
            prompts=prompts,
            log=self.log,
        )

    def log(self, level: Level, line: str) -> None:
        with self.result_came:
            self.lines.append((level, line))
            self.result_came.notify_all()

    def on_result(self, result: TrackedFrame) -> None:
        with self.result_came:
            self.results.append(result)
            self.result_came.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self.result_came:
            assert self.result_came.wait_for(condition, PATIENCE_S), self.lines

    def send(
        self,
        number: int,
        hw: tuple[int, int] = (48, 64),
        stamp_s: float | None = None,
        empty: bool = False,
    ) -> Arrival:
        seconds = 100 + number / 10 if stamp_s is None else stamp_s
        pixel = image(number, empty)[0, 0]
        picture = np.broadcast_to(pixel, (*hw, 3)).copy()
        return self.worker.append(
            RawImage(picture), FrameHeader(round(seconds * 1e9), 'camera'), time.monotonic_ns()
        )

    def play(self, count: int, start: int = 0) -> None:
        """Send frames one by one, each when the one before has its result."""
        for number in range(start, start + count):
            before = len(self.results)
            self.send(number)
            self.wait_until(lambda seen=before: len(self.results) > seen)

    def prompt(
        self,
        *prompts: Prompt,
        stamp_s: float = 0,
        preview: bool = False,
        clear: bool = False,
        with_label_image: bool = False,
    ) -> Ticket[TrackedFrame]:
        return self.worker.add_prompts(
            PromptRequest(prompts, round(stamp_s * 1e9), clear, preview, with_label_image)
        )

    def listed(self) -> ObjectList:
        return answer(self.worker.list_objects())

    def shown(self, object_id: int) -> TrackedObject:
        return next(each for each in self.listed().objects if each.id == object_id)

    def wait_until_caught_up(self) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while any(each.catching_up for each in self.listed().objects):
            assert time.monotonic() < end_s


def answer(ticket: Ticket[T]) -> T:
    """Wait for a request's answer."""
    assert ticket.wait(PATIENCE_S)
    return ticket.result()


@contextmanager
def running(rig: WorkerRig) -> Iterator[WorkerRig]:
    """Start a worker and stop it at the end."""
    rig.worker.start()
    try:
        yield rig
    finally:
        rig.predictor.gate.set()
        assert rig.worker.stop(PATIENCE_S)
        rig.buffer.close()
