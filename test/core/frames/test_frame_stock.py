# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Stock SAM 2 reads the buffer's folders, and sees the pixels that we track."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from camera import header, payload, picture, process
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import EncodedImage, RawImage
from sam2_tracker.core.types import UInt8Array

torch = pytest.importorskip('torch')
pytest.importorskip('sam2')

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def initialised(stock_model: Any) -> Any:
    def init_state(folder: Path) -> dict[str, Any]:
        state: dict[str, Any] = stock_model.init_state(str(folder))
        return state
    return init_state


def as_stock_prepares(image_rgb: UInt8Array, size: int) -> Any:
    """Return what stock's loader makes of a picture."""
    resized = np.array(Image.fromarray(image_rgb).resize((size, size))) / 255.0
    image = torch.from_numpy(resized).permute(2, 0, 1).float()
    return ((image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])


@pytest.mark.parametrize('kind', ['raw', 'JPEG', 'PNG'])
def test_stock_sees_the_pixels_that_every_tracks(tmp_path: Path, initialised: Any,
                                                 kind: str) -> None:
    with FrameBuffer(BufferConfig(directory=tmp_path), FramePolicy.EVERY) as buffer:
        for number in range(12):
            image = (RawImage(picture(number, (48, 64))) if kind == 'raw'
                     else EncodedImage(payload(number, (48, 64), kind)))
            buffer.append(image, header(1 + number), 1)
            process(buffer, number)
        live, = tmp_path.iterdir()
        states = [initialised(folder) for folder in (live, buffer.snapshot())]
        ours = torch.stack([as_stock_prepares(buffer.image(number), 128) for number in range(12)])
    for state in states:
        assert (state['num_frames'], state['video_height'], state['video_width']) == (12, 48, 64)
        assert torch.equal(state['images'], ours)


def test_stock_reads_a_snapshot_of_what_is_left_after_eviction(tmp_path: Path,
                                                               initialised: Any) -> None:
    config = BufferConfig(directory=tmp_path, max_frames=4)
    with FrameBuffer(config, FramePolicy.EVERY) as buffer:
        buffer.append(RawImage(picture(0)), header(1), 1)
        buffer._next_number = 99_995
        for number in range(10):
            buffer.append(RawImage(picture(number)), header(2 + number), 1)
        for index in range(11):
            process(buffer, index)
        state = initialised(buffer.snapshot())
        ours = torch.stack([as_stock_prepares(buffer.image(index), 128) for index in range(7, 11)])
    assert torch.equal(state['images'], ours)


def test_stock_reads_a_kept_folder(tmp_path: Path, initialised: Any) -> None:
    config = BufferConfig(directory=tmp_path, max_frames=1, keep=True)
    with FrameBuffer(config, FramePolicy.LATEST) as buffer:
        for number in range(5):
            buffer.append(RawImage(picture(number)), header(1 + number), 1)
            process(buffer, number)
    folder, = tmp_path.iterdir()
    assert initialised(folder)['num_frames'] == 5
