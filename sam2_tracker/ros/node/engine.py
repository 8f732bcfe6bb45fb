# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What configure makes and cleanup frees: the model, the frame buffer and the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
import sys
import threading
from typing import Protocol

from sam2_tracker.core.config import CoreConfig
from sam2_tracker.core.errors import WithdrawnError
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import BufferStatistics
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.prompts.file import load_prompt_file
from sam2_tracker.core.protocols import PredictorProtocol
from sam2_tracker.core.types import IdAllocator, TrackedFrame, Wanted
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.ros.services.memory_services import ObjectMemories

STOP_TIMEOUT_S = 2.0
NANO_WARNING = (
    'model nano is for demos and tests, and its weights are for non-commercial research only '
    '(sam2_tracker/models/nano/LICENSE): for work, take an official one, for example after '
    'ros2 run sam2_tracker fetch_checkpoint sam2.1_hiera_small')


@dataclass(frozen=True)
class EngineHooks:
    """
    What the node gives to the engine.

    :param ids: one for the life of the process
    :param on_result: called on the worker's thread with every result
    :param wanted: says which outputs somebody subscribes to
    :param cancelled: set when the process stops: loading is given up at the next step
    """

    ids: IdAllocator
    on_result: Callable[[TrackedFrame], None]
    wanted: Callable[[], Wanted]
    log: Log
    cancelled: threading.Event


class ModelLoader(Protocol):
    """Where the model comes from; tests bring a fake one."""

    def load(self, config: CoreConfig, cancelled: threading.Event) -> PredictorProtocol:
        """Build and warm the model; give up when `cancelled` is set."""

    def release(self) -> None:
        """Give back what a model that is gone held."""


class Sam2Loader:
    """
    Loads the SAM 2 that the settings name. torch takes seconds to import: only when needed.

    :param log: told what the model is not for, and what it has to do in a slower way
    """

    def __init__(self, log: Log = silent) -> None:
        self._log = log

    def load(self, config: CoreConfig, cancelled: threading.Event) -> PredictorProtocol:
        """
        Build and warm the model.

        :raises ModelError: it is missing, damaged, or does not fit the device
        """
        from sam2_tracker.models.loader import build_tracking_predictor

        check_cancelled(cancelled)
        if config.model.name == 'nano':
            self._log(Level.WARN, NANO_WARNING)
        tracking = config.tracking
        predictor = build_tracking_predictor(config.model, tracking.max_cond_frames, self._log,
                                             tracking.memory, tracking.cuts, tracking.doubt)
        check_cancelled(cancelled)
        predictor.warm_up()
        return predictor

    def release(self) -> None:
        """Give the device's memory back."""
        # Importing torch only to find that nothing was loaded would take seconds.
        if 'torch' in sys.modules:
            from sam2_tracker.models.loader import release_cached_memory

            release_cached_memory()


class Engine:
    """
    A loaded model with its buffer and worker.

    :param prompts_file: prompts that apply by themselves
    :param memory_directory: where object memories are kept, None for the default
    :raises TrackerError: a setting, the model, the directory or the prompts file is at fault
    """

    def __init__(self, config: CoreConfig, prompts_file: Path | None, hooks: EngineHooks,
                 loader: ModelLoader, memory_directory: Path | None = None) -> None:
        prompts = load_prompt_file(prompts_file) if prompts_file else None
        predictor = loader.load(config, hooks.cancelled)
        check_cancelled(hooks.cancelled)
        self._log = hooks.log
        self._buffer = FrameBuffer(config.buffer, config.frame_policy, config.max_pixels)
        self.worker = Worker(
            predictor, self._buffer, config, hooks.ids, hooks.on_result, hooks.wanted, prompts,
            hooks.log)
        self.memories = ObjectMemories(self.worker, predictor, config.model.name, memory_directory,
                                       config.prompt.timeout_s)

    def stop(self) -> None:
        """Stop tracking; objects and frames stay."""
        if not self.worker.stop(STOP_TIMEOUT_S):
            self._log(Level.ERROR, f'the frame under way takes longer than {STOP_TIMEOUT_S} s: '
                                   'the worker ends after it')

    def buffer_statistics(self) -> BufferStatistics:
        """Return the frame buffer in numbers."""
        return self._buffer.statistics

    def close(self) -> None:
        """Remove the frames, and say what could not be done."""
        undone = self._buffer.close()
        if undone:
            self._log(Level.ERROR, undone)


def check_cancelled(cancelled: threading.Event) -> None:
    """Raise WithdrawnError if the process is to stop."""
    if cancelled.is_set():
        raise WithdrawnError('the tracker is stopping: loading the model was given up')
