# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The CPU's attention to memory computes what SAM 2's does."""

from __future__ import annotations

import copy

import pytest
from sam2.modeling.sam.transformer import RoPEAttention
import torch

from sam2_tracker.core.engine.cpu_attention import attend, fold_values


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
    fold_values(type('Model', (), {'memory_attention': model}))
    folded = ['forward' in vars(layer.cross_attn_image) for layer in model.layers]
    assert folded == [True, False, False, False]
