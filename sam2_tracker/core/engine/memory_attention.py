# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Attention to memory with less arithmetic than stock SAM 2's, and the same but for rounding."""

from __future__ import annotations

import copy
from functools import partial
import math

from sam2.modeling.memory_attention import MemoryAttention
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
import torch

# Scores of so many queries stay in the cache: 512 x 7232 in float32 are 14 MiB.
_QUERIES_AT_ONCE = 512
# A CPU's caches hold the keys of so many tokens: an object of `tiny` at 512 px, 6 of `nano`.
_TOKENS_AT_ONCE = 8192


def share_weights(attention: MemoryAttention) -> MemoryAttention:
    """Return a copy over the same weights, whose methods may be replaced."""
    weights = [*attention.parameters(), *attention.buffers()]
    return copy.deepcopy(attention, {id(weight): weight for weight in weights})


def fold_values(attention: MemoryAttention) -> None:
    """
    Make attention to memory project what was attended to, not all of memory.

    Attention weights sum to one, so both give the same; but memory is four times narrower than
    its values, and torch's own bfloat16 attention on CPUs is no faster than float32.
    """
    for layer in attention.layers:
        cross = layer.cross_attn_image
        if cross.num_heads == 1 and cross.kv_in_dim < cross.internal_dim:
            cross.forward = partial(attend, cross)


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
    attended = torch.stack([_read(*one) for one in zip(scaled, keys, memory, strict=True)])
    out: torch.Tensor = attention.out_proj(attention.v_proj(attended))
    return out


def _read(queries: torch.Tensor, keys: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """Attend for one object: (queries, C), (C, keys), (keys, width) -> (queries, width)."""
    return torch.cat([torch.softmax(part @ keys, dim=-1).to(memory.dtype) @ memory
                      for part in queries.split(_QUERIES_AT_ONCE)])


class BatchAttention:
    """
    Memory attention of several objects, over the weights of stock SAM 2's.

    One object's is stock's, bit for bit. Several are the same but for rounding: what they have in
    common on one frame, the first layer up to where memory comes in, is computed once.

    :param attention: with its weights, on its device
    """

    def __init__(self, attention: MemoryAttention) -> None:
        self._for_one = attention
        self._for_many = share_weights(attention)
        self._is_on_cpu = next(attention.parameters()).device.type == 'cpu'
        if self._is_on_cpu:
            fold_values(self._for_many)
        self._for_many.layers[0]._forward_sa = _as_it_is

    def __call__(self, tokens: torch.Tensor, position: torch.Tensor, memory: torch.Tensor,
                 memory_position: torch.Tensor, pointer_tokens: int) -> torch.Tensor:
        """
        Condition frames on memory.

        :param tokens: (B, places, C) frames, or (1, places, C): one frame for all objects
        :param position: (1, places, C) their position encoding
        :param memory: (tokens, B, mem_dim)
        :param memory_position: (tokens, B, mem_dim)
        :param pointer_tokens: how many of memory's tokens, the last ones, are pointers
        :returns: (B, places, C)
        """
        attention, count = self._for_one, memory.shape[1]
        found = tokens + 0.1 * position if attention.pos_enc_at_input else tokens
        if count > 1:
            found = attention.layers[0]._forward_sa(found, position).expand(count, -1, -1)
            attention = self._for_many
        at_once = max(1, _TOKENS_AT_ONCE // len(memory)) if self._is_on_cpu else count
        parts = zip(found.split(at_once), memory.transpose(0, 1).split(at_once),
                    memory_position.transpose(0, 1).split(at_once), strict=True)
        return torch.cat([_run(attention, *part, position, pointer_tokens) for part in parts])


def _run(attention: MemoryAttention, tokens: torch.Tensor, memory: torch.Tensor,
         memory_position: torch.Tensor, position: torch.Tensor,
         pointer_tokens: int) -> torch.Tensor:
    for layer in attention.layers:
        tokens = layer(tgt=tokens, memory=memory, pos=memory_position, query_pos=position,
                       num_k_exclude_rope=pointer_tokens)
    normed: torch.Tensor = attention.norm(tokens)
    return normed


def _as_it_is(tokens: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return tokens
