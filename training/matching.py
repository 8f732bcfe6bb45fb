# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
First weights of the memory: a feature matcher that carries masks, all of it still trainable.

With random weights, memory attention has to discover that a place should look for the places
that look alike, and that takes longer than a CPU has. Here it starts there: a memory is 48
channels of normalised picture features (the keys) and 16 channels that hold the mask on a 4x4
grid (the values), and reading puts these 16 on the directions that the features use least.
"""

from __future__ import annotations

from dataclasses import dataclass

from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, MaskDownSampler
from sam2.modeling.sam2_base import SAM2Base
import torch
from torch.nn import functional

KEYS = 48            # picture feature channels of a memory
GRID = 4             # the mask within one token, GRID x GRID values
FEATURES = 96        # channels of the fuser that carry features; the others carry the mask
MEMORY_SCALE = 5.0   # large against the position encoding, which is added to the keys
LOCAL_PAIRS = 4      # rotary pairs an axis that are given to nearness, the fastest ones


@dataclass(frozen=True)
class FeatureBasis:
    """
    Principal directions of the stride-16 features.

    :ivar mean: (C,) mean feature
    :ivar normed_mean: (C,) mean of the features after LayerNorm
    :ivar directions: (C, C) rows are directions, widest spread first
    :ivar spread: standard deviation over places and channels
    """

    mean: torch.Tensor
    normed_mean: torch.Tensor
    directions: torch.Tensor
    spread: float


def measure_basis(features: torch.Tensor) -> FeatureBasis:
    """Find the principal directions of (N, C) features."""
    mean = features.mean(0)
    _, directions = torch.linalg.eigh((features - mean).T @ (features - mean))
    normed = functional.layer_norm(features, features.shape[1:])
    return FeatureBasis(mean, normed.mean(0), directions.T.flip(0),
                        float((features - mean).std()))


@torch.no_grad()
def start_as_matcher(model: SAM2Base, basis: FeatureBasis) -> None:
    """Set the memory's weights so that it matches features and carries masks."""
    encoder = model.memory_encoder
    project = encoder.pix_feat_proj
    # small, so that the normalised copy which the first fuser layer adds outweighs it
    scale = 0.05 / basis.spread
    project.weight.zero_()
    project.bias.zero_()
    project.weight[:FEATURES, :, 0, 0] = basis.directions[:FEATURES] * scale
    project.bias[:FEATURES] = -(basis.directions[:FEATURES] @ basis.mean) * scale
    _add_normalised_copy(encoder.fuser.layers[0])
    encoder.fuser.layers[1].gamma.fill_(0.05)
    _read_grid(encoder.mask_downsampler)
    encoder.out_proj.weight.zero_()
    encoder.out_proj.bias.zero_()
    for channel in range(KEYS):
        encoder.out_proj.weight[channel, channel] = 1.0
    for channel in range(GRID * GRID):
        encoder.out_proj.weight[KEYS + channel, FEATURES + channel] = 1.0
    for index, layer in enumerate(model.memory_attention.layers):
        _match(layer, basis, sharpness=1.2 * (1 + index), nearness=0.5 * (1 + 3 * index))
    model.obj_ptr_proj.layers[-1].weight.mul_(0.2)
    model.obj_ptr_proj.layers[-1].bias.mul_(0.2)


def _add_normalised_copy(block: CXBlock) -> None:
    """Make a ConvNeXt block add the LayerNorm of its feature channels to its input."""
    width = block.pwconv2.out_features
    block.dwconv.weight.zero_()
    block.dwconv.bias.zero_()
    centre = block.dwconv.kernel_size[0] // 2
    block.dwconv.weight[:FEATURES, 0, centre, centre] = 1.0
    block.norm.weight.fill_(1.0)
    block.norm.bias.zero_()
    eye = torch.eye(width)
    block.pwconv1.weight.mul_(0.3)
    block.pwconv1.weight[:2 * width] = torch.cat([eye, -eye])
    block.pwconv1.bias.zero_()
    block.pwconv2.weight.mul_(0.02)
    # gelu(x) - gelu(-x) = x
    block.pwconv2.weight[:, :2 * width] = torch.cat([eye, -eye], dim=1)
    block.pwconv2.bias.zero_()
    block.gamma[:FEATURES] = MEMORY_SCALE
    block.gamma[FEATURES:] = 0.05


def _read_grid(downsampler: MaskDownSampler) -> None:
    """Fit the last convolution to the mask's 4x4 averages in every token, by least squares."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(24, 1, 12, 12, generator=generator)
    masks = (functional.interpolate(coarse, size=(256, 256), mode='bicubic') > 0).float()
    hidden = downsampler.encoder[:-1](masks * 20 - 10).permute(0, 2, 3, 1).flatten(0, 2)
    cells = functional.pixel_unshuffle(functional.avg_pool2d(masks, 16 // GRID), GRID)
    wanted = (cells.permute(0, 2, 3, 1).flatten(0, 2) * 2 - 1) * MEMORY_SCALE
    ones = torch.ones(len(hidden), 1)
    fitted = torch.linalg.lstsq(torch.cat([hidden, ones], 1), wanted).solution
    last = downsampler.encoder[-1]
    last.weight.mul_(0.3)
    last.weight[:FEATURES] = 0.0
    last.bias.zero_()
    stop = FEATURES + GRID * GRID
    last.weight[FEATURES:stop, :, 0, 0] = fitted[:-1].T
    last.bias[FEATURES:stop] = fitted[-1]


def rotary_slots(width: int) -> tuple[list[int], list[int]]:
    """
    Split rotary channels into those for nearness and those that position hardly turns.

    :param width: channels of the attention; the first half turns with x, the second with y
    :returns: real channels of the fastest pairs, and all channels of the slow pairs
    """
    near = [half + 2 * pair for half in (0, width // 2) for pair in range(LOCAL_PAIRS)]
    slow = [half + channel for half in (0, width // 2)
            for channel in range(2 * LOCAL_PAIRS, width // 2)]
    return near, slow


def _match(layer: MemoryAttentionLayer, basis: FeatureBasis, sharpness: float,
           nearness: float) -> None:
    """Make a layer's cross-attention compare features and hand over the mask grid."""
    attention = layer.cross_attn_image
    near, slow = rotary_slots(attention.internal_dim)
    # widest directions in the slowest pairs
    slow = sorted(slow, key=lambda channel: -(channel % (attention.internal_dim // 2)))[:KEYS]
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.mul_(0.05)
        projection.bias.zero_()
        projection.bias[near] = nearness
    directions = basis.directions[:KEYS]
    attention.q_proj.weight[slow] = directions * sharpness
    attention.q_proj.bias[slow] = -(directions @ basis.normed_mean) * sharpness
    attention.k_proj.weight[slow] = torch.eye(attention.kv_in_dim)[:KEYS] / MEMORY_SCALE
    cells = GRID * GRID
    attention.v_proj.weight[:cells] = torch.eye(attention.kv_in_dim)[KEYS:] / MEMORY_SCALE
    attention.v_proj.bias.zero_()
    attention.out_proj.weight.mul_(0.3)
    attention.out_proj.weight[:, :cells] = basis.directions[-cells:].T * basis.spread
    attention.out_proj.bias.zero_()
    layer.norm2.weight.fill_(1.0)
    layer.norm2.bias.zero_()
    for quiet in (layer.self_attn.out_proj, layer.linear2):
        quiet.weight.mul_(0.1)
        quiet.bias.mul_(0.1)
