# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Compiled graphs are prepared beforehand, used where they fit and change no mask.

Graphs are traced and run by torch itself here: generating code for them takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from functools import cache, partial

import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine import compiling
from sam2_tracker.core.engine import predictor as predictor_module
from sam2_tracker.core.engine.batching import StepInputs, StepOutputs
from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.engine.stream_predictor import StreamPredictor
from sam2_tracker.core.errors import ModelError
from sam2_tracker.models.loader import build_predictor
from stock import differing, disc_mask, read_clip, Stream
import torch


@pytest.fixture(scope='module')
def predictor(one_thread) -> Predictor:
    """Give a small model: tracing takes as long as the model has operations."""
    return Predictor(small_model(), batched=True)


def small_model() -> StreamPredictor:
    model = build_predictor(ModelConfig('nano', device='cpu', image_size=64), random_weights=True)
    # Its own are several frames apart, and windows of 16 frames are soon full.
    model.memory_temporal_stride_for_eval = 1
    return model


@pytest.fixture(scope='module')
def encoded(predictor, clip_folder) -> Callable[[int], EncodedFrame]:
    pictures = read_clip(clip_folder)
    return cache(lambda index: predictor.encode(pictures[index]))


@pytest.fixture(scope='module')
def compiled(one_thread) -> Predictor:
    patch = pytest.MonkeyPatch()
    patch.setattr(predictor_module, 'compile_encoder',
                  partial(compiling.compile_encoder, backend='eager'))
    patch.setattr(predictor_module, 'CompiledStep',
                  partial(compiling.CompiledStep, backend='eager'))
    patch.setattr(compiling, '_COND_FRAMES', (1,))
    built = Predictor(small_model(), max_batch=1, compile='full')
    built.warm_up()
    yield built
    patch.undo()
    torch.compiler.reset()


def toy_inputs(count: int, maps: int = 7, pointers: int = 16, shared: bool = True) -> StepInputs:
    """Make a batch for pictures of 2 x 2 places, 4 channels and 2 in memory."""
    features = torch.randn(1 if shared else count, 4, 2, 2).expand(count, -1, -1, -1)
    tokens = 4 * maps + 2 * pointers
    memory, position = torch.randn(2, tokens, count, 2)
    return StepInputs([features], torch.zeros(1, 4, 2, 2), memory, position, 2 * pointers)


def toy_step(inputs: StepInputs) -> StepOutputs:
    """Compute something of each object's own inputs."""
    own = inputs.memory.sum((0, 2)) + 2 * inputs.memory_position.sum((0, 2))
    own = own + inputs.maps[0].sum((1, 2, 3)) + inputs.pointer_tokens
    return StepOutputs(own, own + 1, own + 2, own + 3)


@pytest.fixture
def toy() -> tuple[compiling.CompiledStep, list[int]]:
    """Give prepared steps, and a list that the sizes of compiled batches are added to."""
    steps, sizes = compiling.CompiledStep(toy_step, 4, backend='eager'), []
    steps.prepare(toy_inputs(1))
    run = steps._compiled
    steps._compiled = lambda inputs: (sizes.append(inputs.memory.shape[1]), run(inputs))[1]
    return steps, sizes


@pytest.mark.parametrize(('count', 'size'), [(1, 1), (2, 2), (3, 4), (4, 4)])
@pytest.mark.parametrize('cond_frames', [1, 2])
def test_a_batch_goes_through_the_graph_of_the_next_size(toy, count, size, cond_frames):
    steps, sizes = toy
    inputs = toy_inputs(count, maps=6 + cond_frames, pointers=15 + cond_frames)
    found, expected = steps(inputs), toy_step(inputs)
    assert sizes == [size]
    for ours, theirs in zip(astuple(found), astuple(expected), strict=True):
        assert torch.allclose(ours, theirs)


@pytest.mark.parametrize('inputs', [
    toy_inputs(3, maps=5), toy_inputs(3, pointers=9), toy_inputs(2, shared=False),
    toy_inputs(1, maps=9, pointers=18)],
    ids=['few maps', 'few pointers', 'different frames', 'many prompted frames'])
def test_what_no_graph_was_prepared_for_is_run_as_it_is(toy, inputs):
    steps, sizes = toy
    found, expected = steps(inputs), toy_step(inputs)
    assert sizes == []
    assert torch.equal(found.logits, expected.logits)


def test_one_object_goes_through_its_graph_and_keeps_every_bit(
        compiled, predictor, encoded, monkeypatch):
    steps, sizes = compiled._steps, []
    run = steps._compiled
    monkeypatch.setattr(steps, '_compiled', lambda inputs: (
        sizes.append(inputs.memory.shape[1]), run(inputs))[1])
    streams = [Stream(each, encoded) for each in (predictor, compiled)]
    for stream in streams:
        stream.add(1, 0, disc_mask(0, 0))
        stream.track(1, 20)
    assert sizes == [1] * 4
    assert differing(streams[1].results, streams[0].results) == []


def test_a_compiled_encoder_gives_the_same_features(compiled, predictor, clip_folder):
    picture = read_clip(clip_folder)[3]
    found, expected = compiled.encode(picture), predictor.encode(picture)
    assert compiled.model.encoder_is_compiled
    for ours, theirs in zip(found.maps, expected.maps, strict=True):
        assert torch.equal(ours, theirs)


def test_only_batched_tracking_can_be_compiled_in_full(predictor):
    with pytest.raises(ModelError, match='batched'):
        Predictor(small_model(), batched=False, compile='full')
    with pytest.raises(ModelError, match="compile 'all' is none of none, encoder, full"):
        Predictor(predictor.model, compile='all')
