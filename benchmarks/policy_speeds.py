# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What a memory policy costs a frame.

Apart: here each policy runs alone, as in a tracker, where the other tables share their passes.
"""

from __future__ import annotations

from collections.abc import Mapping
import statistics
import time

from benchmarks.hard_clips import hard_clip
from benchmarks.machine import synchronise
from benchmarks.results import markdown
from benchmarks.sequences import make_prompt
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep

# From this frame on an object that was always seen has all that policies read.
_FULL = 31
_SEEDS = range(3)


def speeds(predictors: Mapping[str, Predictor]) -> dict[str, float]:
    """
    Return the milliseconds that tracking an object onto a frame takes under each policy.

    Policies take turns on each frame, memories are pruned as a tracker does; on a CPU it is the
    thread's own time that counts. The median over the frames on which memories are full.
    """
    taken: dict[str, list[float]] = {name: [] for name in predictors}
    first = next(iter(predictors.values()))
    on_cpu = first.device.type == 'cpu'
    clock = time.thread_time if on_cpu else time.perf_counter
    for seed in _SEEDS:
        memories: dict[str, ObjectMemory] = {}
        for index, shot in enumerate(hard_clip('stays beside', seed)):
            size = shot.rgb.shape[0], shot.rgb.shape[1]
            features = first.encode(shot.rgb)
            for name, predictor in predictors.items():
                if index == 0:
                    memories[name] = predictor.new_memory(size)
                    predictor.prompt(memories[name], 0, features, make_prompt(shot.truth, 'mask'),
                                     False)
                synchronise(first.device)
                begun_s = clock()
                predictor.track([TrackStep(memories[name], index, features)])
                memories[name].prune(index, 0)
                synchronise(first.device)
                if index >= _FULL:
                    taken[name].append(clock() - begun_s)
    return {name: 1000 * statistics.median(times) for name, times in taken.items()}


def speed_table(taken: Mapping[str, float]) -> str:
    """Lay `speeds` out as Markdown, with the first policy as what others are compared with."""
    base = next(iter(taken.values()))
    return markdown(['policy', 'ms', 'of the first'],
                    [[name, f'{ms:.1f}', f'{ms / base:.0%}'] for name, ms in taken.items()])
