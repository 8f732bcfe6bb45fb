# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Attention to memory that reads memory maps at half their resolution.

Apart: import, the configuration names its classes, and only building such a model imports them.
"""

from __future__ import annotations

import math

from sam2.modeling.sam.transformer import RoPEAttention
from sam2_tracker.core.engine.memory_attention import turned
import torch
from torch.nn import functional

# How many places of a map become one, in each direction.
_POOLED = 2
# A pooled place stands for so many: as much is added to the logarithm of its weight.
_FOR_ALL_POOLED = math.log(_POOLED ** 2)


class PooledAttention(RoPEAttention):
    """
    Attend as EfficientTAM's `_1` models do: a pooled place weighs as much as all it is of.

    With one head, as SAM 2's own attention to memory has.
    """

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor,
                num_k_exclude_rope: int = 0) -> torch.Tensor:
        """
        Attend to memory; a single map is read as it is.

        :param q: (B, queries, embedding) tokens of the frame
        :param k: (B, keys, kv_in_dim) memory with its position: maps as large as the frame's,
            then tokens that have no place in the picture
        :param v: (B, keys, kv_in_dim) memory
        :param num_k_exclude_rope: how many of the keys have no place
        """
        queries, keys = turned(self, q, k, num_k_exclude_rope)
        queries, keys, values = queries[:, None], keys[:, None], self.v_proj(v)[:, None]
        places, in_maps = queries.shape[-2], keys.shape[-2] - num_k_exclude_rope
        if in_maps <= places:
            attended = functional.scaled_dot_product_attention(queries, keys, values)
        else:
            attended = self._attend(queries, *(
                part for tokens in (keys, values)
                for part in (pooled(tokens[:, :, :in_maps], places), tokens[:, :, in_maps:])))
        return self.out_proj(attended[:, 0])

    def _attend(self, queries: torch.Tensor, maps: torch.Tensor, rest: torch.Tensor,
                map_values: torch.Tensor, rest_values: torch.Tensor) -> torch.Tensor:
        """Attend with pooled maps and what has no place, (B, 1, tokens, C) each."""
        scale = 1 / math.sqrt(queries.shape[-1])
        weights = torch.cat([queries @ maps.transpose(-2, -1) * scale + _FOR_ALL_POOLED,
                             queries @ rest.transpose(-2, -1) * scale], dim=-1)
        return torch.softmax(weights, dim=-1) @ torch.cat([map_values, rest_values], dim=-2)


class PooledKeysAttention(PooledAttention):
    """Attend as EfficientTAM's `_2` models do: the logarithm is added to the keys themselves."""

    def _attend(self, queries: torch.Tensor, maps: torch.Tensor, rest: torch.Tensor,
                map_values: torch.Tensor, rest_values: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(
            queries, torch.cat([maps + _FOR_ALL_POOLED, rest], dim=-2),
            torch.cat([map_values, rest_values], dim=-2))


def pooled(tokens: torch.Tensor, places: int) -> torch.Tensor:
    """
    Average the maps that tokens are of.

    :param tokens: (B, 1, maps * places, C)
    :param places: of one map, which is square
    :returns: (B, 1, maps * places / 4, C)
    """
    side = math.isqrt(places)
    channels = tokens.shape[-1]
    maps = tokens.reshape(-1, places, channels).transpose(1, 2).reshape(-1, channels, side, side)
    small = functional.avg_pool2d(maps, _POOLED).flatten(2).transpose(1, 2)
    return small.reshape(len(tokens), 1, -1, channels)
