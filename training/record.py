# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Record the work of a batch as a CUDA graph, and run it again on other batches.

On a GPU a small model's batch is thousands of launches, and most of a step's time goes into
making them. Apart: platform, only CUDA can record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from training.prompts import Points
from training.tracking import Batch, Draws, Outcome, Practice

Work = Callable[[Batch, Points | None, Practice, Draws], Outcome]
WARM_UPS = 2


@dataclass(frozen=True)
class Recording:
    """A graph, the tensors that it reads and the figures that it leaves."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[torch.Tensor, ...]
    outcome: Outcome


def inputs_of(batch: Batch, points: Points | None, draws: Draws) -> tuple[torch.Tensor, ...]:
    """List every tensor that differs from batch to batch."""
    pointed = () if points is None else (points.coords, points.labels)
    return (batch.images, batch.masks, batch.weights, *pointed, draws.true_memory,
            draws.true_presence, draws.candidates, draws.places)


class Recorder:
    """
    Runs work that adds to gradients, recording it for each practice when it first comes.

    :param work: launches only, on tensors that stay where they are
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.pool = torch.cuda.graph_pool_handle()
        self.recordings: dict[tuple[Practice, torch.Size], Recording] = {}

    def __call__(self, batch: Batch, points: Points | None, practice: Practice,
                 draws: Draws) -> Outcome:
        """Do the work on a batch."""
        key = (practice, batch.masks.shape)
        if key not in self.recordings:
            # the warm-ups have done this batch's work, and recording does none
            outcome, self.recordings[key] = self._record(batch, points, practice, draws)
            return outcome
        recording = self.recordings[key]
        for kept, new in zip(recording.inputs, inputs_of(batch, points, draws), strict=True):
            kept.copy_(new)
        recording.graph.replay()
        # the graphs share their memory: the next one's work overwrites these figures
        return recording.outcome.copied()

    def _record(self, batch: Batch, points: Points | None, practice: Practice,
                draws: Draws) -> tuple[Outcome, Recording]:
        """Warm up on a stream of its own, then record; the batch counts as often as warmed up."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                outcome = self.work(batch, points, practice, draws)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            recorded = self.work(batch, points, practice, draws)
        return outcome.copied(), Recording(graph, inputs_of(batch, points, draws), recorded)
