# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs without CUDA: what is fixed, shared and spoilt there is so here."""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensors = tuple[torch.Tensor, ...]


class StandInRecorder:
    """
    Records as CUDA does, on the CPU.

    A replay computes from the tensors that the work was recorded with, into those that it was
    recorded into; before it, all outputs of its pool are filled with NaN, bytes with 171: what was
    not copied does not survive.

    :ivar nbytes: of the pool; a test may set what each recording adds
    :ivar failures: raised by the next recordings
    :ivar is_wrong: whether replays give something else
    """

    def __init__(self) -> None:
        self.pool: list[StandInRecording] = []
        self.pools = 1
        self.nbytes = 0
        self.bytes_each = 0
        self.failures: list[BaseException] = []
        self.is_wrong = False
        self.replays = 0

    def record(self, run: Callable[[], Tensors]) -> StandInRecording:
        """Record some work: what it gives is not there before the first replay."""
        if self.failures:
            raise self.failures.pop(0)
        made = StandInRecording(self, run, tuple(torch.empty_like(each) for each in run()))
        made.spoil()
        self.pool.append(made)
        self.nbytes += self.bytes_each
        return made

    def begin_new_pool(self) -> None:
        """Begin again."""
        self.pool, self.nbytes = [], 0
        self.pools += 1


class StandInRecording:
    def __init__(self, recorder: StandInRecorder, run: Callable[[], Tensors],
                 outputs: Tensors) -> None:
        self._recorder = recorder
        self._pool = recorder.pool
        self._run = run
        self.outputs = outputs

    def spoil(self) -> None:
        for each in self.outputs:
            each.fill_(float('nan') if each.is_floating_point() else 171)

    def replay(self) -> None:
        self._recorder.replays += 1
        for recording in self._pool:
            recording.spoil()
        for target, source in zip(self.outputs, self._run(), strict=True):
            target.copy_(source)
        if self._recorder.is_wrong:
            self.outputs[0].add_(1)
