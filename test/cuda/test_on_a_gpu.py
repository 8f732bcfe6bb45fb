# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What only a GPU can tell: its bytes, its recordings, its streams."""

from __future__ import annotations

from functools import partial
import threading

import numpy as np
import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.graphs.recorder import CudaRecorder
from sam2_tracker.core.engine.graphs.replays import Graphs, Limits
from sam2_tracker.core.engine.mask_summary import summarise_masks
from sam2_tracker.core.engine.memory.object_memory import LowResMask
from sam2_tracker.core.engine.memory_attention import AttentionKernels
from sam2_tracker.core.engine.pillow_resize import matching_resize, resized_by_pillow
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.engine.preprocessing import Preprocessor
from sam2_tracker.core.log import Level
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Wanted
from sam2_tracker.models.loader import build_predictor
from stock import CLIP_HW, differing, disc_mask, read_clip, StockSession, Stream
import torch

DEVICE = torch.device('cuda')
SIZES = [(480, 640), (720, 1280), (1080, 1920), (1920, 1080), (854, 480), (480, 854), (1, 640),
         (640, 1), (333, 77)]
PRECISIONS = ('float32', 'bfloat16')


def graphs_of(lines: list[tuple[Level, str]], **limits: object) -> Graphs:
    return Graphs(partial(CudaRecorder, DEVICE), lambda *line: lines.append(line),
                  Limits(**{'times': 2, 'recent': 0, 'rest': 0.0, **limits}))


def small_model():
    return build_predictor(ModelConfig('sam2.1_hiera_tiny', device='cuda', image_size=128),
                           random_weights=True)


def track(predictor: Predictor, clip_folder, objects: int, frames: int = 26,
          ahead: bool = False) -> dict[tuple[int, int], torch.Tensor]:
    pictures = read_clip(clip_folder)[:frames]
    memories, found = [predictor.new_memory(CLIP_HW) for _ in range(objects)], {}
    for index, picture in enumerate(pictures):
        features = predictor.encode(picture)
        if ahead and index + 1 < len(pictures):
            predictor.encode_ahead(pictures[index + 1])
        if index == 0:
            for number, memory in enumerate(memories):
                predictor.prompt(memory, 0, features, disc_mask(number % 3, 0), False)
        for number, output in enumerate(predictor.track(
                [TrackStep(memory, index, features) for memory in memories])):
            found[index, number] = output.logits.clone()
        for memory in memories:
            memory.prune(index, 0)
    return found


@pytest.mark.parametrize('hw', SIZES, ids=str)
def test_the_gpu_resizes_with_the_bytes_of_pillow(hw):
    picture = np.random.default_rng(7).integers(0, 256, (*hw, 3), np.uint8)
    resize = matching_resize(hw, 1024, DEVICE)
    assert resize is not None
    found = resize(torch.tensor(picture, device=DEVICE)).permute(1, 2, 0).cpu().numpy()
    assert np.array_equal(found, resized_by_pillow(picture, 1024))


def test_the_encoders_input_is_that_of_pillow_and_survives_the_next_uploads():
    pictures = [np.random.default_rng(seed).integers(0, 256, (480, 640, 3), np.uint8)
                for seed in range(8)]
    lines: list[tuple[Level, str]] = []
    inputs = []
    for on_device, graphs in ((True, graphs_of(lines)), (False, Graphs())):
        preprocess = Preprocessor(1024, DEVICE, graphs.encoder, on_device=on_device)
        inputs.append([preprocess(picture) for picture in pictures])
    for one, other in zip(*inputs, strict=True):
        assert torch.equal(one, other)
    assert lines == []


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('objects', [1, 3])
def test_replayed_graphs_give_the_bits_of_the_eager_kernels(clip_folder, precision, objects):
    model, lines = small_model(), []
    eager = Predictor(model, precision, batched=True)
    replaying = Predictor(model, precision, batched=True, graphs=graphs_of(lines))
    expected = track(eager, clip_folder, objects)
    for ahead in (False, True):
        assert differing(track(replaying, clip_folder, objects, ahead=ahead), expected) == []
    assert lines == []
    counts = replaying.graph_counts
    assert counts is not None and counts.recorded >= 3 and counts.replayed > 40


@pytest.mark.parametrize('precision', PRECISIONS)
def test_without_batching_masks_are_those_of_stock(clip_folder, precision):
    from sam2_tracker.models.loader import build_stock_predictor

    config = ModelConfig('sam2.1_hiera_tiny', device='cuda', image_size=128)
    with torch.autocast('cuda', torch.bfloat16, enabled=precision == 'bfloat16'):
        session = StockSession(build_stock_predictor(config, random_weights=True), clip_folder)
        for number in range(2):
            session.prompt(number + 1, 0, disc_mask(number, 0))
        expected = session.propagate(0, 24)
    predictor = Predictor(small_model(), precision, batched=False, graphs=graphs_of([]))
    pictures = read_clip(clip_folder)
    stream = Stream(predictor, lambda index: predictor.encode(pictures[index]))
    for number in range(2):
        stream.add(number + 1, 0, disc_mask(number, 0))
    stream.track(1, 24)
    assert differing(stream.results, expected) == []


def test_a_recording_is_not_broken_by_what_other_threads_do_on_the_gpu(clip_folder):
    model, lines, done = small_model(), [], threading.Event()

    def disturb() -> None:
        while not done.is_set():
            torch.randn(64, 64, device=DEVICE).matmul(torch.randn(64, 64).pin_memory().to(
                DEVICE, non_blocking=True)).sum().item()
    other = threading.Thread(target=disturb)
    other.start()
    try:
        replaying = Predictor(model, batched=True, graphs=graphs_of(lines))
        found = track(replaying, clip_folder, 2, ahead=True)
    finally:
        done.set()
        other.join()
    assert lines == []
    assert differing(found, track(Predictor(model, batched=True), clip_folder, 2)) == []


def test_too_little_memory_for_recordings_changes_no_mask(clip_folder):
    model, lines = small_model(), []
    tight = Predictor(model, batched=True, graphs=graphs_of(lines, nbytes=1))
    found = track(tight, clip_folder, 2)
    assert differing(found, track(Predictor(model, batched=True), clip_folder, 2)) == []
    assert tight.graph_counts is not None and tight.graph_counts.evicted > 0
    assert tight.graph_bytes < 64 * 2**20
    assert lines == []


@pytest.mark.parametrize('wanted', [Wanted(), Wanted(masks=False), Wanted(label_image=False)],
                         ids=str)
def test_results_are_counted_on_the_gpu_as_one_after_the_other(wanted):
    torch.manual_seed(0)
    outputs = [LowResMask(torch.randn(1, 1, 64, 64, device=DEVICE).mul(3).round(),
                          torch.tensor([[1.5 - number % 3]], device=DEVICE))
               for number in range(5)]
    found = [summarise_masks(outputs, [9, 300, 65535, 4, 5], (270, 480), wanted, replay=replay)
             for replay in (None, graphs_of([]).tracking)]
    assert found[0].objects == found[1].objects
    assert np.array_equal(found[0].masks, found[1].masks)
    assert np.array_equal(found[0].label_image, found[1].label_image)


def test_warm_up_records_what_is_usual_and_nothing_is_said():
    lines: list[tuple[Level, str]] = []
    predictor = Predictor(small_model(), 'bfloat16', batched=True,
                          graphs=graphs_of(lines, times=1000))
    predictor.warm_up()
    counts = predictor.graph_counts
    assert counts is not None and counts.recorded == 9
    assert lines == []


def test_the_chosen_kernels_of_attention_exist_here():
    kernels = AttentionKernels.of(DEVICE, torch.bfloat16)
    for objects in (1, 2, 4, 16):
        choice = kernels.choice(objects)
        query = torch.randn(objects, 1, 256, 256, device=DEVICE, dtype=torch.bfloat16)
        key = torch.randn(objects, 1, 640, 256, device=DEVICE, dtype=torch.bfloat16)
        value = key[..., :64 if choice.folds else 256].contiguous()
        with choice.selected():
            found = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        weights = (query.float() @ key.float().transpose(-1, -2) / 16).softmax(-1)
        assert (found.float() - weights @ value.float()).abs().max() < 0.02
