# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Spread recordings over a Ray cluster: Ray places, retries and reuses worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
import logging
from pathlib import Path
import socket
from typing import Any, TYPE_CHECKING

from sam2_tracker.core.errors import ConfigError, TrackerError
from sam2_tracker.core.log import Level, Log
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.run.job import Job, Settings, SourceJob
from sam2_tracker.offline.run.run_job import build_model
from sam2_tracker.offline.run.run_source import Outcome, run_source, RunContext

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor

LOCAL = 'local'
# How often a recording is begun again whose worker process died.
RETRIES = 2
CORES_EACH = 2
KNOCK_TIMEOUT_S = 5.0

Lines = list[tuple[Level, str]]


class RayProcessor:
    """
    Processes recordings in worker processes, each with a model of its own.

    Sources, outputs and weights must be reachable under the same paths on every machine.

    :param address: of the cluster, 'local' to begin one on this machine
    :param workers: recordings at a time, 0 for as many as there is room for
    :param gpus: share of a GPU for each, None for a whole one where there is one
    :raises ConfigError: if Ray is not installed or the cluster cannot be reached
    """

    def __init__(self, job: Job, log: Log, address: str, workers: int, gpus: float | None) -> None:
        self._job = job
        self._log = log
        self._ray = _connect(address, workers)
        self._options = self._resources(workers, gpus)

    def _resources(self, workers: int, gpus: float | None) -> dict[str, Any]:
        """Declare what a recording needs, so that Ray starts no more than fit."""
        cluster = self._ray.cluster_resources()
        threads = self._job.settings.threads or CORES_EACH
        cores = (
            cluster.get('CPU', 1.0) / workers
            if workers
            else min(float(threads), cluster.get('CPU', 1.0))
        )
        wants_gpu = self._job.settings.model.device != 'cpu' and cluster.get('GPU', 0.0) > 0
        share = gpus if gpus is not None else float(wants_gpu)
        return {'num_cpus': cores, 'num_gpus': share, 'max_retries': RETRIES}

    def load(self) -> tuple[SavedObject, ...]:
        """
        Return the object memories of an earlier run; the workers check that they fit.

        :raises TrackerError: if they cannot be read
        """
        from sam2_tracker.core.engine.memory.file import load_memory

        path = self._job.settings.load_memory
        return load_memory(path) if path is not None else ()

    def process(
        self, sources: Sequence[SourceJob], memories: Sequence[SavedObject]
    ) -> Iterator[Outcome]:
        """Yield what becomes of each recording, as they are done."""
        if not sources:
            return
        task = self._ray.remote(**self._options)(process_source)
        shared = self._ray.put(tuple(memories))
        waiting = {
            task.remote(
                source, self._job.settings, shared, self._job.folder_of(source.name)
            ): source
            for source in sources
        }
        while waiting:
            done, _ = self._ray.wait(list(waiting))
            for reference in done:
                yield self._outcome(reference, waiting.pop(reference))

    def _outcome(self, reference: Any, source: SourceJob) -> Outcome:
        try:
            outcome, lines = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            reason = ' '.join(str(error).split('\n')[-1].split()) or type(error).__name__
            failed = SourceError(f'{source.path}: its worker failed: {reason}')
            return Outcome(source.name, error=failed)
        for level, sentence in lines:
            self._log(level, sentence)
        return outcome

    def close(self) -> None:
        """Let go of the cluster; one that was begun here ends."""
        self._ray.shutdown()


def _connect(address: str, workers: int) -> Any:
    try:
        import ray  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ConfigError(
            '--ray needs the package ray: pip install -r requirements/ray.txt'
        ) from None
    _refuse_unreachable(address)
    # Workers must find this package where it is not installed but run from a checkout.
    root = str(Path(__file__).resolve().parents[3])
    environment = {'env_vars': {'PYTHONPATH': root}} if address == LOCAL else {}
    try:
        ray.init(
            None if address == LOCAL else address,
            runtime_env=environment,
            include_dashboard=False if address == LOCAL else None,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f'no Ray cluster at {address}: {error}') from error
    return ray


def _refuse_unreachable(address: str) -> None:
    """Knock first: Ray itself would go on trying for minutes."""
    host, separator, port = address.removeprefix('ray://').rpartition(':')
    if not separator or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(f'no Ray cluster at {address}: {error}') from error


def process_source(
    source: SourceJob, settings: Settings, memories: Sequence[SavedObject], folder: Path
) -> tuple[Outcome, Lines]:
    """Process one recording in a worker; the model stays there for the next."""
    lines: Lines = []
    context = RunContext(
        folder,
        settings.save_every_s,
        lambda level, sentence: lines.append((level, sentence)),
        lambda frame_count: lambda: None,
    )
    try:
        predictor = _model(settings)
    except TrackerError as error:
        return Outcome(source.name, error=error), lines
    return run_source(source, settings, predictor, memories, context), lines


@lru_cache(maxsize=1)
def _model(settings: Settings) -> Predictor:
    return build_model(settings)
