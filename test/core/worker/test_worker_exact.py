# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The whole core over a live stream of JPEGs: masks equal, bit for bit, those of stock SAM 2."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

from live_rig import answer, LiveStream, PATIENCE_S, stamp_ns
import numpy as np
import pytest
from sam2_tracker.core.config import BufferConfig, CoreConfig, FramePolicy, PromptConfig
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import EncodedImage
from sam2_tracker.core.types import FrameHeader, IdAllocator, Prompt, TrackedFrame, UInt8Array
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.worker import Worker
from stock import box, CLIP_FRAMES, disc_mask, disc_xy, points, StockSession
import torch

END = CLIP_FRAMES


@pytest.fixture
def live(encoded_once, clip_folder, tmp_path):
    stream = LiveStream(encoded_once, clip_folder, tmp_path)
    yield stream
    stream.close()


@pytest.fixture
def stock(stock_model, clip_folder) -> Callable[[], StockSession]:
    return lambda: StockSession(stock_model, clip_folder)


def assert_equal_masks(
    live: LiveStream, object_id: int, logits: dict, start: int, stop: int
) -> None:
    shown = {index: live.mask(index, object_id) for index in range(start, stop)}
    assert any(mask.any() and not mask.all() for mask in shown.values())
    wrong = [
        index
        for index, mask in shown.items()
        if not np.array_equal(mask, (logits[index, 1] > 0).numpy())
    ]
    assert wrong == []


class AheadCounted:
    """The predictor; counts the pictures that were begun ahead, and those of them that came."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self.begun: list[UInt8Array] = []
        self.taken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def encode_ahead(self, image_rgb: UInt8Array) -> None:
        self.begun.append(image_rgb)
        self._predictor.encode_ahead(image_rgb)

    def encode(self, image_rgb: UInt8Array) -> Any:
        self.taken += any(image_rgb is each for each in self.begun)
        return self._predictor.encode(image_rgb)


def test_of_a_backlog_each_picture_is_encoded_while_the_one_before_is_tracked(
        predictor, clip_folder, tmp_path, stock):
    """With prompts between, and an object on a past frame that is replayed."""
    counted = AheadCounted(predictor)
    stream = LiveStream(counted, clip_folder, tmp_path)
    click, past = points([disc_xy(0, 0)]), disc_mask(2, 3)
    stream.play(1)
    answer(stream.prompt(0, click))
    stream.play(6)
    stream.send_up_to(12)
    answer(stream.prompt(3, past))
    stream.wait_for_results(12)
    stream.wait_until_caught_up()
    stream.play(18)
    stream.close()
    # All but the first of each backlog; which are at hand at once depends on the machine.
    assert len(counted.begun) == counted.taken >= 8

    one, other = stock(), stock()
    one.prompt(1, 0, click)
    other.prompt(1, 3, past)
    assert_equal_masks(stream, 1, one.propagate(0, 18), 1, 18)
    assert_equal_masks(stream, 2, other.propagate(3, 18), 12, 18)


def test_late_past_and_refined_objects_on_one_stream_all_equal_stock(live, stock):
    """One by click from the start, refined twice; one by box; one by mask on a past frame."""
    click, more = points([disc_xy(0, 0)]), points([disc_xy(0, 15)])
    less = points([disc_xy(1, 18)], [0])
    late, past = box(50, 30, 90, 80), disc_mask(2, 6)
    live.play(1)
    answer(live.prompt(0, click))
    live.play(11)
    answer(live.prompt(10, late))
    live.play(15)
    answer(live.prompt(6, past))
    live.wait_until_caught_up()
    live.play(23)
    first, second = live.prompt(15, more, 1), live.prompt(18, less, 1)
    refined = answer(first)
    answer(second)
    live.wait_until_caught_up()
    live.play(END)

    one = stock()
    one.prompt(1, 0, click)
    assert_equal_masks(live, 1, one.propagate(0, 23), 1, 23)
    one.prompt(1, 15, more)
    one.prompt(1, 18, less)
    again = one.propagate(15, END)
    assert_equal_masks(live, 1, again, 23, END)
    assert torch.equal(live.last_logits(1), again[END - 1, 1])
    assert np.array_equal(refined.label_image == 1, (again[15, 1] > 0).numpy())

    two = stock()
    two.prompt(1, 10, late)
    logits = two.propagate(10, END)
    assert_equal_masks(live, 2, logits, 11, END)
    assert torch.equal(live.last_logits(2), logits[END - 1, 1])

    three = stock()
    three.prompt(1, 6, past)
    logits = three.propagate(6, END)
    assert_equal_masks(live, 3, logits, 15, END)
    assert torch.equal(live.last_logits(3), logits[END - 1, 1])


def test_a_refinement_is_exact_while_the_stream_goes_on_during_its_catch_up(live, stock):
    """The old track is shown, and it is stock's too, until the new one takes over."""
    click, more = points([disc_xy(0, 0)]), box(20, 10, 60, 50)
    live.play(1)
    answer(live.prompt(0, click))
    live.play(20)
    ticket = live.prompt(10, more, 1)
    for index in range(20, END):
        live.send(index)
    answer(ticket)
    live.wait_for_results(END)
    one = stock()
    one.prompt(1, 0, click)
    old = one.propagate(0, END)
    # A second session: stock too has to know what was tracked when the refinement came.
    two = stock()
    two.prompt(1, 0, click)
    two.propagate(0, 20)
    two.prompt(1, 10, more)
    new = two.propagate(10, END)
    behind = next(
        index for index in range(20, END) if not live.results[index].objects[0].catching_up
    )
    assert 20 <= behind < END - 3
    assert_equal_masks(live, 1, old, 1, behind)
    assert_equal_masks(live, 1, new, behind, END)
    assert torch.equal(live.last_logits(1), new[END - 1, 1])


def test_features_computed_again_for_a_frame_beyond_the_look_back_are_exact(live, stock):
    """The look-back is 12 frames; the prompt is 24 frames back."""
    click = points([disc_xy(1, 4)])
    live.play(28)
    answer(live.prompt(4, click))
    live.wait_until_caught_up()
    live.play(END)
    one = stock()
    one.prompt(1, 4, click)
    logits = one.propagate(4, END)
    assert_equal_masks(live, 1, logits, 28, END)
    assert torch.equal(live.last_logits(1), logits[END - 1, 1])


def click_on_first_frame(worker: Worker, payload: bytes) -> None:
    """Give the model something to do: without an object no frame costs anything."""
    worker.append(
        EncodedImage(payload), FrameHeader(stamp_ns(0), 'camera'), time.monotonic_ns()
    )
    click = Prompt(points_xy=np.array([[64, 64]], np.float32), point_labels=np.ones(1, np.int32))
    answer(worker.add_prompts(PromptRequest((click,))))


def test_under_latest_an_overloaded_worker_stays_fresh(predictor, clip_folder, tmp_path):
    """A camera far faster than the model: most frames taken are the newest or the one before."""
    files = [path.read_bytes() for path in sorted(clip_folder.iterdir())]
    enough, lags, results = threading.Event(), [], []
    buffer = FrameBuffer(BufferConfig(tmp_path), FramePolicy.LATEST)

    def on_result(result: TrackedFrame) -> None:
        results.append(result)
        if len(results) == 15:
            enough.set()

    config = CoreConfig(prompt=PromptConfig(timeout_s=PATIENCE_S))
    worker = Worker(predictor, buffer, config, IdAllocator(), on_result)
    process = worker._steps.process

    def watched(stored):
        lags.append(buffer.newest().number - stored.number)
        process(stored)

    worker._steps.process = watched
    worker.start()
    click_on_first_frame(worker, files[0])
    sent, end_s = 1, time.monotonic() + PATIENCE_S
    while not enough.is_set() and time.monotonic() < end_s:
        worker.append(
            EncodedImage(files[sent % len(files)]),
            FrameHeader(stamp_ns(sent), 'camera'),
            time.monotonic_ns(),
        )
        sent += 1
        enough.wait(0.005)
    assert worker.stop(PATIENCE_S)
    buffer.close()
    assert len(results) >= 15
    assert buffer.statistics.skipped > 15
    assert np.median(lags) <= 1
    stamps = [each.frame.stamp_ns for each in results]
    assert stamps == sorted(stamps)
