# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Process recordings here, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from sam2_tracker.core.errors import ModelError, TrackerError
from sam2_tracker.core.log import Log
from sam2_tracker.offline.run.job import Job, Settings, SourceJob
from sam2_tracker.offline.run.run_job import load_memories, Outcome
from sam2_tracker.offline.run.run_source import Progress, run_source, Surroundings

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor


def build_model(settings: Settings) -> Predictor:
    """
    Load the model of a run, with its share of the processor.

    :raises ModelError: if that is impossible
    """
    from sam2_tracker.models.device import core_count_for_two, use_threads
    from sam2_tracker.models.loader import build_tracking_predictor

    use_threads(settings.threads or core_count_for_two())
    return build_tracking_predictor(settings.model, settings.tracking.max_cond_frames)


class LocalProcessor:
    """
    Processes recordings with one model.

    :param log: told what happens
    :param progress: given a recording's name
    """

    def __init__(self, job: Job, log: Log, progress: Callable[[str], Progress]) -> None:
        self._job = job
        self._log = log
        self._progress = progress
        self._predictor = build_model(job.settings)

    def load(self) -> tuple[SavedObject, ...]:
        """
        Return the object memories of an earlier run.

        :raises TrackerError: if they cannot be read, or are not of this model
        """
        path = self._job.settings.load_memory
        return load_memories(path, self._predictor) if path is not None else ()

    def process(
        self, sources: Sequence[SourceJob], memories: Sequence[SavedObject]
    ) -> Iterator[Outcome]:
        """Yield what becomes of each recording."""
        for source in sources:
            around = Surroundings(
                self._job.folder_of(source.name),
                self._job.settings.save_every_s,
                self._log,
                self._progress(source.name),
            )
            yield outcome_of(source, self._job.settings, self._predictor, memories, around)

    def close(self) -> None:
        """Do nothing: the model goes with the process."""


def outcome_of(
    source: SourceJob,
    settings: Settings,
    predictor: Predictor,
    memories: Sequence[SavedObject],
    around: Surroundings,
) -> Outcome:
    """Process one recording, whatever comes of it."""
    from sam2_tracker.models.device import is_out_of_memory

    try:
        teaching = run_source(source, settings, predictor, memories, around)
    except TrackerError as error:
        return Outcome(source.name, error=error)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return Outcome(
            source.name,
            error=ModelError(
                f'{source.path}: the device is out of memory; choose a smaller model, a smaller '
                '--image-size or --device cpu'
            ),
        )
    return Outcome(source.name, teaching.report, learnt=teaching.learnt)
