# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a prediction costs: focal and dice on masks, the IoU estimate, the object score."""

from __future__ import annotations

import torch
from torch.nn import functional

FOCAL_WEIGHT = 6.0
DICE_WEIGHT = 1.0
IOU_WEIGHT = 0.5
SCORE_WEIGHT = 0.5
CANDIDATE_WEIGHT = 0.7


def mask_losses(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """
    Focal and dice loss of each mask.

    :param logits: (..., H, W)
    :param truth: (..., H, W) covered share of each pixel, 0 to 1
    :returns: (...)
    """
    chance = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction='none')
    focal = (entropy * (chance - truth).abs()).mean((-2, -1))
    overlap = 2 * (chance * truth).sum((-2, -1)) + 1
    dice = 1 - overlap / (chance.square().sum((-2, -1)) + truth.square().sum((-2, -1)) + 1)
    return FOCAL_WEIGHT * focal + DICE_WEIGHT * dice


def overlaps(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Give the IoU of binarised (..., H, W) masks, 1 where both are empty."""
    guess, real = logits > 0, truth > 0.5
    either = (guess | real).sum((-2, -1))
    shared = (guess & real).sum((-2, -1)) / either.clamp(min=1)
    return shared.masked_fill(either == 0, 1.0)


def frame_losses(logits: torch.Tensor, ious: torch.Tensor, scores: torch.Tensor,
                 truth: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """
    Loss of the decoder's four masks of each object on one frame.

    The first mask is for unambiguous prompts; of the three candidates only the one with the
    least loss learns. All four IoU estimates learn.

    :param logits: (N, 4, H, W)
    :param ious: (N, 4) the decoder's own estimates
    :param scores: (N, 1) object score logits
    :param truth: (N, H, W)
    :param visible: (N,) 1 where the object can be seen
    :returns: (N,)
    """
    wanted = truth[:, None].expand_as(logits)
    by_mask = mask_losses(logits, wanted)
    best = by_mask[:, 1:].min(1).values
    iou_error = (ious - overlaps(logits.detach(), wanted)).abs().mean(1)
    shape = by_mask[:, 0] + CANDIDATE_WEIGHT * best + IOU_WEIGHT * iou_error
    presence = functional.binary_cross_entropy_with_logits(scores[:, 0], visible,
                                                           reduction='none')
    return shape * visible + SCORE_WEIGHT * presence
