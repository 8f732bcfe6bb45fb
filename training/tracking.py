# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the model over the frames of clips as tracking does, with gradients.

The picture features are computed once a clip and shared by its objects: with one object a
picture a model learns to find objects and to ignore the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sam2.modeling.sam2_base import SAM2Base
import torch
from torch.nn import functional
from training import prompts
from training.losses import frame_losses, overlaps
from training.prompts import Points

MASK_STRIDE = 4
MIN_VISIBLE = 0.0004    # of the frame; fewer pixels count as out of sight
# The exported model's mask logits are this much steeper. SAM 2 replaces a mask whose outline
# moves between logits of -0.05 and 0.05 by one of three candidates, and after a training this
# short the mask is the better one: measured, J .664 instead of .618.
SHARPENING = 5.0


@dataclass(frozen=True)
class Batch:
    """
    Clips with K objects each; N = clips x K, the objects of a clip side by side.

    :ivar maps: trunk outputs, finest first, each (T * clips, C, H, W), frame by frame
    :ivar masks: (T, N, S, S) bool
    """

    maps: tuple[torch.Tensor, ...]
    masks: torch.Tensor
    clips: int


@dataclass(frozen=True)
class Practice:
    """
    How a batch is prompted and remembered.

    :ivar prompt: mask, box, click, clicks or box and clicks, on the first frame
    :ivar true_memory: remember the true masks, not the predicted ones
    :ivar true_presence: remember whether the object is really seen
    :ivar correct_on: frame on which mistakes get a click, or None
    :ivar damage: share of objects whose memory of a tracked frame gets a patch that is wrong:
        unrolling as long as real drift takes would cost too much
    """

    prompt: str
    true_memory: bool = False
    true_presence: bool = True
    correct_on: int | None = None
    damage: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Loss of a batch and its IoU by frame, (T,), over objects that are in sight."""

    loss: torch.Tensor
    ious: torch.Tensor
    states_right: torch.Tensor


@dataclass(frozen=True)
class Features:
    """Picture features of one frame, a row an object: strides 4, 8 and 16."""

    fine: torch.Tensor
    middle: torch.Tensor
    top: torch.Tensor


@dataclass(frozen=True)
class Decoded:
    """Four masks (N, 4, h, w), IoU estimates (N, 4), tokens (N, 4, C), score logits (N, 1)."""

    logits: torch.Tensor
    ious: torch.Tensor
    tokens: torch.Tensor
    scores: torch.Tensor


def picture_features(model: SAM2Base, maps: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """Compute the neck's three levels for the decoder: strides 4, 8 and 16."""
    neck, decoder = model.image_encoder.neck, model.sam_mask_decoder
    top = neck.convs[1](maps[2]) + functional.interpolate(
        neck.convs[0](maps[3]).float(), scale_factor=2.0, mode='nearest')
    return [_both(neck.convs[3].conv, decoder.conv_s0, maps[0]),
            _both(neck.convs[2].conv, decoder.conv_s1, maps[1]), top]


def _both(first: torch.nn.Conv2d, second: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Apply two 1x1 convolutions as one: the first is wide, and nothing lies between."""
    assert first.bias is not None and second.bias is not None
    outer = second.weight[:, :, 0, 0]
    weight = outer @ first.weight[:, :, 0, 0]
    bias = outer @ first.bias + second.bias
    return functional.conv2d(x, weight[:, :, None, None], bias)


def track(model: SAM2Base, batch: Batch, practice: Practice,
          rng: np.random.Generator) -> Outcome:
    """Prompt on the first frame, track through the others and add up what it cost."""
    frames = batch.masks.shape[0]
    levels = picture_features(model, batch.maps)
    run = _Run(model, batch, practice, rng)
    memory: dict[str, dict[int, Any]] = {'cond_frame_outputs': {}, 'non_cond_frame_outputs': {}}
    losses, ious, states = [], [], []
    for frame in range(frames):
        features = Features(*(
            level.unflatten(0, (frames, -1))[frame].repeat_interleave(
                batch.masks.shape[1] // batch.clips, 0) for level in levels))
        loss, iou, right = run.step(frame, features, memory)
        losses.append(loss)
        ious.append(iou)
        states.append(right)
    return Outcome(torch.stack(losses).sum() / frames, torch.stack(ious), torch.stack(states))


class _Run:
    """One batch on its way through its frames."""

    def __init__(self, model: SAM2Base, batch: Batch, practice: Practice,
                 rng: np.random.Generator) -> None:
        self.model, self.practice, self.rng = model, practice, rng
        self.masks = batch.masks
        self.truth = functional.avg_pool2d(batch.masks.float(), MASK_STRIDE)
        self.visible = (self.truth.mean((-2, -1)) > MIN_VISIBLE).float()
        side = self.truth.shape[-1] // 4
        self.positions = model.image_encoder.neck.position_encoding(
            torch.empty(1, 1, side, side)).flatten(2).permute(2, 0, 1)

    def step(self, frame: int, features: Features,
             memory: dict[str, dict[int, Any]]) -> tuple[torch.Tensor, ...]:
        """Predict one frame and remember it: its loss, mean IoU, share of right states."""
        decoded, losses = self._predict(frame, features, memory)
        corrected = frame > 0 and frame == self.practice.correct_on
        if corrected:
            decoded, more = self._correct(frame, features, memory, decoded)
            losses = (losses + more) / 2
        self._remember(frame, features, memory, decoded, corrected)
        seen = self.visible[frame]
        if decoded is None:
            return losses.mean(), torch.ones(()), torch.ones(())
        iou = overlaps(self._choose(decoded, frame), self.truth[frame])
        right = ((decoded.scores[:, 0] > 0) == (seen > 0)).float().mean()
        return losses.mean(), (iou * seen).sum() / seen.sum().clamp(min=1), right

    def _predict(self, frame: int, features: Features, memory: dict[str, dict[int, Any]]
                 ) -> tuple[Decoded | None, torch.Tensor]:
        if frame == 0:
            if self.practice.prompt == 'mask':
                return None, torch.zeros(len(features.top))
            points = self._points(self.masks[0].numpy())
            embedding = features.top + self.model.no_mem_embed[0, :, :, None].transpose(0, 1)
            decoded = self._decode(embedding, features, points)
        else:
            decoded = self._decode(self._recall(frame, features, memory), features, None)
        return decoded, frame_losses(decoded.logits, decoded.ious, decoded.scores,
                                     self.truth[frame], self.visible[frame])

    def _correct(self, frame: int, features: Features, memory: dict[str, dict[int, Any]],
                 decoded: Decoded | None) -> tuple[Decoded, torch.Tensor]:
        """Click on mistakes and predict again from the click and the mask so far."""
        assert decoded is not None
        before = self._choose(decoded, frame).detach()
        large = functional.interpolate(before[:, None], scale_factor=float(MASK_STRIDE),
                                       mode='bilinear')[:, 0]
        points = prompts.correcting_points(self.rng, (large > 0).numpy(),
                                           self.masks[frame].numpy())
        again = self._decode(self._recall(frame, features, memory), features, points,
                             (before * SHARPENING).clamp(-32, 32)[:, None])
        return again, frame_losses(again.logits, again.ious, again.scores, self.truth[frame],
                                   self.visible[frame])

    def _points(self, masks: np.ndarray) -> Points:
        if self.practice.prompt == 'box':
            return prompts.box_points(self.rng, masks)
        if self.practice.prompt == 'box and clicks':
            return prompts.join(prompts.box_points(self.rng, masks), prompts.click_points(
                self.rng, masks, int(self.rng.integers(1, 3))))
        clicks = 1 if self.practice.prompt == 'click' else int(self.rng.integers(2, 5))
        return prompts.click_points(self.rng, masks, clicks)

    def _recall(self, frame: int, features: Features,
                memory: dict[str, dict[int, Any]]) -> torch.Tensor:
        rows = len(features.top)
        size = features.top.shape[-2:]
        return self.model._prepare_memory_conditioned_features(
            frame_idx=frame, is_init_cond_frame=False,
            current_vision_feats=[features.top.flatten(2).permute(2, 0, 1)],
            current_vision_pos_embeds=[self.positions.expand(-1, rows, -1)],
            feat_sizes=[size], output_dict=memory, num_frames=1000)

    def _decode(self, embedding: torch.Tensor, features: Features, points: Points | None,
                masks: torch.Tensor | None = None) -> Decoded:
        rows = len(embedding)
        if points is None:
            points = Points(torch.zeros(rows, 1, 2), torch.full((rows, 1), prompts.PADDING))
        encoder = self.model.sam_prompt_encoder
        sparse, dense = encoder(points=(points.coords, points.labels), boxes=None, masks=masks)
        logits, ious, tokens, scores = self.model.sam_mask_decoder.predict_masks(
            image_embeddings=embedding, image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, repeat_image=False,
            high_res_features=[features.fine, features.middle])
        return Decoded(logits.float(), ious.float(), tokens, scores.float())

    def _choice(self, decoded: Decoded, frame: int) -> torch.Tensor:
        """Index of the mask that inference would take: the best of three after one click."""
        if frame == 0 and self.practice.prompt == 'click':
            return decoded.ious[:, 1:].argmax(1) + 1
        return torch.zeros(len(decoded.ious), dtype=torch.long)

    def _choose(self, decoded: Decoded, frame: int) -> torch.Tensor:
        return decoded.logits[torch.arange(len(decoded.logits)), self._choice(decoded, frame)]

    def _remember(self, frame: int, features: Features, memory: dict[str, dict[int, Any]],
                  decoded: Decoded | None, corrected: bool) -> None:
        """Encode what is now believed about a frame into memory."""
        if frame == len(self.masks) - 1:
            return
        model, exact = self.model, self.masks[frame].float()[:, None] * 20 - 10
        if decoded is None:
            low = model.mask_downsample(self.masks[frame].float()[:, None])
            prompted = self._decode(features.top, features, None, low)
            token, seen, believed = prompted.tokens[:, 0], torch.ones(len(exact), 1), exact
        else:
            token = decoded.tokens[torch.arange(len(exact)), self._choice(decoded, frame)]
            seen, believed = self._belief(frame, decoded, exact, frame == 0 or corrected)
        pointer = model.obj_ptr_proj(token)
        pointer = seen * pointer + (1 - seen) * model.no_obj_ptr
        encoded, positions = model._encode_new_memory(
            [features.top.flatten(2).permute(2, 0, 1)], [features.top.shape[-2:]], believed,
            seen * 2 - 1, is_mask_from_pts=False)
        kind = 'cond_frame_outputs' if frame == 0 or corrected else 'non_cond_frame_outputs'
        memory[kind][frame] = {'maskmem_features': encoded, 'maskmem_pos_enc': positions,
                               'obj_ptr': pointer}

    def _belief(self, frame: int, decoded: Decoded, exact: torch.Tensor,
                prompted: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Presence (N, 1) and mask logits (N, 1, S, S) that go into memory."""
        seen = (decoded.scores > 0).float()
        if self.practice.true_presence:
            seen = self.visible[frame][:, None]
        if self.practice.true_memory:
            return seen, exact if prompted else self._damaged(exact)
        # what is drawn into memory does not teach the frame that drew it: half the cost
        low = self._choose(decoded, frame).detach()[:, None]
        large = functional.interpolate(low, scale_factor=float(MASK_STRIDE), mode='bilinear')
        large = torch.where(seen[:, :, None, None] > 0, large * SHARPENING, -1024.0)
        return seen, torch.where(large > 0, 10.0, -10.0) if prompted else self._damaged(large)

    def _damaged(self, logits: torch.Tensor) -> torch.Tensor:
        """Paint a wrong ellipse, object or background, near the object into some masks."""
        chosen = self.rng.random(len(logits)) < self.practice.damage
        if not chosen.any():
            return logits
        painted = logits.detach().clone().numpy()
        for row in np.flatnonzero(chosen):
            damage_mask(self.rng, painted[row, 0])
        return torch.from_numpy(painted)


def damage_mask(rng: np.random.Generator, logits: np.ndarray) -> None:
    """
    Set an ellipse in (S, S) mask logits to object or background, in place.

    It lies in or near the object, where drift begins, and is at most about its size.
    """
    inside = np.argwhere(logits > 0)
    if not len(inside):
        return
    spread = max(6.0, float(np.sqrt(len(inside))))
    centre = inside[rng.integers(len(inside))] + rng.normal(0, 0.5 * spread, 2)
    axes = np.maximum(rng.uniform(0.1, 0.5, 2) * spread, 2).astype(int)
    value = 8.0 if rng.random() < 0.65 else -8.0
    cv2.ellipse(logits, (int(centre[1]), int(centre[0])), (int(axes[0]), int(axes[1])),
                float(rng.uniform(0, 180)), 0, 360, value, -1)
