# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""How much arithmetic each stage of a frame is, counted on shapes alone: no computing, no data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass
import functools

from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.memory_attention import BatchAttention, fold_values
from sam2_tracker.models.loader import build_stock_predictor
import torch
from torch.utils.flop_counter import FlopCounterMode

# With full memory: the prompted frame's map and six more, and 16 pointers in four tokens each.
_MAPS = 7
_POINTERS = 16

_empty = functools.partial(torch.empty, device='meta')


@dataclass(frozen=True)
class Work:
    """
    Arithmetic of one frame with one object, in GFLOP; a multiplication and an addition are two.

    :param encode: once a frame; the others once an object
    """

    encode: float
    memory_attention: float
    heads: float
    memory_encoder: float

    @property
    def per_object(self) -> float:
        """Return what each object adds."""
        return self.memory_attention + self.heads + self.memory_encoder

    def frame(self, objects: int) -> float:
        """Return a whole frame."""
        return self.encode + objects * self.per_object

    def of(self, stage: str) -> float | None:
        """Return one stage's, None where it is no matrix product."""
        found = getattr(self, stage.replace(' ', '_'), None)
        return None if found is None else float(found)


@functools.cache
def count_work(name: str, image_size: int = 0) -> Work:
    """Count stock SAM 2's arithmetic, matrix products and convolutions, with full memory."""
    model = _shapes_of(name, image_size)
    with torch.inference_mode(), _without_checks(model):
        return _count(model)


@functools.cache
def count_ours(name: str, image_size: int, device: str, precision: str, objects: int) -> float:
    """Count the same for a frame with so many objects as this engine's batches do it, in GFLOP."""
    model, work = _shapes_of(name, image_size), count_work(name, image_size)
    attention, is_on_cpu = model.memory_attention, torch.device(device).type == 'cpu'
    if is_on_cpu and precision == 'bfloat16':
        fold_values(attention.layers)
    batch = BatchAttention(attention, fold=is_on_cpu)
    side = int(model.sam_image_embedding_size)
    tokens = _empty(1, side * side, model.hidden_dim)
    memory, pointer_tokens = _memory(model, side * side, objects)
    with torch.inference_mode():
        attended = _gflop(lambda: batch.condition(tokens, tokens, memory, memory, pointer_tokens))
    return work.encode + attended + objects * (work.heads + work.memory_encoder)


def _shapes_of(name: str, image_size: int) -> SAM2VideoPredictor:
    config = ModelConfig(name, device='cpu', image_size=image_size)
    return build_stock_predictor(config, random_weights=True).to('meta')


def _memory(model: SAM2VideoPredictor, places: int, objects: int) -> tuple[torch.Tensor, int]:
    """Return full memory, (tokens, objects, mem_dim), and how many of its tokens are pointers."""
    pointer_tokens = _POINTERS * model.hidden_dim // model.mem_dim
    return _empty(_MAPS * places + pointer_tokens, objects, model.mem_dim), pointer_tokens


def _count(model: SAM2VideoPredictor) -> Work:
    side = int(model.image_size)
    maps: list[torch.Tensor] = []

    def encode() -> None:
        maps.extend(model.forward_image(_empty(1, 3, side, side))['backbone_fpn'])

    encoding = _gflop(encode)
    tokens = maps[-1].flatten(2).permute(2, 0, 1)
    memory, pointer_tokens = _memory(model, len(tokens), 1)
    sizes = [(each.shape[-2], each.shape[-1]) for each in maps]
    return Work(encoding, _gflop(lambda: model.memory_attention(
        curr=[tokens], curr_pos=[tokens], memory=memory, memory_pos=memory,
        num_obj_ptr_tokens=pointer_tokens)), _gflop(lambda: model._forward_sam_heads(
            backbone_features=maps[-1], high_res_features=maps[:-1], multimask_output=True)),
        _gflop(lambda: model._encode_new_memory(
            current_vision_feats=[tokens], feat_sizes=sizes[-1:],
            pred_masks_high_res=_empty(1, 1, side, side), object_score_logits=_empty(1, 1),
            is_mask_from_pts=False)))


def _gflop(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


@contextlib.contextmanager
def _without_checks(model: SAM2VideoPredictor) -> Iterator[None]:
    """Tell the decoder that all masks are stable: there are no values to ask."""
    decoder = model.sam_mask_decoder
    before, decoder.dynamic_multimask_via_stability = (
        decoder.dynamic_multimask_via_stability, False)
    yield
    decoder.dynamic_multimask_via_stability = before
