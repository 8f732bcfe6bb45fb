# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured beside speed: exactness, resize, stages, attention, prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
import shutil
import sys
import time
from typing import Any

from benchmarks import ways
from benchmarks.clips import boxes, Clip, write_clip
from benchmarks.davis import region_overlap
from benchmarks.gpu.notes import Notes, Plan
from benchmarks.gpu.speed import clip_of, track
from benchmarks.machine import synchronise
from benchmarks.sequences import load_sequence, Mask
from benchmarks.sequences import Sequence as RealClip
from benchmarks.tracking import read_rgb
import numpy as np
from sam2_tracker.core.engine.pillow_resize import matching_resize, resized_by_pillow
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Prompt, Wanted
import torch
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.nn.functional import scaled_dot_product_attention

_MADE_OBJECTS = 3
# Of `tiny` to `large` at 1024 px: places of a map, and keys of 7 maps and 16 pointers.
_PLACES, _KEYS, _WIDTH, _MEMORY_WIDTH = 4096, 7 * 4096 + 64, 256, 64
_KERNELS = {'flash': SDPBackend.FLASH_ATTENTION, 'cudnn': SDPBackend.CUDNN_ATTENTION,
            'efficient': SDPBackend.EFFICIENT_ATTENTION, 'math': SDPBackend.MATH}


def measure_exactness(plan: Plan, notes: Notes, folder: Path) -> None:
    """
    Compare ways with stock, and with the true masks of a real clip.

    Where the development data are missing the clip is a made one, of which no masks are true.
    """
    try:
        clip = load_sequence('dogs-jump').first(plan.exact_frames)
    except FileNotFoundError as missing:
        print(f'a made clip stands in for a real one: {missing}', file=sys.stderr)
        name, truth = 'made', None
        pictures = write_clip(folder / 'made', plan.exact_frames)
        prompts = boxes(_MADE_OBJECTS, pictures.hw)
    else:
        name, truth = clip.name, clip.masks
        pictures = _copied(clip, folder / 'real')
        prompts = [Prompt(mask_hw=masks[0]) for masks in clip.masks]
    exact: dict[int, list[list[Mask]]] = {}
    for precision in ('float32', 'bfloat16'):
        ways.forget_models()
        for objects in (len(prompts), 1):
            found = _tracked(plan, notes, precision, pictures, prompts[:objects])
            in_float32 = exact.setdefault(objects, found['stock'])
            for way, masks in found.items():
                notes.add('exactness', way=way, clip=name, precision=precision, objects=objects,
                          **_compared(masks, found['stock'], in_float32),
                          **({'true_j': _true_overlap(masks, truth)} if truth else {}))


def _copied(clip: RealClip, place: Path) -> Clip:
    place.mkdir()
    for path in clip.frames:
        shutil.copy(path, place)
    return Clip(place, tuple(read_rgb(path) for path in clip.frames))


def _tracked(plan: Plan, notes: Notes, precision: str, pictures: Clip,
             prompts: Sequence[Prompt]) -> dict[str, list[list[Mask]]]:
    """Return each way's masks, stock's first."""
    setting = plan.setting('nano', precision)
    stock = ways.on_clip(setting, ways.stock_model(setting, 'none'), pictures, prompts)
    sessions: dict[str, ways.Session] = {'stock': stock}
    for batched in (False, True):
        sessions[f'batching {"auto" if batched else "never"}'] = ways.track(
            ways.predictor_of(setting, batched), pictures, prompts)
    return {way: _taken(notes, session) for way, session in sessions.items()}


def _compared(found: list[list[Mask]], stock: list[list[Mask]],
              in_float32: list[list[Mask]]) -> dict[str, float]:
    ious = _overlaps(found, stock)
    return {
        'frames': len(found),
        'equal_frames': sum(min(row) == 1 for row in ious),
        'mean_iou': round(float(np.mean(ious)), 5),
        'lowest_iou': round(float(np.min(ious)), 4),
        'iou_to_float32': round(float(np.mean(_overlaps(found, in_float32))), 5),
    }


def _true_overlap(found: list[list[Mask]], truth: Sequence[Sequence[Mask]]) -> float:
    return round(float(np.mean([
        region_overlap(mask, truth[number][index])
        for index, row in enumerate(found) for number, mask in enumerate(row)])), 4)


def _overlaps(found: list[list[Mask]], others: list[list[Mask]]) -> list[list[float]]:
    return [[region_overlap(*pair) for pair in zip(mine, theirs, strict=True)]
            for mine, theirs in zip(found, others, strict=True)]


def _taken(notes: Notes, session: ways.Session) -> list[list[Mask]]:
    found = []
    for masks in session:
        notes.check()
        found.append(masks)
    return found


def measure_resize(plan: Plan, notes: Notes) -> None:
    """Hold the resize on the device against Pillow's, in every byte."""
    device, side = torch.device(plan.device), plan.image_size or 1024
    for hw in plan.resized:
        notes.check()
        picture = np.random.default_rng(1).integers(0, 256, (*hw, 3), np.uint8)
        resize = matching_resize(hw, side, device)
        figures: dict[str, Any] = {'picture': f'{hw[1]}x{hw[0]}', 'matches': resize is not None}
        if resize is not None:
            pixels = torch.tensor(picture, device=device)
            found = resize(pixels).permute(1, 2, 0).cpu().numpy()
            figures['equal'] = bool(np.array_equal(found, resized_by_pillow(picture, side)))
            figures['device_ms'] = _ms(plan, lambda run=resize, each=pixels: run(each))
        figures['pillow_ms'] = _ms(plan, lambda each=picture: resized_by_pillow(each, side), 3)
        notes.add('resize', **figures)


def _ms(plan: Plan, work: Callable[[], object], times: int = 10) -> float:
    work()
    synchronise(plan.device)
    begun = time.perf_counter()
    for _ in range(times):
        work()
    synchronise(plan.device)
    return round(1000 * (time.perf_counter() - begun) / times, 3)


def measure_stages(plan: Plan, notes: Notes, folder: Path) -> None:
    """Time the stages of a frame, and count the kernels of it."""
    row = plan.rows[0]
    clip, predictor = clip_of(plan, row, folder), ways.predictor_of(plan.setting(row.model), True)
    for objects in plan.counts:
        stages: dict[str, list[float]] = defaultdict(list)
        frames = _in_stages(plan, predictor, clip, boxes(objects, row.hw), stages)
        for _ in range(plan.warm_up + 4):
            notes.check()
            next(frames)
        for times in stages.values():
            del times[:-4]
        notes.add('stages', model=row.model, objects=objects,
                  **{name: round(float(np.median(times)), 2) for name, times in stages.items()})
        if plan.is_cuda:
            notes.add('kernels', model=row.model, objects=objects, **_kernels(frames))


def _in_stages(plan: Plan, predictor: Predictor, clip: Clip, prompts: Sequence[Prompt],
               stages: dict[str, list[float]]) -> Iterator[None]:
    def timed(stage: str, work: Callable[[], Any]) -> Any:
        synchronise(plan.device)
        begun = time.perf_counter()
        found = work()
        synchronise(plan.device)
        stages[stage].append(1000 * (time.perf_counter() - begun))
        return found
    memories = [predictor.new_memory(clip.hw) for _ in prompts]
    ids = range(1, len(prompts) + 1)
    for index, picture in enumerate(clip.pictures):
        features = timed('encode', lambda now=picture: predictor.encode(now))
        if index == 0:
            for memory, prompt in zip(memories, prompts, strict=True):
                predictor.prompt(memory, 0, features, prompt, clear_previous=False)
        steps = [TrackStep(memory, index, features) for memory in memories]
        outputs = timed('track', lambda now=steps: predictor.track(now))
        for name, wanted in (('masks', Wanted(label_image=False)),
                             ('label image', Wanted(masks=False))):
            timed(name, lambda now=outputs, what=wanted: predictor.summarise(
                now, ids, clip.hw, what))
        for memory in memories:
            memory.prune(index, 0)
        yield


def _kernels(frames: Iterator[None], count: int = 2) -> dict[str, Any]:
    """Count kernels and the time that the GPU is busy, of a frame."""
    from torch.profiler import profile, ProfilerActivity

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(count):
            next(frames)
        torch.cuda.synchronize()
    kernels = [each for each in profiler.key_averages() if each.self_device_time_total]
    kernels.sort(key=lambda each: -each.self_device_time_total)
    busy_us = sum(each.self_device_time_total for each in kernels)
    return {'busy_ms': round(busy_us / 1e3 / count, 2),
            'kernels': round(sum(each.count for each in kernels) / count),
            'top': [[each.key[:60], round(each.self_device_time_total / 1e3 / count, 3),
                     each.count // count] for each in kernels[:15]]}


def measure_attention(plan: Plan, notes: Notes) -> None:
    """Time every kernel of attention to memory; `attention_kernels.json` names the fastest."""
    places, keys = (_PLACES, _KEYS) if plan.is_cuda else (16, 116)
    for objects in (1, 2, 3, 4, 8, 16) if plan.is_cuda else plan.counts:
        query, key, value = (
            torch.randn(objects, 1, count, width, device=plan.device, dtype=torch.bfloat16)
            for count, width in ((places, _WIDTH), (keys, _WIDTH), (keys, _WIDTH)))
        found: dict[str, Any] = {}
        for name, backend in _KERNELS.items():
            if name == 'math' and plan.is_cuda:
                continue
            for suffix, values in (('', value), (' folded', value[..., :_MEMORY_WIDTH])):
                notes.check()
                found[name + suffix] = _attention_ms(plan, backend, (query, key, values))
        notes.add('attention', device=_device_name(plan), objects=objects, ms=found)


def _attention_ms(plan: Plan, backend: SDPBackend, inputs: tuple[torch.Tensor, ...]
                  ) -> float | str:
    query, key, value = (each.contiguous() for each in inputs)
    try:
        with sdpa_kernel(backend), torch.inference_mode():
            return _ms(plan, lambda: scaled_dot_product_attention(query, key, value), 5)
    except RuntimeError as error:
        return (str(error).splitlines() or ['failed'])[0][:60]


def _device_name(plan: Plan) -> str:
    return str(torch.cuda.get_device_name(plan.device)) if plan.is_cuda else plan.device


def measure_prompts(plan: Plan, notes: Notes, folder: Path) -> None:
    """Find the longest gap between results that a click makes while an object is tracked."""
    row = plan.rows[0]
    clip, predictor = clip_of(plan, row, folder), ways.predictor_of(plan.setting(row.model), True)
    one, two = boxes(2, row.hw)
    memories = [predictor.new_memory(row.hw) for _ in range(2)]
    gaps: list[float] = []
    before = time.perf_counter()
    for index, picture in enumerate(clip.pictures):
        notes.check()
        features = predictor.encode(picture)
        for number, prompt in enumerate((one, two)):
            if index == (0, plan.warm_up)[number]:
                predictor.prompt(memories[number], index, features, prompt, clear_previous=False)
        live = memories[:1 if index < plan.warm_up else 2]
        outputs = predictor.track([TrackStep(memory, index, features) for memory in live])
        predictor.summarise(outputs, range(1, len(live) + 1), row.hw, Wanted(masks=False))
        now = time.perf_counter()
        gaps.append(1000 * (now - before))
        before = now
    after = gaps[plan.warm_up:]
    notes.add('prompts', model=row.model, gap_ms=round(after[0], 1),
              longest_ms=round(max(after), 1),
              usual_ms=round(float(np.median(gaps[plan.warm_up // 2:plan.warm_up])), 1))


def measure_memory(plan: Plan, notes: Notes, folder: Path) -> None:
    """Note what is held on the device while tracking goes on: it may not grow."""
    row = plan.rows[0]
    clip, predictor = clip_of(plan, row, folder), ways.predictor_of(plan.setting(row.model), True)
    held = []
    for _ in track(predictor, row, clip):
        notes.check()
        held.append(torch.cuda.memory_allocated(plan.device) if plan.is_cuda else 0)
    notes.add('memory', model=row.model, objects=row.objects,
              mib=[round(held[index] / 2 ** 20, 1) for index in (plan.warm_up, -1)],
              graphs_mib=round(predictor.graph_bytes / 2 ** 20, 1))
