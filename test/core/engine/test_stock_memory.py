# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept is all that stock SAM 2 reads, and nothing less would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory
from sam2_tracker.core.engine.memory.stock import StockMemory
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.types import Prompt
from stock import CLIP_FRAMES, CLIP_HW, differing, disc_mask, disc_xy, points, StockSession, Stream
import torch

END = CLIP_FRAMES
LOOK_BACK = 6
MAX_COND_FRAMES = 2


@dataclass(frozen=True)
class Correction:
    """A prompt on a past frame, given when the stream has reached another."""

    index: int
    now: int
    prompt: Prompt


# One at the very end of the look-back, then so many that most are left out of attention, and
# again one that reads what was left out.
SCRIPT = (Correction(12, 18, points([disc_xy(1, 12)])),
          *(Correction(index, index, points([disc_xy(0, index)])) for index in (19, 20, 22)),
          Correction(21, 25, disc_mask(1, 21)), Correction(20, 26, points([(5, 5)], [0])))


def run_stock(model, folder, script: Sequence[Correction]) -> dict:
    stock = StockSession(model, folder)
    stock.prompt(1, 0, points([disc_xy(0, 0)]))
    found, reached = {}, 0
    for correction in script:
        found |= stock.propagate(reached, correction.now + 1)
        stock.prompt(1, correction.index, correction.prompt)
        reached = correction.index
    return found | stock.propagate(reached, END)


def run_ours(stream: Stream, script: Sequence[Correction]) -> dict:
    stream.add(1, 0, points([disc_xy(0, 0)]))
    reached = 0
    for correction in script:
        stream.track(reached + 1, correction.now + 1)
        stream.refine(1, correction.index, correction.prompt, correction.now)
        reached = correction.now
    stream.track(reached + 1, END)
    return stream.results


@pytest.fixture(scope='module')
def few_cond_frames(stock_model, predictor):
    """Let both models attend to two conditioning frames."""
    patch = pytest.MonkeyPatch()
    for model in (stock_model, predictor.model):
        patch.setattr(model, 'max_cond_frames_in_attn', MAX_COND_FRAMES)
    yield Predictor(predictor.model)
    patch.undo()


@pytest.fixture(scope='module')
def expected(few_cond_frames, stock_model, clip_folder):
    return run_stock(stock_model, clip_folder, SCRIPT)


def skip_missing_maps(memory: ObjectMemory) -> None:
    """Let SAM 2 attend to nothing where no map was kept, instead of failing."""
    for index, entry in memory.tracked.items():
        if entry['maskmem_features'] is None:
            position = entry['maskmem_pos_enc'][-1][:, :, :0, :1]
            nothing = torch.zeros(position.shape, dtype=torch.bfloat16)
            memory.tracked[index] = {**entry, 'maskmem_features': nothing,
                                     'maskmem_pos_enc': [position]}


def test_the_windows_come_from_the_model(predictor):
    assert StockMemory.of(predictor.model) == StockMemory(maps=6, pointers=15, max_cond_frames=4)


def test_more_corrections_than_are_attended_to_equal_stock(few_cond_frames, encoded, expected):
    stream = Stream(few_cond_frames, encoded, LOOK_BACK)
    assert differing(run_ours(stream, SCRIPT), expected) == []


@pytest.mark.parametrize('shorter', [{'maps': 5}, {'pointers': 14}])
def test_one_less_of_anything_differs_after_a_correction(
        few_cond_frames, encoded, expected, shorter):
    policy = replace(StockMemory.of(few_cond_frames.model), **shorter)
    stream = Stream(few_cond_frames, encoded, LOOK_BACK, policy, after_prune=skip_missing_maps)
    assert differing(run_ours(stream, SCRIPT), expected) != []


@pytest.mark.parametrize(('kept', 'first_difference'), [
    (StockMemory(maps=4, pointers=15, max_cond_frames=4), 7),
    (StockMemory(maps=6, pointers=13, max_cond_frames=4), 16)])
def test_tracking_differs_when_only_5_maps_or_14_pointers_are_kept(
        predictor, encoded, stock_model, clip_folder, kept, first_difference):
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, points([disc_xy(0, 0)]))
    expected = stock.propagate(0, 20)
    stream = Stream(predictor, encoded, policy=kept, after_prune=skip_missing_maps)
    stream.add(1, 0, points([disc_xy(0, 0)]))
    stream.track(0, 20)
    assert [index for index, _ in differing(stream.results, expected)] == list(
        range(first_difference, 20))


def test_old_prompted_frames_are_dropped_but_for_one_more_than_are_attended_to(
        few_cond_frames, encoded, stock_model, clip_folder):
    script = [Correction(index, index, points([disc_xy(1, index)])) for index in (1, 2, 3)]
    expected = run_stock(stock_model, clip_folder, script)
    stream = Stream(few_cond_frames, encoded)
    assert differing(run_ours(stream, script), expected) == []
    assert stream.memories[1].cond_indices == (1, 2, 3)

    fewer = replace(StockMemory.of(few_cond_frames.model), max_cond_frames=MAX_COND_FRAMES - 1)
    assert differing(run_ours(Stream(few_cond_frames, encoded, policy=fewer), script),
                     expected) != []


# A correction on a frame that reads as far back as any does, and the look-back that it takes.
@pytest.mark.parametrize(('stride', 'maps', 'corrected', 'look_back'), [
    (3, 16, 22, LOOK_BACK), (5, 26, 31, 2)])
def test_memories_several_frames_apart_equal_stock(
        predictor, encoded, stock_model, clip_folder, monkeypatch, stride, maps, corrected,
        look_back):
    for model in (stock_model, predictor.model):
        monkeypatch.setattr(model, 'memory_temporal_stride_for_eval', stride)
    policy = StockMemory.of(predictor.model)
    assert policy.maps == maps
    script = [Correction(corrected, corrected + look_back, points([disc_xy(1, corrected)]))]
    expected = run_stock(stock_model, clip_folder, script)
    for batched in (False, True):
        stream = Stream(Predictor(predictor.model, batched=batched), encoded, look_back)
        assert differing(run_ours(stream, script), expected) == []

    cut = Stream(Predictor(predictor.model), encoded, look_back, replace(policy, maps=maps - 1),
                 after_prune=skip_missing_maps)
    assert differing(run_ours(cut, script), expected) != []


def test_random_corrections_anywhere_in_the_look_back_equal_stock(
        few_cond_frames, encoded, stock_model, clip_folder):
    rng = np.random.default_rng(7)
    script, now = [], 3
    while now < END - 1:
        index = int(rng.integers(max(0, now - LOOK_BACK), now + 1))
        xy = rng.uniform((0, 0), (CLIP_HW[1], CLIP_HW[0]))
        script.append(Correction(index, now, points([xy], [int(rng.integers(2))])))
        now += int(rng.integers(1, 5))
    stream = Stream(few_cond_frames, encoded, LOOK_BACK)
    assert differing(run_ours(stream, script), run_stock(stock_model, clip_folder, script)) == []
    assert len(stream.memories[1].cond_indices) > MAX_COND_FRAMES + 1
