# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The tracker on the real model, where stock SAM 2 needs another clip to say what is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import shutil

from fakes import FakeFrames
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.engine.mask_summary import upsample
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import (
    Frame,
    FrameHeader,
    IdAllocator,
    TrackedFrame,
    UInt8Array,
    Wanted,
)
from stock import CLIP_HW, disc_xy, points, read_clip, StockSession
import torch

# On shorter clips stock SAM 2 scales the ages of its pointers differently.
LONG_ENOUGH = 16
CLICK = points([disc_xy(0, 0)])


class Camera:
    """A tracker that is given pictures."""

    def __init__(self, predictor: object) -> None:
        self.frames = FakeFrames()
        self.tracker = Tracker(
            predictor, self.frames, TrackingConfig(look_back_frames=12), IdAllocator()
        )

    def frame(self, picture: UInt8Array, index: int, offset_ns: int = 0) -> Frame:
        stamp_ns = index * 10**8 + offset_ns
        header = FrameHeader(stamp_ns, 'camera')
        return Frame(index, stamp_ns, header, picture, picture.shape[:2])

    def show(self, picture: UInt8Array) -> TrackedFrame:
        index = self.tracker.next_index
        self.frames.frames[index] = self.frame(picture, index)
        self.tracker.advance(self.frames.frames[index])
        return self.tracker.result(Wanted())

    def prompt(self, target: PromptTarget, *prompts) -> None:
        self.tracker.commit(self.tracker.draft(target, prompts))

    def logits(self, index: int) -> torch.Tensor:
        memory = self.tracker.memory(1)
        return upsample(memory.output(index).logits, memory.video_hw)


@pytest.fixture
def camera(predictor) -> Camera:
    return Camera(predictor)


def replaced(clip: Path, folder: Path, index: int, by: int) -> Path:
    """Copy a clip with another picture in one place."""
    files = sorted(clip.iterdir())
    for number in range(LONG_ENOUGH):
        shutil.copy(files[by if number == index else number], folder / f'{number:05d}.jpg')
    return folder


def test_a_refinement_on_a_skipped_frame_equals_stock_on_the_sequence_that_the_object_saw(
    camera, clip_folder, stock_model, tmp_path
):
    pictures = read_clip(clip_folder)
    camera.show(pictures[0])
    camera.prompt(PromptTarget(0, camera.frames.frames[0]), CLICK)
    for picture in pictures[1:10]:
        camera.show(picture)
    skipped = camera.frame(pictures[30], 5, offset_ns=3 * 10**7)
    refinement = replace(points([disc_xy(0, 5)]), object_id=1)
    camera.prompt(PromptTarget(5, skipped, stands_in=True), refinement)
    while camera.tracker.catch_up():
        pass
    for picture in pictures[10:14]:
        camera.show(picture)
    stock = StockSession(stock_model, replaced(clip_folder, tmp_path, 5, 30))
    stock.prompt(1, 0, CLICK)
    stock.propagate(0, 6)
    stock.prompt(1, 5, refinement)
    expected = stock.propagate(5, 14)
    assert all(torch.equal(camera.logits(index), expected[index, 1]) for index in range(5, 14))


def test_an_object_carried_over_to_another_size_equals_stock_prompted_with_its_last_mask(
    camera, clip_folder, stock_model, tmp_path
):
    pictures = read_clip(clip_folder)
    camera.show(pictures[0])
    camera.prompt(PromptTarget(0, camera.frames.frames[0]), CLICK)
    for picture in pictures[1:4]:
        camera.show(picture)
    double_hw = (2 * CLIP_HW[0], 2 * CLIP_HW[1])
    last = upsample(camera.tracker.memory(1).output(3).logits, double_hw) > 0
    for number in range(4, 4 + LONG_ENOUGH):
        picture = Image.fromarray(pictures[number]).resize(double_hw[::-1])
        picture.save(tmp_path / f'{number - 4:05d}.jpg')
    camera.tracker.resize(double_hw)
    results = [camera.show(picture) for picture in read_clip(tmp_path)[:6]]
    stock = StockSession(stock_model, tmp_path)
    stock.model.add_new_mask(stock.state, 0, 1, last)
    expected = stock.propagate(0, 6)
    for index, result in enumerate(results):
        assert np.array_equal(result.masks[0], (expected[index, 1] > 0).numpy())
        assert result.masks[0].any() and result.masks[0].shape == double_hw
