# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A worker on a real model that gets the files of a clip as a camera's stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import threading
import time

import numpy as np
from sam2_tracker.core.config import (
    BufferConfig,
    CoreConfig,
    FramePolicy,
    PromptConfig,
    TrackingConfig,
)
from sam2_tracker.core.engine.mask_summary import upsample
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import EncodedImage
from sam2_tracker.core.types import FrameHeader, IdAllocator, Prompt, TrackedFrame
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.requests import Ticket
from sam2_tracker.core.worker.worker import Worker
import torch

PATIENCE_S = 300.0


def stamp_ns(index: int) -> int:
    return 10**9 * 100 + index * 10**8


class LiveStream:
    """A worker that gets a clip's files one by one, under `every`."""

    def __init__(self, predictor: object, clip: Path, directory: Path) -> None:
        self.files = sorted(clip.iterdir())
        self.results: list[TrackedFrame] = []
        self._came = threading.Condition()
        self._buffer = FrameBuffer(BufferConfig(directory), FramePolicy.EVERY)
        config = CoreConfig(
            frame_policy=FramePolicy.EVERY,
            tracking=TrackingConfig(look_back_frames=12),
            prompt=PromptConfig(timeout_s=PATIENCE_S),
        )
        self.worker = Worker(predictor, self._buffer, config, IdAllocator(), self._on_result)
        self.worker.start()

    def close(self) -> None:
        assert self.worker.stop(PATIENCE_S)
        self._buffer.close()

    def _on_result(self, result: TrackedFrame) -> None:
        with self._came:
            self.results.append(result)
            self._came.notify_all()

    def send(self, index: int) -> None:
        self.worker.append(
            EncodedImage(self.files[index % len(self.files)].read_bytes()),
            FrameHeader(stamp_ns(index), 'camera'),
            time.monotonic_ns(),
        )

    def send_up_to(self, stop: int) -> None:
        """Send the frames up to this one, all at once."""
        for index in range(len(self.results), stop):
            self.send(index)

    def play(self, stop: int) -> None:
        """Send the frames up to this one and wait until they were tracked."""
        self.send_up_to(stop)
        self.wait_for_results(stop)

    def wait_for_results(self, count: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: len(self.results) >= count, PATIENCE_S)

    def prompt(self, index: int, prompt: Prompt, object_id: int = 0) -> Ticket[TrackedFrame]:
        return self.worker.add_prompts(
            PromptRequest(
                (replace(prompt, object_id=object_id),), stamp_ns(index), with_label_image=True
            )
        )

    def wait_until_caught_up(self) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while any(each.catching_up for each in answer(self.worker.list_objects()).objects):
            assert time.monotonic() < end_s

    def mask(self, index: int, object_id: int) -> np.ndarray:
        result = self.results[index]
        return result.masks[[each.id for each in result.objects].index(object_id)]

    def last_logits(self, object_id: int) -> torch.Tensor:
        memory = answer(self.worker.call(lambda tracker: tracker.memory(object_id)))
        return upsample(memory.output(len(self.results) - 1).logits, (96, 144))


def answer(ticket):
    assert ticket.wait(PATIENCE_S)
    return ticket.result()
