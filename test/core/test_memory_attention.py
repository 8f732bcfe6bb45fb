# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Our attention to memory computes what SAM 2's does, with less of it."""

from __future__ import annotations

import copy

import pytest
from sam2.modeling.sam.transformer import RoPEAttention
import torch

from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine import memory_attention
from sam2_tracker.core.engine.memory_attention import attend, BatchAttention, fold_values
from sam2_tracker.models.loader import build_predictor


@pytest.fixture
def attention(one_thread) -> RoPEAttention:
    torch.manual_seed(0)
    return RoPEAttention(embedding_dim=256, num_heads=1, downsample_rate=1, kv_in_dim=64,
                         rope_k_repeat=True, feat_sizes=(4, 4)).eval()


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


def test_only_attention_that_gains_by_it_is_folded(predictor):
    model = copy.deepcopy(predictor.model.memory_attention)
    for layer in model.layers[1:]:
        layer.cross_attn_image.kv_in_dim = 256
    fold_values(model)
    folded = ['forward' in vars(layer.cross_attn_image) for layer in model.layers]
    assert folded == [True, False, False, False]


def attend_as_stock(attention, tokens, position, memory, memory_position, pointer_tokens):
    count = memory.shape[1]
    return attention(
        curr=[tokens.expand(count, -1, -1).transpose(0, 1)],
        curr_pos=[position.expand(count, -1, -1).transpose(0, 1)], memory=memory,
        memory_pos=memory_position, num_obj_ptr_tokens=pointer_tokens).transpose(0, 1)


@pytest.mark.parametrize('frames', [1, 3], ids=['one frame', 'a frame each'])
@pytest.mark.parametrize('model', ['nano', 'sam2.1_hiera_tiny'])
def test_attention_of_a_batch_equals_stocks_but_for_rounding(frames, model, one_thread):
    stock = build_predictor(ModelConfig(model, device='cpu', image_size=64),
                            random_weights=True).memory_attention
    width, places = stock.d_model, 16
    tokens, position = torch.randn(frames, places, width), torch.randn(1, places, width)
    memory, memory_position = torch.randn(2, 2 * places + 4, 3, 64)
    inputs = (tokens, position, memory, memory_position, 4)
    with torch.inference_mode():
        expected = attend_as_stock(stock, *inputs)
        found = BatchAttention(stock)(*inputs)
        again = attend_as_stock(stock, *inputs)
    assert found.shape == expected.shape == (3, places, width)
    assert (found - expected).abs().max() < 1e-4
    assert expected.std(0).mean() > 1e-3, 'each object has a memory of its own'
    assert torch.equal(again, expected), "stock's own attention is as it was"


def test_what_the_objects_of_a_frame_have_in_common_is_computed_once(predictor, monkeypatch):
    seen, run = [], RoPEAttention.forward

    def counted(self, q, k, v, **options):
        seen.append((len(q), q.shape == k.shape))
        return run(self, q, k, v, **options)
    monkeypatch.setattr(RoPEAttention, 'forward', counted)
    shared = BatchAttention(predictor.model.memory_attention)
    memory, memory_position = torch.randn(2, 40, 3, 64)
    with torch.inference_mode():
        shared(torch.randn(1, 16, 256), torch.randn(1, 16, 256), memory, memory_position, 8)
    within_the_frame = [count for count, is_own in seen if is_own]
    assert within_the_frame == [1, 3, 3, 3]


@pytest.mark.parametrize('at_once', [1, 40, 80, 10_000])
def test_no_more_objects_are_computed_together_than_fit_into_the_caches(
        predictor, monkeypatch, at_once):
    shared = BatchAttention(predictor.model.memory_attention)
    memory, memory_position = torch.randn(2, 40, 3, 64)
    inputs = (torch.randn(3, 16, 256), torch.randn(1, 16, 256), memory, memory_position, 8)
    with torch.inference_mode():
        expected = attend_as_stock(predictor.model.memory_attention, *inputs)
        monkeypatch.setattr(memory_attention, '_TOKENS_AT_ONCE', at_once)
        assert (shared(*inputs) - expected).abs().max() < 1e-4


def test_attention_of_one_object_is_bit_identical_to_stocks(predictor):
    stock = predictor.model.memory_attention
    memory, memory_position = torch.randn(2, 40, 1, 64)
    inputs = (torch.randn(1, 16, 256), torch.randn(1, 16, 256), memory, memory_position, 8)
    with torch.inference_mode():
        assert torch.equal(BatchAttention(stock)(*inputs), attend_as_stock(stock, *inputs))


def test_attention_of_a_batch_has_the_weights_of_stocks(predictor):
    stock = predictor.model.memory_attention
    pairs = zip(stock.parameters(), BatchAttention(stock)._for_many.parameters(), strict=True)
    assert all(ours is theirs for ours, theirs in pairs)
