# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Run several ways over the same frames so that the machine's moods meet all of them alike.

A virtual machine's speed wanders by a third within minutes. By frame: each way does the first
frame, then each the second, in changing order; then gains are medians of ratios on one frame. On
CUDA, where compiled models must not be mixed, each way runs the whole clip, in several rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import time

import numpy as np
import torch

from benchmarks.clips import Clip
from benchmarks.machine import synchronise
from benchmarks.tracking import Mask
from benchmarks.ways import Session, Way
from sam2_tracker.core.types import Prompt

MIB = 1024 ** 2


@dataclass
class Lap:
    """
    What one way did.

    :param seconds: of each frame after the warm-up, in all rounds
    :param masks: of each frame of the first round
    :param device_mib: highest device memory beside the weights, 0 on a CPU
    """

    way: Way
    seconds: list[float] = field(default_factory=list)
    masks: list[list[Mask]] = field(default_factory=list)
    device_mib: float = 0.0


@dataclass(frozen=True)
class Course:
    """
    What is run.

    :param warm_up: frames that do not count
    :param frames: frames that do
    :param rounds: how often all of it
    :param by_frame: change the way after each frame, not after the clip
    """

    device: str
    warm_up: int
    frames: int
    rounds: int
    by_frame: bool


def race(ways: Sequence[Way], clip: Clip, prompts: Sequence[Prompt], course: Course
         ) -> list[Lap]:
    """Run all ways, as often as the course says."""
    laps = [Lap(way) for way in ways]
    for number in range(course.rounds):
        if course.by_frame:
            _by_frame(laps, clip, prompts, course, number)
            continue
        for lap in laps:
            _whole(lap, clip, prompts, course, number)
    return laps


def _by_frame(laps: Sequence[Lap], clip: Clip, prompts: Sequence[Prompt], course: Course,
              number: int) -> None:
    sessions = [lap.way.start(clip, prompts) for lap in laps]
    for index in range(course.warm_up + course.frames):
        for turn in range(len(laps)):
            place = (turn + index) % len(laps)
            _step(laps[place], sessions[place], course, index, number)


def _whole(lap: Lap, clip: Clip, prompts: Sequence[Prompt], course: Course, number: int) -> None:
    session = lap.way.start(clip, prompts)
    held = _begin_weighing(course.device)
    for index in range(course.warm_up + course.frames):
        _step(lap, session, course, index, number)
    if torch.device(course.device).type == 'cuda':
        most = torch.cuda.max_memory_allocated(course.device) - held
        lap.device_mib = max(lap.device_mib, most / MIB)


def _begin_weighing(device: str) -> int:
    if torch.device(device).type != 'cuda':
        return 0
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def _step(lap: Lap, session: Session, course: Course, index: int, number: int) -> None:
    synchronise(course.device)
    begun = time.perf_counter()
    masks = next(session)
    synchronise(course.device)
    if index >= course.warm_up:
        lap.seconds.append(time.perf_counter() - begun)
    if number == 0:
        lap.masks.append(masks)


def gain(lap: Lap, over: Lap, more_s: float = 0.0) -> float:
    """
    Return how many times as fast a way is: the median of the ratios on each frame.

    :param more_s: to be added to the slower one's frames
    """
    ratios = [(theirs + more_s) / ours
              for ours, theirs in zip(lap.seconds, over.seconds, strict=True)]
    return float(np.median(ratios))
