# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Stock SAM 2 with hooks: the class that the model's configuration names."""

from __future__ import annotations

from typing import Any, TypeAlias

from sam2.modeling.sam2_base import NO_OBJ_SCORE
from sam2.sam2_video_predictor import SAM2VideoPredictor
import torch
from torch import nn
from torch.nn import functional

_Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
_Arithmetic: TypeAlias = tuple[torch.device, torch.dtype | None]


class StreamPredictor(SAM2VideoPredictor):
    """
    `SAM2VideoPredictor` of sam2 1.1.0 without its needless work; every result stays the same.

    Built by `build_sam2_video_predictor` with `++model._target_=` this class. Weights are those
    of stock SAM 2.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        side = self.sam_image_embedding_size
        neck = self.image_encoder.neck
        neck.position_encoding = SharedPositions(neck.position_encoding, (side, side))
        self.memory_encoder.position_encoding = SharedPositions(
            self.memory_encoder.position_encoding, (side, side))
        self._no_prompt: dict[_Arithmetic, _Pair] = {}
        self._dense: dict[_Arithmetic, torch.Tensor] = {}

    def lower_precision(self, dtype: torch.dtype) -> None:
        """
        Hold the weights in the type that autocast would turn them into at each use.

        Results are the same; what stays float32 is what autocast leaves alone.
        """
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                module.to(dtype)

    def _forward_sam_heads(self, backbone_features: torch.Tensor, point_inputs: Any = None,
                           mask_inputs: torch.Tensor | None = None,
                           high_res_features: list[torch.Tensor] | None = None,
                           multimask_output: bool = False) -> tuple[torch.Tensor, ...]:
        """
        Predict masks as stock does, but upsample only what is chosen where that rounds the same.

        :param backbone_features: (B, C, h, w), conditioned on memory
        :returns: stock's seven tensors; the second has only the chosen mask
        """
        sparse, dense = self._embed_prompt(backbone_features, point_inputs, mask_inputs)
        masks, ious, tokens, score_logits = self.sam_mask_decoder(
            image_embeddings=backbone_features, image_pe=self._dense_positions(backbone_features),
            sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense,
            multimask_output=multimask_output, repeat_image=False,
            high_res_features=high_res_features)
        if self.pred_obj_scores:
            masks = torch.where((score_logits > 0)[:, None, None], masks, NO_OBJ_SCORE)
        masks, token = masks.float(), tokens[:, 0]
        if multimask_output:
            best = ious.argmax(dim=-1)
            chosen, large = self._choose(masks, best)
            if tokens.size(1) > 1:
                token = tokens[torch.arange(len(tokens), device=tokens.device), best]
        else:
            chosen, large = masks, self._enlarge(masks)
        pointer = self._pointer(token, score_logits)
        return masks, large, ious, chosen, large, pointer, score_logits

    def _choose(self, masks: torch.Tensor, best: torch.Tensor) -> _Pair:
        """Pick each object's best mask, as it is and at the size of the model's input."""
        rows = torch.arange(len(masks), device=masks.device)
        chosen = masks[rows, best][:, None]
        if masks.is_cuda or len(masks) > 1:
            return chosen, self._enlarge(chosen)
        # On the CPU torch scales one channel with other rounding than the three of stock.
        return chosen, self._enlarge(masks)[rows, best][:, None]

    def _enlarge(self, masks: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(masks, size=(self.image_size, self.image_size),
                                      mode='bilinear', align_corners=False)

    def _pointer(self, token: torch.Tensor, score_logits: torch.Tensor) -> torch.Tensor:
        """Project a mask token to an object pointer, or to the one for absent objects."""
        pointer: torch.Tensor = self.obj_ptr_proj(token)
        if not self.pred_obj_scores:
            return pointer
        present = score_logits.sigmoid() if self.soft_no_obj_ptr else (score_logits > 0).float()
        if self.fixed_no_obj_ptr:
            pointer = present * pointer
        return pointer + (1 - present) * self.no_obj_ptr

    def _embed_prompt(self, like: torch.Tensor, point_inputs: Any,
                      mask_inputs: torch.Tensor | None) -> _Pair:
        """Embed a prompt; no prompt at all, as in tracking, gives a constant."""
        if point_inputs is not None or mask_inputs is not None:
            return self._encode_prompt(like, point_inputs, mask_inputs)
        key = _arithmetic(like.device)
        if key not in self._no_prompt:
            self._no_prompt[key] = self._encode_prompt(like[:1], None, None)
        sparse, dense = self._no_prompt[key]
        count = len(like)
        return sparse.expand(count, -1, -1), dense.expand(count, -1, -1, -1)

    def _encode_prompt(self, like: torch.Tensor, point_inputs: Any,
                       mask_inputs: torch.Tensor | None) -> _Pair:
        if point_inputs is None:
            coords = torch.zeros(len(like), 1, 2, device=like.device)
            labels = -torch.ones(len(like), 1, dtype=torch.int32, device=like.device)
        else:
            coords, labels = point_inputs['point_coords'], point_inputs['point_labels']
        size = self.sam_prompt_encoder.mask_input_size
        if mask_inputs is not None and mask_inputs.shape[-2:] != size:
            mask_inputs = functional.interpolate(mask_inputs.float(), size=size, mode='bilinear',
                                                 align_corners=False, antialias=True)
        sparse, dense = self.sam_prompt_encoder(points=(coords, labels), boxes=None,
                                                masks=mask_inputs)
        return sparse, dense

    def _dense_positions(self, like: torch.Tensor) -> torch.Tensor:
        key = _arithmetic(like.device)
        if key not in self._dense:
            self._dense[key] = self.sam_prompt_encoder.get_dense_pe()
        return self._dense[key]


class SharedPositions(nn.Module):
    """
    SAM 2's sine position encoding, computed once, and only for the size that is read.

    SAM 2 makes a fresh copy for every level of every frame, 84 MiB at 1024 px, and reads 4 of it.

    :param encoding: a `PositionEmbeddingSine`
    :param read_hw: the one map size whose positions are read
    """

    def __init__(self, encoding: Any, read_hw: tuple[int, int]) -> None:
        super().__init__()
        self._encoding = encoding
        self._read_hw = read_hw
        self._shared: dict[tuple[torch.device, torch.dtype], torch.Tensor] = {}
        encoding.cache.clear()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return positions for (B, C, H, W) maps, a view that must not be written to."""
        if tuple(x.shape[-2:]) != self._read_hw:
            return unread_position(x).expand(x.shape[0], -1, -1, -1)
        key = (x.device, x.dtype)
        if key not in self._shared:
            self._shared[key] = self._encoding(x[:1]).to(x.dtype).contiguous()
            self._encoding.cache.clear()
        return self._shared[key].expand(x.shape[0], -1, -1, -1)


def unread_position(like: torch.Tensor) -> torch.Tensor:
    """Return a map of the right shape that takes no memory: SAM 2 reads only its size."""
    return like.new_zeros(1).expand(1, 1, *like.shape[-2:])


def _arithmetic(device: torch.device) -> _Arithmetic:
    """Return what a constant's rounding depends on: the device and the autocast type."""
    if not torch.is_autocast_enabled(device.type):
        return device, None
    return device, torch.get_autocast_dtype(device.type)
