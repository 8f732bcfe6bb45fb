# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Compiled graphs for what runs on every frame; prompts stay outside, so none waits for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
import os
from pathlib import Path

from sam2_tracker.core.engine.batching import StepInputs, StepOutputs
from sam2_tracker.core.engine.stream_predictor import StreamPredictor
import torch

Step = Callable[[StepInputs], StepOutputs]
# Objects with so many prompted frames get a graph of their own; others run as before.
_COND_FRAMES = (1, 2)
# CUDA graphs are recorded on the second call.
_CALLS_UNTIL_STEADY = 3


def compile_encoder(model: StreamPredictor, backend: str = 'inductor') -> None:
    """Compile the image encoder; the first picture then takes a minute or more."""
    _keep_compiled_code()
    encoder = model.image_encoder
    mode = 'max-autotune' if model.device.type == 'cuda' and backend == 'inductor' else None
    encoder.forward = torch.compile(encoder.forward, fullgraph=True, dynamic=False,
                                    backend=backend, mode=mode)
    model.encoder_is_compiled = True


class CompiledStep:
    """
    Run batches through compiled graphs where one was prepared, and all others as they are.

    A graph fits one number of objects and one layout of memory, so batches are filled up to the
    next size by repeating the last object. Nothing is ever compiled while frames are waiting.

    :param step: what to compile
    :param max_batch: largest batch that will come
    """

    def __init__(self, step: Step, max_batch: int, backend: str = 'inductor') -> None:
        _keep_compiled_code()
        self._step = step
        self._backend = backend
        self._compiled: Step | None = None
        self._sizes = [1]
        while self._sizes[-1] < max_batch:
            self._sizes.append(2 * self._sizes[-1])
        self._ready: set[tuple[object, ...]] = set()

    def prepare(self, one: StepInputs) -> None:
        """
        Compile for all sizes of batches.

        :param one: a batch of one object with one prompted frame, all windows full
        """
        # One graph for each size and layout; torch gives up at 8 otherwise.
        torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        mode = 'reduce-overhead' if one.memory.is_cuda and self._backend == 'inductor' else None
        self._compiled = torch.compile(self._step, fullgraph=True, dynamic=False,
                                       backend=self._backend, mode=mode)
        for cond_frames in _COND_FRAMES:
            for size in self._sizes:
                inputs = _pad(_with_cond_frames(one, cond_frames), size)
                for _ in range(_CALLS_UNTIL_STEADY):
                    self._call(inputs)
                self._ready.add(_shape(inputs, size))

    def __call__(self, inputs: StepInputs) -> StepOutputs:
        """Run a batch."""
        count = inputs.memory.shape[1]
        size = next(size for size in self._sizes if size >= count)
        if _shape(inputs, size) not in self._ready:
            return self._step(inputs)
        found = self._call(_pad(inputs, size))
        return StepOutputs(*(getattr(found, each.name)[:count] for each in fields(found)))

    def _call(self, inputs: StepInputs) -> StepOutputs:
        assert self._compiled is not None
        if not inputs.memory.is_cuda:
            return self._compiled(inputs)
        torch.compiler.cudagraph_mark_step_begin()
        found = self._compiled(inputs)
        # The next replay of the CUDA graph writes to the same memory.
        return StepOutputs(*(getattr(found, each.name).clone() for each in fields(found)))


def _shape(inputs: StepInputs, size: int) -> tuple[object, ...]:
    """Return what a graph for so many objects fits; there is none for different frames."""
    return len(inputs.memory), size, inputs.pointer_tokens, inputs.is_one_frame


def _pad(inputs: StepInputs, size: int) -> StepInputs:
    """Repeat the last object of one frame until there are so many."""
    count = inputs.memory.shape[1]
    if count == size:
        return inputs
    rows = torch.arange(size, device=inputs.memory.device).clamp_(max=count - 1)
    return replace(inputs, maps=[each[:1].expand(size, -1, -1, -1) for each in inputs.maps],
                   memory=inputs.memory.index_select(1, rows),
                   memory_position=inputs.memory_position.index_select(1, rows))


def _with_cond_frames(one: StepInputs, count: int) -> StepInputs:
    """Make a batch as of an object with more prompted frames: what is in it does not matter."""
    place = one.maps[-1].shape[-2] * one.maps[-1].shape[-1]
    maps = len(one.memory) - one.pointer_tokens
    pointer = one.maps[-1].shape[1] // one.memory.shape[-1]

    def more(tokens: torch.Tensor) -> torch.Tensor:
        return torch.cat([*[tokens[:place]] * (count - 1), tokens[:maps],
                          *[tokens[maps:maps + pointer]] * (count - 1), tokens[maps:]])

    return replace(one, memory=more(one.memory), memory_position=more(one.memory_position),
                   pointer_tokens=one.pointer_tokens + (count - 1) * pointer)


def _keep_compiled_code() -> None:
    """Let later starts find what this one compiles."""
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    os.environ.setdefault('TORCHINDUCTOR_CACHE_DIR', str(Path(home, 'sam2_tracker', 'compiled')))
