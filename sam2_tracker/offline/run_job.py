# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Process the recordings of a run one after the other; what fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_tracker.core.errors import ModelError, TrackerError
from sam2_tracker.core.log import Level, Log
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.job import Job, SourceJob
from sam2_tracker.offline.journal import Journal
from sam2_tracker.offline.memories import load_memories, merged
from sam2_tracker.offline.run_source import (
    Progress,
    run_source,
    SourceReport,
    Surroundings,
    Teaching,
)

if TYPE_CHECKING:
    from sam2_tracker.core.memory_file import SavedObject
    from sam2_tracker.core.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Outcome:
    """
    What became of one recording.

    :param report: None if it failed, or was finished by an earlier run
    :param error: None if it is complete
    """

    name: str
    report: SourceReport | None = None
    error: TrackerError | None = None


ProgressOf = Callable[[str], Progress]


class JobRun:
    """
    A run under way.

    :param log: told what happens
    :param progress: given a recording's name
    """

    def __init__(
        self, job: Job, journal: Journal, predictor: Predictor, log: Log, progress: ProgressOf
    ) -> None:
        self._job = job
        self._journal = journal
        self._predictor = predictor
        self._log = log
        self._progress = progress
        self._loaded: tuple[SavedObject, ...] = ()
        self._learnt: list[SavedObject] = []

    def run(self) -> list[Outcome]:
        """
        Process all recordings, those with prompts first.

        :raises ModelError: if the object memories are not of this model
        :raises StorageError: if object memories cannot be read or written
        """
        if self._job.settings.load_memory is not None:
            self._loaded = load_memories(self._job.settings.load_memory, self._predictor)
        outcomes = [self._try(source, self._loaded) for source in self._job.taught]
        if any(outcome.error is not None for outcome in outcomes):
            return outcomes + [_not_taught(source) for source in self._job.untaught]
        known = merged([*self._loaded, *self._learnt])
        self._save(known)
        return outcomes + [self._try(source, known) for source in self._job.untaught]

    def _try(self, source: SourceJob, memories: Sequence[SavedObject]) -> Outcome:
        if source.name in self._journal.finished:
            self._log(Level.INFO, f'{source.name}: complete already')
            self._learnt += self._journal.learnt(source.name)
            return Outcome(source.name)
        try:
            teaching = self._process(source, memories)
        except TrackerError as error:
            self._log(Level.ERROR, str(error))
            return Outcome(source.name, error=error)
        self._learnt += teaching.learnt
        self._journal.finish(source.name, teaching.learnt, self._job.settings.model.name)
        return Outcome(source.name, teaching.report)

    def _process(self, source: SourceJob, memories: Sequence[SavedObject]) -> Teaching:
        from sam2_tracker.models.device import is_out_of_memory

        try:
            around = Surroundings(
                self._job.journal_folder / f'{source.name}.head',
                self._log,
                self._progress(source.name),
            )
            return run_source(source, self._job.settings, self._predictor, memories, around)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise ModelError(
                f'{source.path}: the device is out of memory; choose a smaller '
                'model, a smaller --image-size or --device cpu'
            ) from error

    def _save(self, objects: Sequence[SavedObject]) -> None:
        from sam2_tracker.core.memory_file import save_memory

        path = self._job.settings.save_memory
        if path is not None:
            save_memory(path, objects, self._job.settings.model.name)
            self._log(Level.INFO, f'{path}: the memories of {len(objects)} objects')


def _not_taught(source: SourceJob) -> Outcome:
    return Outcome(
        source.name,
        error=SourceError(
            f'{source.path} was not processed: what is to be tracked there is learnt from a '
            'recording that failed'
        ),
    )
