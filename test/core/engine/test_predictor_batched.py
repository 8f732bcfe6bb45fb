# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Many objects in one pass get the masks that they get one after the other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from sam2_tracker.core.engine.memory.stock import StockMemory
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from stock import CLIP_HW, differing, disc_mask, disc_xy, points, Stream
from test_stock_memory import skip_missing_maps
import torch

TOLERANCE = 1e-4


@pytest.fixture(scope='module')
def batched(predictor) -> Predictor:
    return Predictor(predictor.model, batched=True)


def assert_same_masks(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, logits in expected.items():
        assert (found[key] - logits).abs().max() <= TOLERANCE, key
        mask, other = found[key] > 0, logits > 0
        # Random weights give flat logits: single pixels lie as near to zero as rounding.
        assert (logits[mask != other].abs() <= 1e-6).all(), key
        assert (mask & other).sum() >= 0.999 * (mask | other).sum(), key


def live(stream: Stream, count: int, frames: int) -> dict:
    """Let objects appear one after the other, prompted in different ways, and refine one."""
    for index in range(frames):
        stream.track(index, index + 1)
        if index == 9:
            stream.refine(1, 7, points([disc_xy(2, 7)], [0]), 9)
        for number in range(count):
            if number % 7 == index:
                x, y = disc_xy(number % 3, index)
                prompt = points([(x + number, y)]) if number % 2 else disc_mask(number % 3, index)
                stream.add(number + 1, index, prompt)
    return stream.results


@pytest.mark.parametrize('count', [2, 5, 16])
def test_objects_of_mixed_ages_get_the_same_masks_batched_and_looped(
        predictor, batched, encoded, count):
    frames = 20 if count == 5 else 12
    looped = live(Stream(predictor, encoded, look_back=3), count, frames)
    assert_same_masks(live(Stream(batched, encoded, look_back=3), count, frames), looped)


def test_a_single_object_is_bit_identical_even_when_batched(predictor, batched, encoded):
    results = []
    for each in (predictor, batched):
        stream = Stream(each, encoded)
        stream.add(1, 0, points([disc_xy(0, 0)]))
        stream.track(1, 20)
        results.append(stream.results)
    assert differing(*results) == []


def test_replays_on_other_frames_share_a_pass_with_live_objects(predictor, batched, encoded):
    results = []
    for each in (predictor, batched):
        memories = [each.new_memory(CLIP_HW) for _ in range(3)]
        for number, memory in enumerate(memories):
            each.prompt(memory, number, encoded(number), disc_mask(number, number), False)
        outputs = []
        for step in range(1, 8):
            outputs = each.track([TrackStep(memory, number + step, encoded(number + step))
                                  for number, memory in enumerate(memories)])
        results.append({number: output.logits for number, output in enumerate(outputs)})
    assert_same_masks(results[1], results[0])


def test_objects_of_one_layout_go_through_the_model_together(batched, encoded, monkeypatch):
    passes, step = Counter(), batched._batches.step
    monkeypatch.setattr(batched._batches, 'step', lambda inputs: (
        passes.update([inputs.memory.shape[1]]), step(inputs))[1])
    stream = Stream(batched, encoded)
    for number in range(3):
        stream.add(number, number, disc_mask(number, number))
    stream.track(3, 17)
    passes.clear()
    stream.track(17, 20)
    assert passes == {3: 3}


def test_a_batch_is_no_larger_than_allowed(predictor, encoded, monkeypatch):
    small = Predictor(predictor.model, batched=True, max_batch=2)
    sizes = []
    decode = small.model.decode
    stream = Stream(small, encoded)
    for number in range(5):
        stream.add(number, 0, disc_mask(number % 3, 0))
    stream.track(1, 2)
    monkeypatch.setattr(small.model, 'decode', lambda conditioned, *inputs: (
        sizes.append(len(conditioned)), decode(conditioned, *inputs))[1])
    stream.track(2, 3)
    assert sizes == [2, 2, 1]


def test_prompted_frames_are_passed_unchanged_within_a_batch(batched, encoded):
    memories = [batched.new_memory(CLIP_HW) for _ in range(2)]
    prompted = [batched.prompt(memory, number, encoded(number), disc_mask(0, number), False)
                for number, memory in enumerate(memories)]
    outputs = batched.track([TrackStep(memory, 1, encoded(1)) for memory in memories])
    assert torch.equal(outputs[1].logits, prompted[1].logits)
    assert not torch.equal(outputs[0].logits, prompted[0].logits)


@pytest.mark.parametrize('shorter', [{'maps': 4}, {'pointers': 13}])
def test_a_memory_that_is_cut_shorter_gives_other_masks(batched, encoded, shorter):
    whole = Stream(batched, encoded)
    policy = replace(StockMemory.of(batched.model), **shorter)
    cut = Stream(batched, encoded, policy=policy, after_prune=skip_maps_and_keep_layout)
    for stream in (whole, cut):
        stream.add(1, 0, points([disc_xy(0, 0)]))
        stream.track(1, 20)
    assert differing(cut.results, whole.results) != []


def skip_maps_and_keep_layout(memory) -> None:
    """Drop what has no map any more: the batch reader takes whole maps only."""
    skip_missing_maps(memory)
    for index, entry in list(memory.tracked.items()):
        if entry['maskmem_features'].numel() == 0:
            del memory.tracked[index]


def test_one_object_on_two_frames_at_once_is_refused(batched, encoded):
    memory = batched.new_memory(CLIP_HW)
    batched.prompt(memory, 0, encoded(0), disc_mask(0, 0), False)
    with pytest.raises(ValueError, match='one frame at a time'):
        batched.track([TrackStep(memory, 1, encoded(1)), TrackStep(memory, 2, encoded(2))])


def test_the_reader_finds_what_stock_reads(batched, encoded):
    stream = Stream(batched, encoded)
    stream.add(1, 0, disc_mask(0, 0))
    stream.track(1, 20)
    memory = stream.memories[1]
    reading = memory.policy.read(batched.model, memory, 20)
    assert reading.layout == (7, 16)
    assert reading.map_times == [6, 5, 4, 3, 2, 1, 0]
    assert reading.ages == [20, *range(1, 16)]
