# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""First weights: before any training, memory holds masks and finds the places that look alike."""

from __future__ import annotations

import pytest
from sam2.modeling.sam2_base import SAM2Base
import torch
from torch.nn import functional
from training.matching import (
    GRID,
    KEYS,
    measure_basis,
    MEMORY_SCALE,
    rotary_slots,
    start_as_matcher,
)
from training.model import build_nano

SIZE = 256
TOKENS = 16


@pytest.fixture(scope='module')
def model() -> SAM2Base:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    nano = build_nano(SIZE).eval().requires_grad_(False)
    start_as_matcher(nano, measure_basis(features(0).flatten(2)[0].T))
    return nano


def features(seed: int) -> torch.Tensor:
    """Give every place its own random feature, larger along some directions."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(3, 0.3, 128)[None, :, None, None]
    return torch.randn(1, 128, TOKENS, TOKENS, generator=generator) * spread


def mask() -> torch.Tensor:
    drawn = torch.zeros(1, 1, SIZE, SIZE)
    drawn[..., 50:170, 70:210] = 1
    return drawn


def test_memory_holds_the_mask_on_a_fine_grid(model: SAM2Base) -> None:
    memory = model.memory_encoder(features(0), mask() * 20 - 10, True)['vision_features']
    cells = functional.pixel_unshuffle(functional.avg_pool2d(mask(), 16 // GRID), GRID)
    held = memory[:, KEYS:] / MEMORY_SCALE
    agreement = ((held > 0) == (cells > 0.5)).float().mean().item()
    assert agreement > 0.97


def test_the_keys_of_memory_are_normalised_features(model: SAM2Base) -> None:
    for scale in (1.0, 4.0):
        memory = model.memory_encoder(features(0) * scale, mask() * 20 - 10, True)
        sizes = memory['vision_features'][:, :KEYS].norm(dim=1)
        assert sizes.std() < 0.2 * sizes.mean()


def test_a_shuffled_picture_reads_the_mask_from_where_its_places_came_from(
        model: SAM2Base) -> None:
    picture = features(0)
    encoded = model.memory_encoder(picture, mask() * 20 - 10, True)
    memory = encoded['vision_features'].flatten(2).transpose(1, 2)
    positions = encoded['vision_pos_enc'][0].flatten(2).transpose(1, 2)
    moved = picture.roll(3, -1).flatten(2).transpose(1, 2)
    attention = model.memory_attention.layers[0].cross_attn_image
    # out of the attention itself: values lie in its first channels before the projection
    read = attention(functional.layer_norm(moved, (128,)), memory + positions, memory)
    inside = functional.avg_pool2d(mask(), 16).roll(3, -1).flatten() > 0.5
    directions = attention.out_proj.weight[:, :GRID * GRID]
    signal = (read[0] @ directions).mean(1)
    assert signal[inside].mean() > 0 > signal[~inside].mean()
    assert ((signal > 0) == inside).float().mean() > 0.9


def test_rotary_channels_for_nearness_and_for_looks_do_not_meet() -> None:
    near, slow = rotary_slots(64)
    assert len(near) == 8 and len(slow) == KEYS
    assert not set(near) & set(slow)
