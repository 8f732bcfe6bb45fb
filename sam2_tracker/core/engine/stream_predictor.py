# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Stock SAM 2 with hooks: the class that the model's configuration names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
from dataclasses import dataclass
from typing import Any, TypeAlias

from sam2.modeling.sam2_base import NO_OBJ_SCORE
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.engine.memory.entry import Trust
from sam2_tracker.core.errors import ModelError
import torch
from torch import nn
from torch.nn import functional

_Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
_Arithmetic: TypeAlias = tuple[torch.device, torch.dtype | None]


@dataclass(frozen=True, eq=False)
class Decoded:
    """
    What the mask decoder makes of B frames conditioned on memory.

    :param masks: (B, M, h, w) float32 logits, those to choose from: one, or as many as candidates
    :param ious: (B, M), the IoUs predicted of them
    :param chosen: (B, 1, h, w), the one taken
    :param large: (B, 1, side, side), the same as large as the model's input
    :param pointers: (B, hidden_dim)
    :param score_logits: (B, 1)
    :param candidates: (B, 3, h, w) logits, what the object might be besides
    """

    masks: torch.Tensor
    ious: torch.Tensor
    chosen: torch.Tensor
    large: torch.Tensor
    pointers: torch.Tensor
    score_logits: torch.Tensor
    candidates: torch.Tensor


class StreamPredictor(SAM2VideoPredictor):
    """
    `SAM2VideoPredictor` of sam2 1.1.0 without its needless work; every result stays the same.

    Built by `build_sam2_video_predictor` with `++model._target_=` this class. Weights are those
    of stock SAM 2.

    :param trust: fields of `Trust` in which this model differs from others
    :ivar newest_ious: those predicted of the masks that SAM 2's own code has decoded last
    """

    def __init__(self, trust: Mapping[str, float] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.trust = Trust(**(trust or {}))
        side = self.sam_image_embedding_size
        neck = self.image_encoder.neck
        neck.position_encoding = SharedPositions(neck.position_encoding, (side, side))
        self.memory_encoder.position_encoding = SharedPositions(
            self.memory_encoder.position_encoding, (side, side))
        self._no_prompt: dict[_Arithmetic, _Pair] = {}
        self._dense: dict[_Arithmetic, torch.Tensor] = {}
        self._reader: Callable[[int], torch.Tensor] | None = None
        self.newest_ious: torch.Tensor | None = None

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
        found = self.decode(backbone_features, point_inputs, mask_inputs, high_res_features,
                            multimask_output)
        self.newest_ious = found.ious
        return (found.masks, found.large, found.ious, found.chosen, found.large, found.pointers,
                found.score_logits)

    def decode(self, conditioned: torch.Tensor, point_inputs: Any,
               mask_inputs: torch.Tensor | None, high_res_features: list[torch.Tensor] | None,
               multimask_output: bool) -> Decoded:
        """
        Predict masks, and keep the candidates of a model that has but one while tracking.

        :param conditioned: (B, C, h, w) features of frames, conditioned on memory
        """
        sparse, dense = self._embed_prompt(conditioned, point_inputs, mask_inputs)
        every, every_iou, every_token, score_logits = self.sam_mask_decoder.predict_masks(
            image_embeddings=conditioned, image_pe=self._dense_positions(conditioned),
            sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, repeat_image=False,
            high_res_features=high_res_features)
        masks, ious, tokens = self._to_choose_from(every, every_iou, every_token, multimask_output)
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
        pointers = self._pointer(token, score_logits)
        return Decoded(masks, ious, chosen, large, pointers, score_logits, every[:, 1:])

    def _to_choose_from(self, masks: torch.Tensor, ious: torch.Tensor, tokens: torch.Tensor,
                        multimask_output: bool) -> tuple[torch.Tensor, ...]:
        """Return the masks that the decoder itself would give, their IoUs, and their tokens."""
        decoder = self.sam_mask_decoder
        if not multimask_output:
            if decoder.dynamic_multimask_via_stability:
                masks, ious = decoder._dynamic_multimask_via_stability(masks, ious)
            return masks[:, :1], ious[:, :1], tokens[:, :1]
        tokens = tokens[:, 1:] if decoder.use_multimask_token_for_obj_ptr else tokens[:, :1]
        return masks[:, 1:], ious[:, 1:], tokens

    @contextlib.contextmanager
    def reading_by(self, reader: Callable[[int], torch.Tensor]) -> Iterator[None]:
        """
        Let a prompt on a tracked frame read memory in another way than SAM 2's own.

        :param reader: returns a frame's features conditioned on memory, (1, C, h, w)
        """
        self._reader = reader
        try:
            yield
        finally:
            self._reader = None

    def _prepare_memory_conditioned_features(self, frame_idx: int, is_init_cond_frame: bool,
                                             **inputs: Any) -> torch.Tensor:
        """Condition a frame's features on memory, as stock does or as `reading_by` was told."""
        if self._reader is not None and not is_init_cond_frame:
            return self._reader(frame_idx)
        conditioned: torch.Tensor = super()._prepare_memory_conditioned_features(
            frame_idx=frame_idx, is_init_cond_frame=is_init_cond_frame, **inputs)
        return conditioned

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


def refuse_unfit(model: StreamPredictor) -> None:
    """Raise ModelError if a model is set up so that results could not be exact."""
    if model.fill_hole_area != 0:
        # `build_sam2_video_predictor` sets it to 8 after all overrides.
        raise ModelError(f'the model fills holes up to {model.fill_hole_area} pixels: set '
                         'fill_hole_area to 0 after building it')
    if not model.add_all_frames_to_correct_as_cond:
        raise ModelError('the model must be built with add_all_frames_to_correct_as_cond=true, '
                         'or corrections fade')
    for name in ('clear_non_cond_mem_around_input', 'non_overlap_masks',
                 'non_overlap_masks_for_mem_enc'):
        if getattr(model, name):
            raise ModelError(f'the model must be built with {name}=false')
    if model.training:
        raise ModelError('the model is in training mode: call eval()')


def refuse_unknown(name: str, value: str, known: Iterable[str]) -> None:
    """Raise ModelError if a setting has a value that there is not."""
    if value not in known:
        raise ModelError(f'{name} {value!r} is none of {", ".join(known)}')


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
