# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Ways to track the same objects through the same frames: stock SAM 2's and this engine's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
import functools
from functools import partial
import shutil

from benchmarks import stock
from benchmarks.clips import Clip
from benchmarks.sequences import Mask
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.graphs.recorder import CudaRecorder
from sam2_tracker.core.engine.graphs.replays import Graphs
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import FrameMasks, TrackStep
from sam2_tracker.core.types import Prompt, Wanted
from sam2_tracker.models.loader import build_predictor
import torch

# Each frame's masks, one after the other.
Session = Iterator[list[Mask]]
Start = Callable[[Clip, Sequence[Prompt]], Session]
# Those of the models' configurations.
OWN_SIZES = {'nano': 448}
CLIP = 'stock, finished clip'
STREAM = 'stock on a stream'
_COMPILED = {'encoder': 'encoder compiled', 'vos_optimized': 'vos_optimized'}
VOS_OPTIMIZED = f'{CLIP}, vos_optimized'


@dataclass(frozen=True)
class Way:
    """
    One way to track.

    :param begins_with: what a frame's time begins with: 'tensor', a picture that was resized and
        normalised beforehand, 'rgb' its pixels, or 'jpeg'
    :param start: prompts the objects on the first frame; what it yields first is that frame's
    """

    name: str
    begins_with: str
    start: Start


@dataclass(frozen=True)
class Setting:
    """
    What all ways of a table have in common.

    :param precision: float32, or bfloat16 by autocast, for stock as for this engine
    """

    model: ModelConfig
    random_weights: bool
    precision: str

    @property
    def is_cuda(self) -> bool:
        """Tell whether it runs on a GPU."""
        return torch.device(self.model.device).type == 'cuda'

    @property
    def size(self) -> int:
        """Return the side of the model's input in pixels."""
        return self.model.image_size or OWN_SIZES.get(self.model.name, 1024)

    @property
    def key(self) -> str:
        """Return all of it for the name of a file."""
        device = self.model.device.partition(':')[0]
        return f'{self.model.name}_{self.size}_{self.precision}_{device}'

    @property
    def title(self) -> str:
        """Return all of it for a heading."""
        weights = ', random weights' if self.random_weights else ''
        return (f'{self.model.name} at {self.size} px, {self.precision}, '
                f'{self.model.device.partition(":")[0]}{weights}')


def all_ways(setting: Setting, loop: bool = True) -> list[Way]:
    """
    Return every way that makes sense on a device; the first is the reference.

    :param loop: also one object after the other
    """
    ways = [_stock_clip(setting, 'none'), _stock_stream(setting)]
    if setting.is_cuda:
        ways += [_stock_clip(setting, 'encoder'), _stock_clip(setting, 'vos_optimized')]
    if loop:
        ways.append(ours(setting, batched=False))
    ways.append(ours(setting, batched=True))
    if setting.is_cuda:
        ways.append(ours(setting, batched=True, records=False))
    return ways


@functools.cache
def stock_model(setting: Setting, compiled: str) -> SAM2VideoPredictor:
    """Build stock's predictor, once."""
    return stock.build(setting.model, setting.random_weights, compiled)


@functools.cache
def predictor_of(setting: Setting, batched: bool, records: bool = True) -> Predictor:
    """
    Build this engine's predictor, once.

    :param records: replay CUDA graphs, on CUDA
    """
    config = replace(setting.model, precision=setting.precision)
    model = build_predictor(config, 4, random_weights=setting.random_weights)
    recorder = (partial(CudaRecorder, model.device) if records and model.device.type == 'cuda'
                else None)
    predictor = Predictor(model, setting.precision, batched=batched, graphs=Graphs(recorder))
    if setting.is_cuda:
        predictor.warm_up()
    return predictor


def forget_models() -> None:
    """Free all models."""
    stock_model.cache_clear()
    predictor_of.cache_clear()


def autocast(setting: Setting) -> torch.autocast:
    """Compute as the setting says; for stock, this engine does it by itself."""
    return torch.autocast(torch.device(setting.model.device).type, torch.bfloat16,
                          enabled=setting.precision == 'bfloat16')


def _stock_clip(setting: Setting, compiled: str) -> Way:
    def start(clip: Clip, prompts: Sequence[Prompt]) -> Session:
        return on_clip(setting, stock_model(setting, compiled), clip, prompts)
    return Way(CLIP if compiled == 'none' else f'{CLIP}, {_COMPILED[compiled]}', 'tensor', start)


def on_clip(setting: Setting, model: SAM2VideoPredictor, clip: Clip,
            prompts: Sequence[Prompt]) -> Session:
    """Track with stock on a finished clip."""
    frames = stock.track_clip(model, clip.folder, prompts)
    while True:
        with autocast(setting):
            found = next(frames, None)
        if found is None:
            return
        yield found


def _stock_stream(setting: Setting) -> Way:
    def start(clip: Clip, prompts: Sequence[Prompt]) -> Session:
        return _on_stream(setting, stock_model(setting, 'none'), clip, prompts)
    return Way(STREAM, 'rgb', start)


def _on_stream(setting: Setting, model: SAM2VideoPredictor, clip: Clip,
               prompts: Sequence[Prompt]) -> Session:
    first = clip.folder.parent / f'{clip.folder.name}_first'
    first.mkdir(exist_ok=True)
    shutil.copy(clip.folder / '00000.jpg', first)
    with autocast(setting):
        stream = stock.GrowingStream(model, first, prompts)
    for index, picture in enumerate(clip.pictures):
        with autocast(setting):
            masks = stream.track(index, picture)
        yield masks


def ours(setting: Setting, batched: bool, records: bool = True) -> Way:
    """
    Return a way of this engine.

    :param records: replay CUDA graphs, on CUDA
    """
    def start(clip: Clip, prompts: Sequence[Prompt]) -> Session:
        return track(predictor_of(setting, batched, records), clip, prompts)
    return Way(our_name(batched, records), 'rgb', start)


def our_name(batched: bool, records: bool = True) -> str:
    """Name a way of this engine."""
    name = 'ours batched' if batched else 'ours looped'
    return name if records else f'{name}, no graphs'


def track(predictor: Predictor, clip: Clip, prompts: Sequence[Prompt]) -> Session:
    """Track with this engine, for the masks."""
    frames = follow(predictor, clip, prompts, Wanted(label_image=False))
    return (list(shown.masks) for shown in frames)


def follow(predictor: Predictor, clip: Clip, prompts: Sequence[Prompt], wanted: Wanted,
           ahead: bool = False) -> Iterator[FrameMasks]:
    """
    Track with this engine as the tracker does.

    :param ahead: encode the next picture meanwhile
    """
    ids = range(1, len(prompts) + 1)
    memories = [predictor.new_memory(clip.hw) for _ in prompts]
    for index, picture in enumerate(clip.pictures):
        features = predictor.encode(picture)
        if ahead and index + 1 < len(clip.pictures):
            predictor.encode_ahead(clip.pictures[index + 1])
        if index == 0:
            for memory, prompt in zip(memories, prompts, strict=True):
                predictor.prompt(memory, 0, features, prompt, clear_previous=False)
        outputs = predictor.track([TrackStep(memory, index, features) for memory in memories])
        shown = predictor.summarise(outputs, ids, clip.hw, wanted)
        for memory in memories:
            memory.prune(index, 0)
        yield shown
