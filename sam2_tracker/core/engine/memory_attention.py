# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Attention to memory with less arithmetic than stock SAM 2's, and the same but for rounding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import copy
from functools import partial
import math
from typing import Any, TypeVar

from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.position_encoding import apply_rotary_enc
from sam2.modeling.sam.transformer import RoPEAttention
from sam2_tracker.core.engine.attention_kernels import AttentionKernels, Choice
import torch
from torch import nn
from torch.nn import functional

_Module = TypeVar('_Module', bound=nn.Module)

# Scores of so many queries stay in a CPU's cache: 512 x 7232 in float32 are 14 MiB.
_QUERIES_AT_ONCE = 512
# So do keys of so many numbers; one object of `tiny` at 512 px has 1.9 million, of `nano` 0.1.
_KEYS_AT_ONCE = 1 << 21


def fold_values(layers: Iterable[MemoryAttentionLayer], choice: Choice | None = None) -> None:
    """
    Make attention to memory project what was attended to, not all of memory.

    Attention weights sum to one, so both give the same; but memory is four times narrower than
    its values, and torch's own bfloat16 attention on CPUs is no faster than float32.

    Attention of another kind than SAM 2's own is left as it is.

    :param choice: torch's kernel for it; None for plain products, as on a CPU
    """
    for layer in layers:
        cross = layer.cross_attn_image
        is_sam2_s = type(cross) is RoPEAttention and cross.num_heads == 1
        if is_sam2_s and cross.kv_in_dim < cross.internal_dim:
            layer.cross_attn_image = _shell(cross)
            layer.cross_attn_image.forward = partial(attend, cross) if choice is None else (
                partial(attend_folded, cross, choice))


def _choose_kernel(layers: Iterable[MemoryAttentionLayer], choice: Choice) -> None:
    """Make attention to memory use a kernel."""
    for layer in layers:
        cross = layer.cross_attn_image
        layer.cross_attn_image = _shell(cross)
        layer.cross_attn_image.forward = partial(_attend_chosen, cross, choice)


def _shell(module: _Module) -> _Module:
    """Return a module that shares all that another has, and whose methods may be replaced."""
    shell = copy.copy(module)
    shell._modules = dict(module._modules)
    return shell


def attend(attention: RoPEAttention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
           num_k_exclude_rope: int = 0) -> torch.Tensor:
    """
    Attend as `RoPEAttention.forward` does, one head.

    :param q: (B, queries, embedding) tokens of the frame
    :param k: (B, keys, kv_in_dim) memory with its position
    :param v: (B, keys, kv_in_dim) memory
    :param num_k_exclude_rope: keys at the end that have no place in the picture
    """
    queries, keys = turned(attention, q, k, num_k_exclude_rope)
    memory, keys = v.to(keys.dtype), keys.transpose(1, 2)
    scaled = queries * attention.internal_dim ** -0.5
    attended = torch.stack([
        torch.cat([_read(part, *own) for part in parts.split(_QUERIES_AT_ONCE)])
        for parts, *own in zip(scaled, keys, memory, strict=True)])
    out: torch.Tensor = attention.out_proj(attention.v_proj(attended))
    return out


def attend_folded(attention: RoPEAttention, choice: Choice, q: torch.Tensor, k: torch.Tensor,
                  v: torch.Tensor, num_k_exclude_rope: int = 0) -> torch.Tensor:
    """
    Attend as `attend` does, by one of torch's own kernels.

    :param choice: which one
    """
    queries, keys = turned(attention, q, k, num_k_exclude_rope)
    # Kernels are measured with, and may refuse all but, memory that lies in one piece.
    memory = v.to(keys.dtype).contiguous()
    with choice.selected():
        attended = functional.scaled_dot_product_attention(
            queries[:, None], keys[:, None], memory[:, None])
    out: torch.Tensor = attention.out_proj(attention.v_proj(attended[:, 0]))
    return out


def _attend_chosen(attention: RoPEAttention, choice: Choice, **inputs: Any) -> torch.Tensor:
    with choice.selected():
        out: torch.Tensor = attention(**inputs)
    return out


def turned(attention: RoPEAttention, q: torch.Tensor, k: torch.Tensor,
           num_k_exclude_rope: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Project queries and keys, and turn them by their places in the picture.

    :param attention: with one head
    :param num_k_exclude_rope: keys at the end that have no place in the picture
    :returns: queries and keys, (B, tokens, C)
    """
    queries, keys = attention.q_proj(q), attention.k_proj(k)
    in_picture = keys.shape[1] - num_k_exclude_rope
    queries, turned = apply_rotary_enc(
        queries[:, None], keys[:, None, :in_picture], freqs_cis=_rotations(attention, queries),
        repeat_freqs_k=attention.rope_k_repeat)
    return queries[:, 0], torch.cat([turned[:, 0], keys[:, in_picture:]], dim=1)


def _rotations(attention: RoPEAttention, queries: torch.Tensor) -> torch.Tensor:
    places = queries.shape[1]
    if attention.freqs_cis.shape[0] != places:
        side = math.isqrt(places)
        attention.freqs_cis = attention.compute_cis(end_x=side, end_y=side)
    # SAM 2 makes them on the GPU if there is one, wherever the model is.
    attention.freqs_cis = attention.freqs_cis.to(queries.device)
    return attention.freqs_cis


def _read(queries: torch.Tensor, keys: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """Read: (..., queries, C), (..., C, keys), (..., keys, width) -> (..., queries, width)."""
    return torch.softmax(queries @ keys, dim=-1).to(memory.dtype) @ memory


class BatchAttention:
    """
    Memory attention of a batch of objects.

    One object's goes through `attention` as it is, if no kernel is chosen for it. Several are the
    same but for rounding: their first layer's self-attention, equal for all on one frame, is
    computed once.

    :param attention: with its weights, on its device
    :param fold: whether to fold the values of several objects by plain products, as pays on a CPU
    :param kernels: what torch is to use on a GPU
    """

    def __init__(self, attention: MemoryAttention, fold: bool,
                 kernels: AttentionKernels | None = None) -> None:
        self._attention = attention
        self._fold = fold
        self._kernels = kernels or AttentionKernels()
        self._layers: dict[tuple[Choice, bool], Sequence[MemoryAttentionLayer]] = {}

    def layers_for(self, objects: int) -> Sequence[MemoryAttentionLayer]:
        """Return the layers as so many objects go through them."""
        key = self._kernels.choice(objects), objects > 1
        if key not in self._layers:
            self._layers[key] = self._made(*key)
        return self._layers[key]

    def _made(self, choice: Choice, is_for_many: bool) -> Sequence[MemoryAttentionLayer]:
        layers = [_shell(layer) for layer in self._attention.layers]
        if self._fold and is_for_many:
            fold_values(layers)
        elif choice.folds:
            fold_values(layers, choice)
        elif choice.kernel:
            _choose_kernel(layers, choice)
        if is_for_many:
            layers[0]._forward_sa = _as_it_is
        return layers

    def condition(self, tokens: torch.Tensor, position: torch.Tensor, memory: torch.Tensor,
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
        count = memory.shape[1]
        layers = self.layers_for(count)
        found = tokens + 0.1 * position if self._attention.pos_enc_at_input else tokens
        if count > 1:
            first = self._attention.layers[0]
            found = first._forward_sa(found, position).expand(count, -1, -1)
        size = self._at_once(memory)
        parts = zip(found.split(size), memory.transpose(0, 1).split(size),
                    memory_position.transpose(0, 1).split(size), strict=True)
        found = torch.cat([_run(layers, *part, position, pointer_tokens) for part in parts])
        normed: torch.Tensor = self._attention.norm(found)
        return normed

    def _at_once(self, memory: torch.Tensor) -> int:
        if not self._fold:
            return memory.shape[1]
        width = self._attention.layers[0].cross_attn_image.internal_dim
        return max(1, _KEYS_AT_ONCE // (len(memory) * width))


def _run(layers: Iterable[MemoryAttentionLayer], tokens: torch.Tensor, memory: torch.Tensor,
         memory_position: torch.Tensor, position: torch.Tensor,
         pointer_tokens: int) -> torch.Tensor:
    for layer in layers:
        tokens = layer(tgt=tokens, memory=memory, pos=memory_position, query_pos=position,
                       num_k_exclude_rope=pointer_tokens)
    return tokens


def _as_it_is(tokens: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return tokens
