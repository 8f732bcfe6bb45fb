# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Run several ways over the same frames so that the machine's moods meet all of them alike.

A virtual machine's speed wanders by a third within minutes. By frame: each way does the first
frame, then each the second, in changing order; then gains are medians of ratios on one frame. On
CUDA, where compiled models must not be mixed, each way runs the whole clip, in several rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
import time

from benchmarks.clips import Clip
from benchmarks.machine import synchronise
from benchmarks.sequences import Mask
from benchmarks.ways import Session, Way
import numpy as np
from numpy.typing import NDArray
from sam2_tracker.core.types import Prompt
import torch

MIB = 1024 ** 2


@dataclass
class Lap:
    """
    What one way did.

    :param begins_with: as a way's
    :param seconds: of each frame after the warm-up, in all rounds
    :param device_mib: highest device memory beside the weights, 0 on a CPU
    """

    name: str
    begins_with: str
    seconds: list[float] = field(default_factory=list)
    device_mib: float = 0.0
    # A bit a pixel: masks of many objects over many frames would fill the memory otherwise.
    _packed: list[list[NDArray[np.uint8]]] = field(default_factory=list)
    _hw: tuple[int, int] = (0, 0)

    def keep(self, masks: Sequence[Mask]) -> None:
        """Keep a frame's masks."""
        height, width = masks[0].shape
        self._hw = (height, width)
        self._packed.append([np.packbits(mask) for mask in masks])

    @property
    def objects(self) -> int:
        """Return how many objects there are."""
        return len(self._packed[0])

    @property
    def masks(self) -> Iterator[list[Mask]]:
        """Yield the masks of each frame that was kept, those of the first round."""
        pixels = self._hw[0] * self._hw[1]
        for row in self._packed:
            yield [np.unpackbits(packed, count=pixels).reshape(self._hw).astype(bool)
                   for packed in row]


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
    laps = [Lap(way.name, way.begins_with) for way in ways]
    for number in range(course.rounds):
        if course.by_frame:
            _by_frame(laps, [way.start(clip, prompts) for way in ways], course, number)
            continue
        for way, lap in zip(ways, laps, strict=True):
            _whole(lap, way.start(clip, prompts), course, number)
    return laps


def _by_frame(laps: Sequence[Lap], sessions: Sequence[Session], course: Course, number: int
              ) -> None:
    for index in range(course.warm_up + course.frames):
        for turn in range(len(laps)):
            place = (turn + index) % len(laps)
            _step(laps[place], sessions[place], course, index, number)


def _whole(lap: Lap, session: Session, course: Course, number: int) -> None:
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
        lap.keep(masks)


def gain(lap: Lap, over: Lap, more_s: float = 0.0) -> float:
    """
    Return how many times as fast a way is: the median of the ratios on each frame.

    :param more_s: to be added to the slower one's frames
    """
    ratios = [(theirs + more_s) / ours
              for ours, theirs in zip(lap.seconds, over.seconds, strict=True)]
    return float(np.median(ratios))
