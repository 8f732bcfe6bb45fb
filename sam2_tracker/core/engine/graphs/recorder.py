# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What makes a recording: an interface, and CUDA graphs behind it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
import threading
from typing import Any, Protocol

import torch

Tensors = tuple[torch.Tensor, ...]

# While one thread records, another must not begin to: both would be invalid.
_RECORDING = threading.Lock()


class Recording(Protocol):
    """What was done with fixed inputs, to be done again with what they hold by then."""

    @property
    def outputs(self) -> Tensors:
        """Return the results; any replay of the same pool spoils them."""

    def replay(self) -> None:
        """Do it again; the results are in `outputs` then."""


class Recorder(Protocol):
    """Makes recordings that share one pool of memory, so that one is replayed at a time."""

    def record(self, run: Callable[[], Tensors]) -> Recording:
        """
        Record what is done on the device; the results are there after the first replay.

        :raises RuntimeError: if something cannot be recorded, or there is no memory for it
        """

    @property
    def nbytes(self) -> int:
        """Return the bytes of the pool."""

    def begin_new_pool(self) -> None:
        """Take another pool for what comes; the old one is free when its recordings are gone."""


class CudaRecorder:
    """
    Records CUDA graphs: one launch instead of hundreds, of the very same kernels.

    Nothing waits for the device, and no other thread's or stream's work is recorded. Each pool has
    a stream of its own for it: work areas of matrix products belong to the stream that they were
    recorded on, so two pools may be replayed side by side.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool: Any = torch.cuda.graph_pool_handle()

    def record(self, run: Callable[[], Tensors]) -> Recording:
        """Record what is done on the device; see `Recorder.record`."""
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        with _RECORDING:
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                outputs = self._capture(graph, run)
            current.wait_stream(self._stream)
        return _CudaRecording(graph, outputs)

    def _capture(self, graph: torch.cuda.CUDAGraph, run: Callable[[], Tensors]) -> Tensors:
        # Another thread may allocate or wait meanwhile: it does so in no stream of ours.
        graph.capture_begin(pool=self._pool, capture_error_mode='thread_local')
        with ExitStack() as if_it_fails:
            if_it_fails.callback(_abandon, graph)
            outputs = run()
            if_it_fails.pop_all()
        graph.capture_end()
        return outputs

    @property
    def nbytes(self) -> int:
        """Return the bytes of the pool."""
        return sum(segment['total_size'] for segment in torch.cuda.memory_snapshot()
                   if tuple(segment.get('segment_pool_id', ())) == tuple(self._pool))

    def begin_new_pool(self) -> None:
        """Take another pool for what comes; the old one is free when its recordings are gone."""
        self._pool = torch.cuda.graph_pool_handle()


class _CudaRecording:

    def __init__(self, graph: torch.cuda.CUDAGraph, outputs: Tensors) -> None:
        self._graph = graph
        self._outputs = outputs

    @property
    def outputs(self) -> Tensors:
        return self._outputs

    def replay(self) -> None:
        self._graph.replay()


def _abandon(graph: torch.cuda.CUDAGraph) -> None:
    """End a recording that failed, so that the stream can be used again."""
    try:
        graph.capture_end()
    except RuntimeError:
        # That it is not valid is known.
        return
