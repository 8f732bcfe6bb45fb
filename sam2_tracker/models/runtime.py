# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""From settings to the predictor that the tracker drives, and its memory given back."""

from __future__ import annotations

import gc

import torch

from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.checks import refuse_unknown
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.process import keep_freed_memory, return_freed_memory
from sam2_tracker.models.device import resolve_device, resolve_precision
from sam2_tracker.models.loader import build_predictor

_BATCHED = {'auto': None, 'always': True, 'never': False}


def build_tracking_predictor(config: ModelConfig, max_cond_frames: int = 4) -> Predictor:
    """
    Build the model that the settings name, ready for a tracker.

    :param max_cond_frames: prompted frames that memory attention reads, 2 or more
    :raises ModelError: unknown model or setting, checkpoint missing or damaged, no such device
    """
    refuse_unknown('batching', config.batching, _BATCHED)
    device = resolve_device(config.device)
    if device.type == 'cpu':
        keep_freed_memory()
    precision = resolve_precision(config.precision, device)
    name = 'bfloat16' if precision is torch.bfloat16 else 'float32'
    model = build_predictor(config, max_cond_frames)
    return Predictor(model, name, _BATCHED[config.batching], compile=config.compile)


def release_cached_memory() -> None:
    """Give device and system back what models that are gone had."""
    gc.collect()
    return_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
