# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Stock SAM 2 as people use it: on a finished clip, and on a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import io
from pathlib import Path
import time

from benchmarks.machine import synchronise
from benchmarks.sequences import Mask
import numpy as np
from PIL import Image
from sam2.build_sam import build_sam2_video_predictor
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2.utils.misc import load_video_frames
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.preprocessing import MEAN, STD
from sam2_tracker.core.types import Prompt, UInt8Array
from sam2_tracker.models.checkpoints import find_checkpoint
from sam2_tracker.models.device import resolve_device
from sam2_tracker.models.loader import build_stock_predictor, hydra_configs
from sam2_tracker.models.weights import randomise
from sam2_tracker.models.zoo import model_spec
import torch

# Left to grow with the stream, the first 15 frames would be encoded otherwise than in a clip.
ENDLESS = 2 ** 31


def build_compiled(config: ModelConfig, random_weights: bool, everything: bool
                   ) -> SAM2VideoPredictor:
    """
    Build stock's predictor with stock's own torch.compile settings.

    :param everything: as `vos_optimized` does it, otherwise the image encoder alone
    """
    spec = model_spec(config.name)
    checkpoint = None if random_weights else str(find_checkpoint(config))
    overrides = [*spec.hydra_overrides, '++model.add_all_frames_to_correct_as_cond=true',
                 '++model.max_cond_frames_in_attn=4', '++model.compile_image_encoder=true']
    if config.image_size:
        overrides.append(f'++model.image_size={config.image_size}')
    with hydra_configs(spec.config_package), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_sam2_video_predictor(
            spec.config, checkpoint, str(resolve_device(config.device)),
            hydra_overrides_extra=overrides, vos_optimized=everything)
    if random_weights:
        randomise(model)
    model.fill_hole_area = 0
    assert isinstance(model, SAM2VideoPredictor)
    return model


def build(config: ModelConfig, random_weights: bool, compiled: str = 'none'
          ) -> SAM2VideoPredictor:
    """
    Build stock's predictor.

    :param compiled: none, encoder, or vos_optimized
    """
    if compiled == 'none':
        return build_stock_predictor(config, random_weights=random_weights)
    return build_compiled(config, random_weights, everything=compiled == 'vos_optimized')


def add_prompts(model: SAM2VideoPredictor, state: dict, prompts: Sequence[Prompt]) -> None:
    """Prompt an object each on the first frame."""
    for number, prompt in enumerate(prompts, 1):
        if prompt.mask_hw is not None:
            model.add_new_mask(state, 0, number, prompt.mask_hw)
            continue
        has_points = len(prompt.points_xy) > 0
        model.add_new_points_or_box(
            state, 0, number, box=prompt.box_xyxy,
            points=prompt.points_xy if has_points else None,
            labels=prompt.point_labels if has_points else None)


def track_clip(model: SAM2VideoPredictor, folder: Path, prompts: Sequence[Prompt]
               ) -> Iterator[list[Mask]]:
    """Yield the masks of frame after frame of a finished clip; all frames are loaded first."""
    with _quietly():
        state = model.init_state(str(folder))
        add_prompts(model, state, prompts)
        frames = model.propagate_in_video(state)
    while True:
        with _quietly():
            found = next(frames, None)
            if found is None:
                return
            masks = to_masks(found[2])
        yield masks


class GrowingStream:
    """
    Stock SAM 2 on a stream: each frame is appended to the state and propagated by itself.

    :param first_frame: a folder with the first frame alone, which `init_state` asks for
    """

    def __init__(self, model: SAM2VideoPredictor, first_frame: Path,
                 prompts: Sequence[Prompt]) -> None:
        self._model = model
        with _quietly():
            self._state = model.init_state(str(first_frame))
            self._state['images'] = list(self._state['images'])
            self._state['num_frames'] = ENDLESS
            add_prompts(model, self._state, prompts)
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def track(self, index: int, rgb: UInt8Array) -> list[Mask]:
        """Append a frame and return its masks; the first one is there already."""
        if index:
            self._state['images'].append(self._prepared(rgb))
        with _quietly():
            _, _, logits = next(self._model.propagate_in_video(
                self._state, start_frame_idx=index, max_frame_num_to_track=0))
            return to_masks(logits)

    def _prepared(self, rgb: UInt8Array) -> torch.Tensor:
        """Do with a picture what stock's own loader does."""
        side = self._model.image_size
        resized = np.asarray(Image.fromarray(rgb).resize((side, side))) / 255.0
        planes = torch.from_numpy(resized).permute(2, 0, 1).float()
        return ((planes - self._mean) / self._std).to(self._model.device)


def to_masks(logits: torch.Tensor) -> list[Mask]:
    """Turn (N, 1, H, W) logits into masks on the host."""
    return list((logits[:, 0] > 0).cpu().numpy())


def loading_ms(side: int, device: str, folder: Path) -> float:
    """Return how long stock's own loader takes for a JPEG of a clip: decode, resize, normalise."""
    count = len(list(folder.iterdir()))
    with _quietly():
        begun = time.perf_counter()
        load_video_frames(str(folder), side, False, compute_device=torch.device(device))
        synchronise(device)
        return 1000 * (time.perf_counter() - begun) / count


def decoding_ms(folder: Path) -> float:
    """Return how long a JPEG of a clip takes to be RGB pixels."""
    paths = sorted(folder.iterdir())
    begun = time.perf_counter()
    for path in paths:
        np.asarray(Image.open(path).convert('RGB'))
    return 1000 * (time.perf_counter() - begun) / len(paths)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep stock's progress bars off the terminal."""
    with contextlib.redirect_stderr(io.StringIO()), torch.inference_mode():
        yield
