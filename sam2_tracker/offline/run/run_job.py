# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Process the recordings of a run; what fails does not stop the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TYPE_CHECKING

from sam2_tracker.core.errors import StorageError, TrackerError
from sam2_tracker.core.log import Level, Log
from sam2_tracker.offline.errors import OutputError, SourceError
from sam2_tracker.offline.run.job import Job, SourceJob
from sam2_tracker.offline.run.journal import Journal
from sam2_tracker.offline.run.report import counted, SourceReport

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Outcome:
    """
    What became of one recording.

    :param report: None if it failed, or was finished by an earlier run
    :param error: None if it is complete
    :param learnt: what its prompts taught
    """

    name: str
    report: SourceReport | None = None
    error: TrackerError | None = None
    learnt: tuple[SavedObject, ...] = ()


class Processor(Protocol):
    """Whatever processes recordings: this process, or a cluster."""

    def load(self) -> tuple[SavedObject, ...]:
        """
        Return the object memories of an earlier run that the settings name.

        :raises TrackerError: if they cannot be read, or are not of this model
        """

    def process(
        self, sources: Sequence[SourceJob], memories: Sequence[SavedObject]
    ) -> Iterator[Outcome]:
        """Yield what becomes of each recording, as soon as it is known, in any order."""


class JobRun:
    """
    A run under way.

    :param log: told what happens
    """

    def __init__(self, job: Job, journal: Journal, processor: Processor, log: Log) -> None:
        self._job = job
        self._journal = journal
        self._processor = processor
        self._log = log

    def run(self) -> list[Outcome]:
        """
        Process all recordings, those with prompts first.

        :raises TrackerError: if object memories cannot be read or written
        """
        loaded = self._processor.load() if self._job.settings.load_memory else ()
        taught = self._all(self._job.taught, loaded)
        if any(outcome.error is not None for outcome in taught):
            return taught + [_not_taught(source) for source in self._job.untaught]
        known = merged([*loaded, *(each for outcome in taught for each in outcome.learnt)])
        self._save(known)
        return taught + self._all(self._job.untaught, known)

    def _all(self, sources: Sequence[SourceJob], memories: Sequence[SavedObject]) -> list[Outcome]:
        """Return the outcomes in the order of the recordings."""
        outcomes = {name: self._earlier(name) for name in self._journal.finished}
        waiting = [source for source in sources if source.name not in outcomes]
        for outcome in self._processor.process(waiting, memories):
            outcomes[outcome.name] = outcome
            if outcome.error is None:
                model_name = self._job.settings.model.name
                self._journal.finish(outcome.name, outcome.learnt, model_name)
            else:
                self._log(Level.ERROR, str(outcome.error))
        return [outcomes[source.name] for source in sources]

    def _earlier(self, name: str) -> Outcome:
        return Outcome(name, learnt=self._journal.learnt(name))

    def _save(self, objects: Sequence[SavedObject]) -> None:
        from sam2_tracker.core.engine.memory.file import save_memory

        path = self._job.settings.save_memory
        if path is not None:
            try:
                save_memory(path, objects, self._job.settings.model.name)
            except StorageError as error:
                raise OutputError(str(error)) from error
            self._log(Level.INFO, f'{path}: what was learnt of {counted(len(objects), "object")}')


def _not_taught(source: SourceJob) -> Outcome:
    return Outcome(
        source.name,
        error=SourceError(
            f'{source.path} was not processed: what is to be tracked there is learnt from a '
            'recording that failed'
        ),
    )


def load_memories(path: Path, predictor: Predictor) -> tuple[SavedObject, ...]:
    """
    Read a file of object memories that this model can use.

    :raises StorageError: if it cannot be read
    :raises ModelError: if another model made it, or the same one with another image size
    """
    from sam2_tracker.core.engine.memory.file import load_fitting

    return load_fitting(path, predictor)


def names_in(path: Path) -> list[tuple[int, str]]:
    """
    Return ids and labels of the objects of a file.

    :raises StorageError: if it cannot be read
    :raises ModelError: if it is no file of object memories
    """
    from sam2_tracker.core.engine.memory.file import load_memory

    return [(each.object_id, each.label) for each in load_memory(path)]


def merged(objects: Iterable[SavedObject]) -> tuple[SavedObject, ...]:
    """Return every object once, in the order of the ids: what was learnt last counts."""
    newest = {each.object_id: each for each in objects}
    return tuple(newest[object_id] for object_id in sorted(newest))
