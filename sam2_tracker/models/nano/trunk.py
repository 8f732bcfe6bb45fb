# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The picture trunk of ``nano``: EfficientNet-Lite0's layers with BatchNorm folded away.

Apart: import, nano's configuration names it, and only building nano imports it.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# (repeats, kernel, stride, expansion, input channels, output channels), as in EfficientNet-Lite0.
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
# Stages whose last output leaves the trunk: strides 4, 8, 16 and 32.
TAPS = (1, 2, 4, 6)


def same_pad_conv(inputs: int, outputs: int, kernel: int, stride: int,
                  groups: int) -> nn.Conv2d:
    """
    Make a convolution that has TensorFlow's SAME padding on inputs of even size.

    With stride 2 that padding puts one pixel more right and below than left and above. A kernel
    one larger, with zeros in its first row and column, does so without copying the picture.
    """
    size = kernel + stride - 1
    return nn.Conv2d(inputs, outputs, size, stride=stride, groups=groups, padding=kernel // 2)


class MBConv(nn.Module):
    """An inverted bottleneck: expand, convolve by channel, project; ReLU6 in between."""

    def __init__(self, kernel: int, stride: int, expansion: int, inputs: int,
                 outputs: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = nn.Conv2d(inputs, width, 1) if expansion > 1 else None
        self.depthwise = same_pad_conv(width, width, kernel, stride, width)
        self.project = nn.Conv2d(width, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = x
        if self.expand is not None:
            y = functional.relu6(self.expand(y), inplace=True)
        y = self.project(functional.relu6(self.depthwise(y), inplace=True))
        return x + y if self.residual else y


class NanoTrunk(nn.Module):
    """
    EfficientNet-Lite0 without its head, four feature maps out.

    :ivar channel_list: channels of the outputs, coarsest first, as ``FpnNeck`` expects them
    """

    def __init__(self) -> None:
        super().__init__()
        self.channel_list = [STAGES[tap][-1] for tap in reversed(TAPS)]
        self.stem = same_pad_conv(3, 32, 3, 2, 1)
        self.stages = nn.ModuleList()
        for repeats, kernel, stride, expansion, inputs, outputs in STAGES:
            blocks = [MBConv(kernel, stride, expansion, inputs, outputs)]
            blocks += [MBConv(kernel, 1, expansion, outputs, outputs) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(*blocks))
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                # half the time of the default layout on a CPU
                conv.weight = nn.Parameter(
                    conv.weight.contiguous(memory_format=torch.channels_last))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """
        Compute feature maps at strides 4, 8, 16 and 32.

        :param images: (B, 3, H, W), normalised as for ImageNet; H and W are multiples of 32
        :returns: four (B, C, H / stride, W / stride) maps, finest first
        """
        x = functional.relu6(self.stem(images.contiguous(memory_format=torch.channels_last)),
                             inplace=True)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return maps
