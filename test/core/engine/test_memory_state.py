# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""An object's whole memory as tensors: tracking goes on from it as if it had never stopped."""

from __future__ import annotations

from dataclasses import replace
import math

import pytest
from sam2_tracker.core.engine.memory.transfer import LARGEST_VALUE, state_of
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.errors import ModelError
from stock import CLIP_HW, differing, disc_xy, points, Stream
import torch

STOP = 24
END = 32


def tracked(predictor: Predictor, encoded) -> Stream:
    """Track an object up to a frame, prompted more often than is attended to."""
    stream = Stream(predictor, encoded)
    stream.add(1, 0, points([disc_xy(1, 0)]))
    for index in (2, 5, 6, 9, 13):
        stream.track(max(stream.memories[1].cond_indices) + 1, index)
        stream.add(1, index, points([disc_xy(1, index)]))
    stream.track(14, STOP)
    return stream


def on_from(stream: Stream) -> dict:
    stream.track(STOP, END)
    return {key: logits for key, logits in stream.results.items() if key[0] >= STOP}


@pytest.mark.parametrize('stride', [1, 5])
def test_tracking_goes_on_from_a_state_bit_by_bit(predictor, encoded, monkeypatch, stride):
    monkeypatch.setattr(predictor.model, 'memory_temporal_stride_for_eval', stride)
    striding = Predictor(predictor.model)
    stream = tracked(striding, encoded)
    state = state_of(stream.memories[1])
    resumed = Stream(striding, encoded)
    resumed.memories[1] = striding.restored(CLIP_HW, state)
    assert differing(on_from(resumed), on_from(stream)) == []


def test_an_imported_object_goes_on_from_a_state_too(predictor, encoded):
    taught = tracked(predictor, encoded).memories[1]
    stream = Stream(predictor, encoded)
    stream.memories[1] = predictor.new_memory(CLIP_HW)
    predictor.import_cond(stream.memories[1], predictor.export_cond(taught))
    stream.track(0, STOP)
    resumed = Stream(predictor, encoded)
    resumed.memories[1] = predictor.restored(CLIP_HW, state_of(stream.memories[1]))
    assert resumed.memories[1].cond_indices == stream.memories[1].cond_indices
    assert differing(on_from(resumed), on_from(stream)) == []


@pytest.mark.parametrize('field', ['maps', 'pointers', 'score_logits'])
def test_the_largest_values_that_files_may_have_still_give_numbers(predictor, encoded, field):
    bank = predictor.export_cond(tracked(predictor, encoded).memories[1])
    values = getattr(bank, field)
    signs = torch.sign(torch.randn(values.shape, generator=torch.Generator().manual_seed(1)))
    largest = (signs * LARGEST_VALUE).to(values.dtype)
    stream = Stream(predictor, encoded)
    stream.memories[1] = predictor.new_memory(CLIP_HW)
    predictor.import_cond(stream.memories[1], replace(bank, **{field: largest}))
    stream.track(0, 4)
    assert all(bool(logits.isfinite().all()) for logits in stream.results.values())
    assert 0 <= stream.memories[1].output(3).score <= 1


def test_there_is_no_state_right_after_a_prompt(predictor, encoded):
    stream = Stream(predictor, encoded)
    stream.add(1, 0, points([disc_xy(1, 0)]))
    assert state_of(stream.memories[1]) is None


@pytest.fixture(name='state', scope='module')
def state_fixture(predictor, encoded):
    return state_of(tracked(predictor, encoded).memories[1])


@pytest.mark.parametrize('lost', ['cond.', '.maskmem_features', '.obj_ptr'])
def test_a_state_that_lacks_something_is_refused(predictor, state, lost):
    with pytest.raises(ModelError, match='cannot be read'):
        predictor.restored(CLIP_HW, {name: tensor for name, tensor in state.items()
                                     if lost not in f'.{name}'})


@pytest.mark.parametrize('name', ['cond.0.obj_ptr', 'cond.first.0.obj_ptr', 'other.0.0.obj_ptr',
                                  'cond.0.0.colour'])
def test_a_state_with_something_unknown_is_refused(predictor, state, name):
    with pytest.raises(ModelError, match='cannot be read'):
        predictor.restored(CLIP_HW, {**state, name: torch.zeros(1)})


def test_a_state_of_another_image_size_is_refused(predictor, state):
    with pytest.raises(ModelError, match='another image size made it'):
        predictor.restored(CLIP_HW, {
            name: tensor[..., :-1, :-1] if name.endswith('maskmem_features') else tensor
            for name, tensor in state.items()})


@pytest.mark.parametrize('flag', [1, 0.5, [True, False], []])
def test_a_state_that_relies_on_a_frame_neither_nor_is_refused(predictor, state, flag):
    with pytest.raises(ModelError, match='cannot be read'):
        predictor.restored(CLIP_HW, {**state, 'tracked.0.3.relied_on': torch.tensor(flag)})


@pytest.mark.parametrize('numbers', [[0.0] * 2 + [math.inf], [0.0] * 2 + [math.nan], 1.0])
@pytest.mark.parametrize('kind', ['tracked.0.3.seen', 'standing.0.3.seen'])
def test_a_state_whose_numbers_cannot_be_is_refused(predictor, state, kind, numbers):
    with pytest.raises(ModelError, match='cannot be read'):
        predictor.restored(CLIP_HW, {**state, kind: torch.tensor(numbers)})
