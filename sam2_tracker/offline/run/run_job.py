# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Process the recordings of a run, here one by one; what fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TYPE_CHECKING

from sam2_tracker.core.errors import StorageError
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.text import counted
from sam2_tracker.offline.errors import OutputError, SourceError
from sam2_tracker.offline.run.job import Job, Settings, SourceJob
from sam2_tracker.offline.run.journal import Journal
from sam2_tracker.offline.run.run_source import (
    Outcome,
    Progress,
    run_source,
    RunContext,
)

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor


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

        :returns: what became of each, and of the object memories if they could not be written
        :raises TrackerError: if object memories cannot be read
        """
        loaded = self._processor.load() if self._job.settings.load_memory else ()
        prompted = self._all(self._job.prompted, loaded)
        if not all(outcome.taught for outcome in prompted):
            return prompted + [_not_processed(source) for source in self._job.unprompted]
        known = _newest([*loaded, *(each for outcome in prompted for each in outcome.learnt)])
        unsaved = self._save(known)
        return prompted + self._all(self._job.unprompted, known) + unsaved

    def _all(self, sources: Sequence[SourceJob], memories: Sequence[SavedObject]) -> list[Outcome]:
        """Return the outcomes in the order of the recordings."""
        outcomes = {
            source.name: self._earlier(source.name)
            for source in sources
            if source.name in self._journal.finished
        }
        waiting = [source for source in sources if source.name not in outcomes]
        for outcome in self._processor.process(waiting, memories):
            outcomes[outcome.name] = outcome
            if outcome.error is None:
                model_name = self._job.settings.model.name
                self._journal.finish(outcome.name, outcome.learnt, model_name, outcome.damage)
            elif not outcome.failed:
                self._log(Level.ERROR, str(outcome.error))
        return [outcomes[source.name] for source in sources]

    def _earlier(self, name: str) -> Outcome:
        damage = self._journal.finished[name]
        return Outcome(name, learnt=self._journal.learnt(name), damage=damage)

    def _save(self, objects: Sequence[SavedObject]) -> list[Outcome]:
        """Write the object memories; return the failure if that is impossible."""
        from sam2_tracker.core.engine.memory.file import save_memory

        path = self._job.settings.save_memory
        if path is None:
            return []
        try:
            save_memory(path, objects, self._job.settings.model.name)
        except StorageError as error:
            self._log(Level.ERROR, str(error))
            return [Outcome(str(path), error=OutputError(str(error)))]
        self._log(Level.INFO, f'{path}: what was learnt of {counted(len(objects), "object")}')
        return []


def _not_processed(source: SourceJob) -> Outcome:
    return Outcome(
        source.name,
        error=SourceError(
            f'{source.path} was not processed: what is to be tracked there is learnt from a '
            'recording that failed'
        ),
    )


def _newest(objects: Iterable[SavedObject]) -> tuple[SavedObject, ...]:
    """Return every object once, in the order of the ids: what was learnt last counts."""
    newest = {each.object_id: each for each in objects}
    return tuple(newest[object_id] for object_id in sorted(newest))


def names_in(path: Path) -> list[tuple[int, str]]:
    """
    Return ids and labels of the objects of a file.

    :raises StorageError: if it cannot be read
    :raises ModelError: if it is no file of object memories
    """
    from sam2_tracker.core.engine.memory.file import load_memory

    return [(each.object_id, each.label) for each in load_memory(path)]


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
        self._predictor = build_model(job.settings, log)

    def load(self) -> tuple[SavedObject, ...]:
        """
        Return the object memories of an earlier run.

        :raises TrackerError: if they cannot be read, or are not of this model
        """
        from sam2_tracker.core.engine.memory.file import load_fitting

        path = self._job.settings.load_memory
        return load_fitting(path, self._predictor) if path is not None else ()

    def process(
        self, sources: Sequence[SourceJob], memories: Sequence[SavedObject]
    ) -> Iterator[Outcome]:
        """Yield what becomes of each recording."""
        for source in sources:
            context = RunContext(
                self._job.folder_of(source.name),
                self._job.settings.save_every_s,
                self._log,
                self._progress(source.name),
            )
            yield run_source(source, self._job.settings, self._predictor, memories, context)

    def close(self) -> None:
        """Do nothing: the model goes with the process."""


def build_model(settings: Settings, log: Log = silent) -> Predictor:
    """
    Load the model of a run, with its share of the processor.

    :param log: told what has to be done in a slower way
    :raises ModelError: if that is impossible
    """
    from sam2_tracker.models.device import core_count_for_two, use_threads
    from sam2_tracker.models.loader import build_tracking_predictor

    use_threads(settings.threads or core_count_for_two())
    tracking = settings.tracking
    return build_tracking_predictor(settings.model, tracking.max_cond_frames, log,
                                    tracking.memory, tracking.cuts, tracking.doubt)
