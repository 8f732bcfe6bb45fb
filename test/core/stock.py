# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The reference: stock SAM 2 over a folder of JPEGs, and our predictor over the same pictures.

The model is hiera-tiny at 128 px with random weights, changed so that objects are present and
memory matters: what is compared is arithmetic, not quality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image
from sam2.build_sam import build_sam2_video_predictor
from sam2.modeling.memory_encoder import CXBlock
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.engine.mask_summary import upsample
from sam2_tracker.core.engine.memory.object_memory import LowResMask, MemoryPolicy, ObjectMemory
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Prompt, UInt8Array
import torch

CLIP_HW = (96, 144)
CLIP_FRAMES = 34
OURS = 'sam2_tracker.core.engine.stream_predictor.StreamPredictor'


def build(max_cond_frames: int = 4, target: str | None = None,
          image_size: int = 128) -> SAM2VideoPredictor:
    """Build hiera-tiny with random weights, stock's class or another."""
    overrides = [f'++model.image_size={image_size}',
                 f'++model.max_cond_frames_in_attn={max_cond_frames}',
                 '++model.add_all_frames_to_correct_as_cond=true']
    if target is not None:
        overrides.append(f'++model._target_={target}')
    torch.manual_seed(0)
    model = build_sam2_video_predictor('configs/sam2.1/sam2.1_hiera_t.yaml', device='cpu',
                                       hydra_overrides_extra=overrides)
    model.fill_hole_area = 0
    with torch.no_grad():
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(3.0)
        for module in model.modules():
            if isinstance(module, CXBlock):
                module.gamma.fill_(0.5)
    return model


def write_clip(folder: Path, frames: int = CLIP_FRAMES, seed: int = 0) -> Path:
    """Write JPEGs of bright discs that move over a still texture."""
    rng = np.random.default_rng(seed)
    height, width = CLIP_HW
    texture = rng.integers(0, 90, (height // 8, width // 8, 3), dtype=np.uint8)
    background = np.asarray(Image.fromarray(texture).resize((width, height)))
    colours = rng.integers(120, 256, (3, 3), dtype=np.uint8)
    ys, xs = np.mgrid[:height, :width]
    for index in range(frames):
        picture = background.copy()
        for number, colour in enumerate(colours):
            x, y = disc_xy(number, index)
            picture[(xs - x) ** 2 + (ys - y) ** 2 < (10 + 3 * number) ** 2] = colour
        Image.fromarray(picture).save(folder / f'{index:05d}.jpg', quality=95)
    return folder


def disc_xy(number: int, index: int) -> tuple[float, float]:
    """Tell where the centre of a disc is on a frame."""
    height, width = CLIP_HW
    x = width * (0.2 + 0.25 * number) + 12 * np.sin(0.2 * index + number)
    y = height * (0.3 + 0.2 * number) + 14 * np.cos(0.17 * index + 2 * number)
    return float(x), float(y)


def read_clip(folder: Path) -> list[UInt8Array]:
    """Decode a folder as stock SAM 2 does."""
    return [np.asarray(Image.open(path).convert('RGB')) for path in sorted(folder.iterdir())]


def points(xys: Sequence[tuple[float, float]], labels: Sequence[int] = ()) -> Prompt:
    return Prompt(points_xy=np.array(xys, np.float32),
                  point_labels=np.array(labels or [1] * len(xys), np.int32))


def box(left: float, top: float, right: float, bottom: float) -> Prompt:
    return Prompt(box_xyxy=np.array([left, top, right, bottom], np.float32))


def disc_mask(number: int, index: int, radius: float = 12) -> Prompt:
    ys, xs = np.mgrid[:CLIP_HW[0], :CLIP_HW[1]]
    x, y = disc_xy(number, index)
    return Prompt(mask_hw=(xs - x) ** 2 + (ys - y) ** 2 < radius ** 2)


_STOCK_FEATURES: WeakKeyDictionary[SAM2VideoPredictor, dict] = WeakKeyDictionary()


@torch.inference_mode()
def _stock_features(model: SAM2VideoPredictor, folder: Path,
                    images: torch.Tensor) -> dict[int, object]:
    of_model = _STOCK_FEATURES.setdefault(model, {})
    if folder not in of_model:
        of_model[folder] = {index: (image[None], model.forward_image(image[None]))
                            for index, image in enumerate(images)}
    return dict(of_model[folder])


class StockSession:
    """Stock `SAM2VideoPredictor` over a folder, with one method for each thing a user does."""

    def __init__(self, model: SAM2VideoPredictor, folder: Path) -> None:
        assert model.fill_hole_area == 0
        self.model = model
        self.state = model.init_state(str(folder))
        # Stock's own cache, filled by stock's own encoder, once for all sessions over a folder.
        self.state['cached_features'] = _stock_features(model, folder, self.state['images'])

    def prompt(self, object_id: int, index: int, prompt: Prompt) -> None:
        if prompt.mask_hw is not None:
            self.model.add_new_mask(self.state, index, object_id, prompt.mask_hw)
            return
        has_points = len(prompt.points_xy) > 0
        self.model.add_new_points_or_box(
            self.state, index, object_id, points=prompt.points_xy if has_points else None,
            labels=prompt.point_labels if has_points else None, box=prompt.box_xyxy,
            clear_old_points=prompt.box_xyxy is not None)

    def start_over(self, object_id: int, index: int) -> None:
        """Clear a frame's prompts and its old mask, which stock would take as a hint."""
        self.model.clear_all_prompts_in_frame(self.state, index, object_id, need_output=False)
        number = self.state['obj_id_to_idx'][object_id]
        self.state['output_dict_per_obj'][number]['non_cond_frame_outputs'].pop(index, None)

    def propagate(self, start: int, stop: int) -> dict[tuple[int, int], torch.Tensor]:
        """Track frames start to stop - 1; (frame, object id) to (height, width) logits."""
        found = {}
        for index, object_ids, logits in self.model.propagate_in_video(
                self.state, start_frame_idx=start, max_frame_num_to_track=stop - 1 - start):
            for number, object_id in enumerate(object_ids):
                found[index, object_id] = logits[number, 0].clone()
        return found


@dataclass
class Stream:
    """Our predictor over the same frames, in the order in which the tracker does things."""

    predictor: Predictor
    encoded: Callable[[int], EncodedFrame]
    look_back: int = 0
    policy: MemoryPolicy | None = None
    memories: dict[int, ObjectMemory] = field(default_factory=dict)
    results: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)
    after_prune: Callable[[ObjectMemory], None] = lambda memory: None

    def add(self, object_id: int, index: int, prompt: Prompt) -> None:
        """Prompt a new object, or this frame once more before the next."""
        if object_id not in self.memories:
            memory = self.predictor.new_memory(CLIP_HW)
            memory.policy = self.policy or memory.policy
            self.memories[object_id] = memory
        self._record(object_id, index, self.predictor.prompt(
            self.memories[object_id], index, self.encoded(index), prompt, False))

    def track(self, start: int, stop: int) -> None:
        """Track all objects on frames start to stop - 1."""
        for index in range(start, stop):
            steps = [TrackStep(memory, index, self.encoded(index))
                     for memory in self.memories.values()]
            for object_id, output in zip(list(self.memories), self.predictor.track(steps),
                                         strict=True):
                self._record(object_id, index, output)
            for memory in self.memories.values():
                memory.prune(index, self.look_back)
                self.after_prune(memory)

    def refine(self, object_id: int, index: int, prompt: Prompt, now: int,
               clear_previous: bool = False) -> None:
        """Prompt an object on a past frame and replay it up to the newest."""
        draft = self.memories[object_id].fork()
        draft.rewind(index)
        output = self.predictor.prompt(draft, index, self.encoded(index), prompt, clear_previous)
        self._record(object_id, index, output)
        for later in range(index + 1, now + 1):
            step = TrackStep(draft, later, self.encoded(later))
            self._record(object_id, later, self.predictor.track([step])[0])
        draft.prune(now, self.look_back)
        self.memories[object_id] = draft

    def _record(self, object_id: int, index: int, output: LowResMask) -> None:
        self.results[index, object_id] = upsample(output.logits, CLIP_HW)


class EncodedOnce:
    """The predictor; a picture that was encoded before is not encoded again, to save time."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._encoded: dict[bytes, EncodedFrame] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def encode(self, image_rgb: UInt8Array) -> EncodedFrame:
        key = image_rgb.tobytes()
        if key not in self._encoded:
            self._encoded[key] = self._predictor.encode(image_rgb)
        return self._encoded[key]

    def encode_ahead(self, image_rgb: UInt8Array) -> None:
        if image_rgb.tobytes() not in self._encoded:
            self._predictor.encode_ahead(image_rgb)


def differing(ours: dict[tuple[int, int], torch.Tensor],
              stock: dict[tuple[int, int], torch.Tensor]) -> list[tuple[int, int]]:
    """Return the (frame, object id) whose logits are not bit-identical."""
    assert ours.keys() >= stock.keys()
    return [key for key in sorted(stock) if not torch.equal(ours[key], stock[key])]


def spread(results: dict[tuple[int, int], torch.Tensor]) -> Iterator[float]:
    """Yield how much each frame's logits differ from the frame before: 0 would prove nothing."""
    for index, object_id in results:
        if (index - 1, object_id) in results:
            yield float((results[index, object_id] - results[index - 1, object_id]).abs().max())
