# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Our attention to memory computes what SAM 2's does, with less of it."""

from __future__ import annotations

import copy
import json

import pytest
from sam2.modeling.sam.transformer import RoPEAttention
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine import memory_attention
from sam2_tracker.core.engine.attention_kernels import AttentionKernels, Choice, TABLE
from sam2_tracker.core.engine.memory_attention import attend, BatchAttention, fold_values
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.models.loader import build_predictor
from stock import CLIP_HW, disc_mask
import torch


@pytest.fixture
def attention(one_thread) -> RoPEAttention:
    torch.manual_seed(0)
    return RoPEAttention(embedding_dim=256, num_heads=1, downsample_rate=1, kv_in_dim=64,
                         rope_k_repeat=True, feat_sizes=(4, 4)).eval()


@pytest.fixture(scope='module')
def attention_model(one_thread):
    return build_predictor(ModelConfig('sam2.1_hiera_tiny', device='cpu', image_size=64),
                           random_weights=True).memory_attention


@pytest.mark.parametrize('queries', [64, 900])
def test_folded_attention_equals_sam2s_but_for_rounding(attention, queries):
    q, v = torch.randn(2, queries, 256), torch.randn(2, 3 * queries + 8, 64)
    k = v + torch.randn_like(v)
    with torch.inference_mode():
        expected = attention(q, k, v, num_k_exclude_rope=8)
        found = attend(attention, q, k, v, num_k_exclude_rope=8)
    assert (found - expected).abs().max() < 1e-5
    assert expected.std() > 0.01


def test_in_bfloat16_it_is_as_near_to_float32_as_sam2s(attention):
    q, v = torch.randn(1, 64, 256), torch.randn(1, 200, 64)
    with torch.inference_mode():
        expected = attention(q, v, v, num_k_exclude_rope=8)
        with torch.autocast('cpu', torch.bfloat16):
            theirs = (attention(q, v, v, num_k_exclude_rope=8) - expected).abs().mean()
            ours = (attend(attention, q, v, v, num_k_exclude_rope=8) - expected).abs().mean()
    assert ours < 1.2 * theirs


def test_rotations_that_sam2_made_on_a_gpu_are_moved_to_the_model(attention):
    q, v = torch.randn(1, 16, 256), torch.randn(1, 40, 64)
    with torch.inference_mode():
        expected = attention(q, v, v, num_k_exclude_rope=8)
        moves, here = [], attention.freqs_cis

        class OnGpu(torch.Tensor):

            def to(self, device):
                moves.append(device)
                return here
        attention.freqs_cis = torch.empty_like(here, device='meta').as_subclass(OnGpu)
        found = attend(attention, q, v, v, num_k_exclude_rope=8)
    assert moves == [torch.device('cpu')]
    assert (found - expected).abs().max() < 1e-5


def test_only_attention_that_gains_by_it_is_folded(predictor):
    layers = copy.deepcopy(predictor.model.memory_attention).layers
    layers[1].cross_attn_image.kv_in_dim = 256
    layers[2].cross_attn_image.num_heads = 2
    fold_values(layers)
    assert [is_folded(layer) for layer in layers] == [True, False, False, True]


def is_folded(layer) -> bool:
    return getattr(layer.cross_attn_image.forward, 'func', None) is attend


def attend_as_stock(attention, tokens, position, memory, memory_position, pointer_tokens):
    count = memory.shape[1]
    return attention(
        curr=[tokens.expand(count, -1, -1).transpose(0, 1)],
        curr_pos=[position.expand(count, -1, -1).transpose(0, 1)], memory=memory,
        memory_pos=memory_position, num_obj_ptr_tokens=pointer_tokens).transpose(0, 1)


def inputs_for(attention, frames: int, objects: int) -> tuple:
    tokens, position = (torch.randn(count, 16, attention.d_model) for count in (frames, 1))
    memory, memory_position = torch.randn(2, 36, objects, 64)
    return tokens, position, memory, memory_position, 4


def random_attention(model: str):
    return build_predictor(ModelConfig(model, device='cpu', image_size=64),
                           random_weights=True).memory_attention


@pytest.mark.parametrize('fold', [True, False], ids=['folded', 'not folded'])
@pytest.mark.parametrize('frames', [1, 3], ids=['one frame', 'a frame each'])
@pytest.mark.parametrize('model', ['nano', 'sam2.1_hiera_tiny'])
def test_attention_of_a_batch_equals_stocks_but_for_rounding(frames, model, fold, one_thread):
    stock = random_attention(model)
    inputs = inputs_for(stock, frames, 3)
    with torch.inference_mode():
        expected = attend_as_stock(stock, *inputs)
        found = BatchAttention(stock, fold).condition(*inputs)
        again = attend_as_stock(stock, *inputs)
    assert found.shape == expected.shape == (3, 16, stock.d_model)
    assert (found - expected).abs().max() < 1e-4
    assert expected.std(0).mean() > 1e-3, 'each object has a memory of its own'
    assert torch.equal(again, expected), "stock's own attention is as it was"


def test_attention_of_a_batch_in_bfloat16_is_as_near_to_float32_as_sam2s(one_thread):
    stock = random_attention('sam2.1_hiera_tiny')
    inputs = inputs_for(stock, 1, 3)
    with torch.inference_mode():
        expected = attend_as_stock(stock, *inputs)
        with torch.autocast('cpu', torch.bfloat16):
            theirs = (attend_as_stock(stock, *inputs) - expected).abs().mean()
            ours = (BatchAttention(stock, True).condition(*inputs) - expected).abs().mean()
    assert ours < 1.2 * theirs


@pytest.mark.parametrize('fold', [True, False], ids=['folded', 'not folded'])
def test_attention_of_one_object_is_bit_identical_to_stocks(predictor, fold):
    stock = predictor.model.memory_attention
    inputs = inputs_for(stock, 1, 1)
    with torch.inference_mode():
        found = BatchAttention(stock, fold).condition(*inputs)
        assert torch.equal(found, attend_as_stock(stock, *inputs))


def test_attention_of_a_batch_has_the_weights_of_stocks(predictor):
    stock = predictor.model.memory_attention
    many = BatchAttention(stock, True).layers_for(2)
    for ours, theirs in zip(many, stock.layers, strict=True):
        assert dict(ours.named_parameters()).keys() == dict(theirs.named_parameters()).keys()
        assert all(ours.get_parameter(name) is each for name, each in theirs.named_parameters())


@pytest.mark.parametrize(('at_once', 'parts'), [
    (1, [1, 1, 1]), (36 * 256, [1, 1, 1]), (2 * 36 * 256, [2, 1]), (1 << 20, [3])])
def test_no_more_objects_are_computed_together_than_fit_into_the_caches(
        predictor, monkeypatch, at_once, parts):
    stock, run, seen = predictor.model.memory_attention, memory_attention._run, []
    monkeypatch.setattr(memory_attention, '_KEYS_AT_ONCE', at_once)
    monkeypatch.setattr(memory_attention, '_run', lambda layers, tokens, *rest: (
        seen.append(len(tokens)), run(layers, tokens, *rest))[1])
    inputs = inputs_for(stock, 3, 3)
    with torch.inference_mode():
        found = BatchAttention(stock, True).condition(*inputs)
        BatchAttention(stock, False).condition(*inputs)
        assert (found - attend_as_stock(stock, *inputs)).abs().max() < 1e-4
    assert seen == [*parts, 3]


@pytest.mark.parametrize('places', [16, 900])
def test_no_more_scores_are_computed_together_than_fit_into_the_caches(
        attention, monkeypatch, places):
    read, seen = memory_attention._read, []
    monkeypatch.setattr(memory_attention, '_read', lambda queries, *rest: (
        seen.append(len(queries)), read(queries, *rest))[1])
    with torch.inference_mode():
        attend(attention, torch.randn(2, places, 256), *torch.randn(2, 2, places, 64))
    assert seen == 2 * ([16] if places == 16 else [512, 388])


@pytest.mark.parametrize(('frames', 'expected'), [(1, [1, 3, 3, 3]), (3, [3, 3, 3, 3])])
def test_what_the_objects_of_a_frame_have_in_common_is_computed_once(
        predictor, encoded, monkeypatch, frames, expected):
    batched, seen = Predictor(predictor.model, batched=True), []
    memories = [batched.new_memory(CLIP_HW) for _ in range(3)]
    for number, memory in enumerate(memories):
        batched.prompt(memory, 0, encoded(0), disc_mask(number, 0), clear_previous=False)
    run = RoPEAttention.forward

    def counted(self, q, k, v, **options):
        if k is q:
            seen.append(len(q))
        return run(self, q, k, v, **options)
    monkeypatch.setattr(RoPEAttention, 'forward', counted)
    steps = [TrackStep(memory, 1, encoded(1 if frames == 1 else 1 + number))
             for number, memory in enumerate(memories)]
    batched.track(steps)
    assert seen == expected
    attention = batched._batches.attention
    assert all(map(is_folded, attention.layers_for(3))), 'it is on a CPU'
    assert not any(map(is_folded, attention._attention.layers))


@pytest.mark.parametrize('choice', [Choice(), Choice('math'), Choice('flash'), Choice(folds=True),
                                    Choice('math', folds=True)], ids=str)
@pytest.mark.parametrize('objects', [1, 3])
def test_a_chosen_kernel_gives_the_same_but_for_rounding(attention_model, choice, objects):
    kernels = AttentionKernels(((1, choice),))
    inputs = inputs_for(attention_model, 1, objects)
    with torch.inference_mode():
        expected = BatchAttention(attention_model, False).condition(*inputs)
        found = BatchAttention(attention_model, False, kernels).condition(*inputs)
    assert (found - expected).abs().max() < 1e-4
    if choice == Choice():
        assert torch.equal(found, expected)


@pytest.mark.parametrize('objects', [1, 3])
def test_a_kernel_is_chosen_for_attention_to_memory_alone(attention_model, monkeypatch, objects):
    calls, attend_by_torch = [], torch.nn.functional.scaled_dot_product_attention

    def counted(query, key, value, **options):
        calls.append((key.shape[2], value.shape[3]))
        return attend_by_torch(query, key, value, **options)
    monkeypatch.setattr(torch.nn.functional, 'scaled_dot_product_attention', counted)
    inputs = inputs_for(attention_model, 1, objects)
    kernels = AttentionKernels(((1, Choice('math', folds=objects > 1)),))
    with torch.inference_mode():
        BatchAttention(attention_model, False, kernels).condition(*inputs)
    to_memory = [width for length, width in calls if length == len(inputs[2])]
    assert to_memory == [64 if objects > 1 else 256] * len(attention_model.layers)
    assert len(calls) > len(to_memory), 'of the frame to itself'


def test_kernels_are_those_of_the_table_and_of_no_table_elsewhere():
    rows = json.loads(TABLE.read_text())['rows']
    hopper = AttentionKernels.from_rows(rows, (9, 0))
    assert hopper.choice(1) == Choice('flash')
    assert hopper.choice(2) == hopper.choice(16) == Choice('cudnn', folds=True)
    assert all(row['measured'] for row in rows)
    for other in (AttentionKernels.from_rows(rows, (8, 6)),
                  AttentionKernels.of(torch.device('cpu'), torch.bfloat16)):
        assert other.choice(1) == other.choice(16) == Choice()
