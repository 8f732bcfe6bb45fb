# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
EfficientTAM's picture encoder: a plain vision transformer, and a neck with one map.

Its weights have the names and shapes of the published ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import math

from sam2.modeling.backbones.utils import PatchEmbed, window_partition, window_unpartition
from sam2.modeling.sam2_utils import LayerNorm2d, MLP
import torch
from torch import nn
from torch.nn import functional

PATCH = 16
# Positions were learnt on pictures of 224 pixels, behind that of a class token nobody reads here.
_LEARNT_SIDE = 224 // PATCH
_EPSILON = 1e-6


class Attention(nn.Module):
    """Attention of places to each other, in several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, C) to the same shape; all places of one of the B see each other."""
        batch, height, width, channels = x.shape
        of_each_head = (batch, height * width, 3, self.heads, channels // self.heads)
        queries, keys, values = self.qkv(x).view(of_each_head).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(queries, keys, values)
        return self.proj(attended.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """
    One layer of the transformer.

    :param window: side of the windows that places see each other in; 0: all see all
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = MLP(width, 4 * width, width, num_layers=2, activation=nn.GELU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, C) to the same shape."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        if not self.window:
            return self.attn(x)
        windows, padded_hw = window_partition(x, self.window)
        return window_unpartition(self.attn(windows), self.window, padded_hw, x.shape[1:3])


class PlainTrunk(nn.Module):
    """
    A vision transformer of one resolution.

    :param width: channels
    :param heads: attention heads of each block
    :param depth: number of blocks
    :param everywhere: blocks in which all places see each other
    :param window: side of the windows of the other blocks, in places
    :ivar channel_list: channels of the output, as SAM 2's `ImageEncoder` asks for them
    """

    def __init__(self, width: int, heads: int, depth: int = 12,
                 everywhere: Iterable[int] = (2, 5, 8, 11), window: int = 14) -> None:
        super().__init__()
        self.channel_list = [width]
        self.patch_embed = PatchEmbed(kernel_size=(PATCH, PATCH), stride=(PATCH, PATCH),
                                      padding=(0, 0), embed_dim=width)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _LEARNT_SIDE ** 2, width))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        full = set(everywhere)
        self.blocks = nn.ModuleList(Block(width, heads, 0 if index in full else window)
                                    for index in range(depth))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """
        Compute the feature map at stride 16.

        :param images: (B, 3, H, W), normalised as for ImageNet; H and W are multiples of 16
        :returns: one (B, width, H / 16, W / 16) map
        """
        x = self.patch_embed(images)
        x = x + self._positions(x.shape[1], x.shape[2])
        for block in self.blocks:
            x = block(x)
        return [x.permute(0, 3, 1, 2)]

    def _positions(self, height: int, width: int) -> torch.Tensor:
        """Return the positions for a map, (1, height, width, C)."""
        side = math.isqrt(self.pos_embed.shape[1])
        learnt = self.pos_embed[:, 1:].view(1, side, side, -1).permute(0, 3, 1, 2)
        if (height, width) != (side, side):
            learnt = functional.interpolate(learnt, size=(height, width), mode='bicubic',
                                            align_corners=False)
        return learnt.permute(0, 2, 3, 1)


class OneMapNeck(nn.Module):
    """
    Bring the trunk's map to the width of the rest of SAM 2.

    :param position_encoding: a `PositionEmbeddingSine`
    :param d_model: channels of the output
    :param backbone_channel_list: channels of the trunk's map, one number
    """

    def __init__(self, position_encoding: nn.Module, d_model: int,
                 backbone_channel_list: Sequence[int]) -> None:
        super().__init__()
        self.position_encoding = position_encoding
        self.d_model = d_model
        self.backbone_channel_list = list(backbone_channel_list)
        inputs, = self.backbone_channel_list
        layers = nn.Sequential()
        layers.add_module('conv_1x1', nn.Conv2d(inputs, d_model, 1, bias=False))
        layers.add_module('norm_0', LayerNorm2d(d_model))
        layers.add_module('conv_3x3', nn.Conv2d(d_model, d_model, 3, padding=1, bias=False))
        layers.add_module('norm_1', LayerNorm2d(d_model))
        self.convs = nn.ModuleList([layers])

    def forward(self, maps: Sequence[torch.Tensor]
                ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Map the trunk's one map to [(B, d_model, h, w)] and [its position encoding]."""
        x, = maps
        found = self.convs[0](x)
        return [found], [self.position_encoding(found).to(found.dtype)]
