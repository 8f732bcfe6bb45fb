# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Frames a second and latency: a picture on the host in, its label image on the host out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
import time
from typing import Any

from benchmarks import ways
from benchmarks.clips import boxes, Clip, write_clip
from benchmarks.gpu.notes import Notes, Plan, Row
from benchmarks.machine import synchronise
from benchmarks.spread import spread
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import FrameMasks
from sam2_tracker.core.types import Wanted
import torch


def measure_speed(plan: Plan, notes: Notes, folder: Path) -> None:
    """Note every row, stock and this engine."""
    model = ''
    for row in plan.rows:
        if row.model != model:
            ways.forget_models()
            model = row.model
        notes.run('speed', partial(_measure, plan, row, notes, folder))
    ways.forget_models()


def measure_vos_optimized(plan: Plan, notes: Notes, folder: Path) -> None:
    """Note stock's compiled predictor, which takes minutes to compile."""
    row = plan.rows[0]

    def measure(way: str) -> None:
        begun = time.perf_counter()
        lap = _lap(plan, notes, plan.stock_frames, _stock(plan, row, clip_of(plan, row, folder),
                                                          way))
        notes.add('vos_optimized', way=way, model=row.model, objects=row.objects,
                  took_s=round(time.perf_counter() - begun, 1), **lap.figures)
    for way in ('vos_optimized', 'none'):
        notes.run('vos_optimized', partial(measure, way))


def clip_of(plan: Plan, row: Row, folder: Path) -> Clip:
    """Write the pictures of a row."""
    place = folder / f'{row.hw[1]}x{row.hw[0]}'
    return write_clip(place, plan.clip_frames, row.hw)


def _measure(plan: Plan, row: Row, notes: Notes, folder: Path) -> None:
    clip = clip_of(plan, row, folder)
    named = {'model': row.model, 'objects': row.objects, 'picture': f'{row.hw[1]}x{row.hw[0]}'}
    setting = plan.setting(row.model)
    stock = _lap(plan, notes, plan.stock_frames, _stock(plan, row, clip, 'none'))
    notes.add('speed', way='stock, finished clip', **named, **stock.figures)
    for way, batched, frames in (('ours, batching auto', True, plan.our_frames),
                                 ('ours, batching never', False, plan.stock_frames)):
        begun = time.perf_counter()
        predictor = ways.predictor_of(setting, batched)
        ready_s = time.perf_counter() - begun
        lap = _lap(plan, notes, frames, track(predictor, row, clip))
        figures = {**lap.figures, 'gain': round(stock.p50_ms / lap.p50_ms, 2),
                   'ready_s': round(ready_s, 1)}
        if batched:
            figures['fps_ahead'] = round(_fps_ahead(plan, notes, predictor, row, clip), 1)
        counts = predictor.graph_counts
        notes.add('speed', way=way, **named, **figures,
                  graphs=None if counts is None else vars(counts))


class _Lap:
    """What one way did."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.mib = 0.0

    @property
    def p50_ms(self) -> float:
        """Return the median of a frame's milliseconds."""
        return spread([1000 * each for each in self.seconds]).p50

    @property
    def figures(self) -> dict[str, Any]:
        """Return all of it to note."""
        found = spread([1000 * each for each in self.seconds])
        return {'p50_ms': round(found.p50, 2), 'p95_ms': round(found.p95, 2),
                'fps': round(1000 / found.p50, 1), 'mib': round(self.mib)}


def _lap(plan: Plan, notes: Notes, frames: int, session: Iterator[object]) -> _Lap:
    lap, device = _Lap(), plan.device
    if plan.is_cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
    for index in range(plan.warm_up + frames):
        notes.check()
        synchronise(device)
        begun = time.perf_counter()
        next(session)
        synchronise(device)
        if index >= plan.warm_up:
            lap.seconds.append(time.perf_counter() - begun)
    if plan.is_cuda:
        lap.mib = (torch.cuda.max_memory_allocated(device) - held) / 2 ** 20
    return lap


def _stock(plan: Plan, row: Row, clip: Clip, compiled: str) -> Iterator[object]:
    setting = plan.setting(row.model)
    model = ways.stock_model(setting, compiled)
    return ways.on_clip(setting, model, clip, boxes(row.objects, row.hw))


def track(predictor: Predictor, row: Row, clip: Clip, ahead: bool = False
          ) -> Iterator[FrameMasks]:
    """Track with this engine, for a label image of each frame."""
    prompts = boxes(row.objects, row.hw)
    return ways.follow(predictor, clip, prompts, Wanted(masks=False), ahead)


def _fps_ahead(plan: Plan, notes: Notes, predictor: Predictor, row: Row, clip: Clip) -> float:
    """Measure frames a second where the next picture is at hand, as in a recording."""
    session = track(predictor, row, clip, ahead=True)
    for _ in range(plan.warm_up):
        notes.check()
        next(session)
    synchronise(plan.device)
    begun = time.perf_counter()
    count = 0
    for _ in session:
        notes.check()
        count += 1
    synchronise(plan.device)
    return count / (time.perf_counter() - begun)
