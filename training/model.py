# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The model that is trained: ``nano.yaml``, built for training or as a video predictor."""

from __future__ import annotations

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.sam2_base import SAM2Base
import sam2_tracker.models.nano

CONFIG = Path(sam2_tracker.models.nano.__file__).with_name('nano.yaml')
LARGEST_SIZE = 1024     # pixels; four clips would take tens of gigabytes there
BASE = 'sam2.modeling.sam2_base.SAM2Base'
PREDICTOR = 'sam2.sam2_video_predictor.SAM2VideoPredictor'


def size_refusal(size: int) -> str | None:
    """Say in a sentence why the input can't have a side of so many pixels, or None."""
    if 0 < size <= LARGEST_SIZE and size % 32 == 0:
        return None
    return f'--size must be a multiple of 32 up to {LARGEST_SIZE}, not {size}'


def build_nano(image_size: int, target: str = BASE) -> SAM2Base:
    """
    Build ``nano`` with random weights.

    :param image_size: side of the square input in pixels, a multiple of 32
    :param target: dotted name of the class to build
    """
    config = OmegaConf.load(CONFIG).model
    config._target_ = target
    config.image_size = image_size
    if target == BASE:
        del config['add_all_frames_to_correct_as_cond']
    else:
        config.fill_hole_area = 0
        config.binarize_mask_from_pts_for_mem_enc = True
        config.sam_mask_decoder_extra_args = {
            'dynamic_multimask_via_stability': True,
            'dynamic_multimask_stability_delta': 0.05,
            'dynamic_multimask_stability_thresh': 0.98}
    model = instantiate(config, _recursive_=True)
    assert isinstance(model, SAM2Base)
    return model
