# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Attention to memory in bfloat16 on a CPU, at the speed of its matrix products."""

from __future__ import annotations

from functools import partial
import math

from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.modeling.sam2_base import SAM2Base
import torch

# Scores of so many queries stay in the cache: 512 x 7232 in bfloat16 are 7 MiB.
_QUERIES_AT_ONCE = 512


def fold_values(model: SAM2Base) -> None:
    """
    Make a model's attention to memory project what was attended to, not all of memory.

    Attention weights sum to one, so both give the same; but memory is four times narrower than
    its values, and torch's own bfloat16 attention on CPUs is no faster than float32.
    """
    for layer in model.memory_attention.layers:
        attention = layer.cross_attn_image
        if attention.num_heads == 1 and attention.kv_in_dim < attention.internal_dim:
            attention.forward = partial(attend, attention)


def attend(attention: RoPEAttention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
           num_k_exclude_rope: int = 0) -> torch.Tensor:
    """
    Attend as `RoPEAttention.forward` does, one head.

    :param q: (B, queries, embedding) tokens of the frame
    :param k: (B, keys, kv_in_dim) memory with its position
    :param v: (B, keys, kv_in_dim) memory
    :param num_k_exclude_rope: keys at the end that have no place in the picture
    """
    queries, keys = attention.q_proj(q), attention.k_proj(k)
    in_picture = keys.shape[1] - num_k_exclude_rope
    side = math.isqrt(queries.shape[1])
    if attention.freqs_cis.shape[0] != queries.shape[1]:
        attention.freqs_cis = attention.compute_cis(end_x=side, end_y=side)
    queries, turned = apply_rotary_enc(
        queries[:, None], keys[:, None, :in_picture], freqs_cis=attention.freqs_cis,
        repeat_freqs_k=attention.rope_k_repeat)
    keys = torch.cat([turned[:, 0], keys[:, in_picture:]], dim=1).transpose(1, 2)
    memory = v.to(keys.dtype)
    scaled = queries[:, 0] * attention.internal_dim ** -0.5
    attended = [torch.softmax(part @ keys, dim=-1).to(memory.dtype) @ memory
                for part in scaled.split(_QUERIES_AT_ONCE, dim=1)]
    out: torch.Tensor = attention.out_proj(attention.v_proj(torch.cat(attended, dim=1)))
    return out
