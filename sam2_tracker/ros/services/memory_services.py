# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the model remembers of objects, on its way between the tracker and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TYPE_CHECKING

from sam2_tracker.core.protocols import Memory, PredictorProtocol
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.worker.requests import Ticket
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.ros.memory_directory import MemoryFileError, refuse_missing

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.memory.transfer import CondBank


class RememberingPredictor(PredictorProtocol, Protocol):
    """A model whose memories can be taken out and put in."""

    def fingerprint(self) -> str:
        """Return a hash of the weights; the first call takes a moment."""

    def export_cond(self, memory: Memory) -> CondBank:
        """Return what an object's prompted frames taught."""

    def import_cond(self, memory: Memory, bank: CondBank) -> None:
        """Let an empty memory start from what an object was elsewhere."""


class ObjectMemories:
    """
    Takes memories out of a running tracker, and puts them in.

    `prepare`, `save` and `load` read and write: call them where that may take its time.

    :param model_name: as people call the model
    """

    def __init__(self, worker: Worker, predictor: RememberingPredictor, model_name: str) -> None:
        self._worker = worker
        self._predictor = predictor
        self._model_name = model_name

    def prepare(self, path: Path) -> None:
        """
        Do all of a saving that needs no tracker.

        :raises StorageError: something else than an object memory is at the path
        """
        from sam2_tracker.core.engine.memory.file import refuse_other_file

        refuse_other_file(path)
        self._predictor.fingerprint()

    def export(self, object_ids: Sequence[int]) -> Ticket[tuple[SavedObject, ...]]:
        """
        Ask for what is remembered of objects.

        :param object_ids: none for all of them
        :raises MemoryFileError: one is named twice
        """
        _refuse_doubles(object_ids)
        return self._worker.call(lambda tracker: self._exported(tracker, object_ids))

    def _exported(self, tracker: Tracker, object_ids: Sequence[int]) -> tuple[SavedObject, ...]:
        from sam2_tracker.core.engine.memory.file import SavedObject

        labels = {each.id: each.label for each in tracker.objects()}
        if not object_ids and not labels:
            raise MemoryFileError('there is no object whose memory could be saved: prompt one')
        memories = {each: tracker.memory(each) for each in object_ids or labels}
        return tuple(SavedObject(object_id, labels[object_id], self._predictor.export_cond(memory))
                     for object_id, memory in memories.items())

    def save(self, path: Path, objects: Sequence[SavedObject]) -> None:
        """
        Write a file, whole or not at all.

        :raises StorageError: it cannot be written
        """
        from sam2_tracker.core.engine.memory.file import save_memory

        save_memory(path, objects, self._model_name)

    def load(self, path: Path, object_ids: Sequence[int]) -> tuple[SavedObject, ...]:
        """
        Read objects that this model can use.

        :param object_ids: those of the file that are asked for, none for all of them
        :raises MemoryFileError: there is no such file, or an object is not in it
        :raises ModelError: it is damaged, or was made by other weights or at another image size
        :raises StorageError: it cannot be read
        """
        from sam2_tracker.core.engine.memory.file import load_fitting

        _refuse_doubles(object_ids)
        refuse_missing(path)
        by_id = {each.object_id: each for each in load_fitting(path, self._predictor)}
        for object_id in object_ids:
            if object_id not in by_id:
                there = ', '.join(_name(each) for each in by_id.values())
                raise MemoryFileError(f'object {object_id} is not in {path.name}: it has {there}')
        return tuple(by_id[object_id] for object_id in object_ids or by_id)

    def adopt(self, objects: Sequence[SavedObject]) -> Ticket[tuple[int, ...]]:
        """Ask for objects to be tracked from the next frame on; the answer has their new ids."""
        return self._worker.change(lambda tracker: self._adopted(tracker, objects))

    def _adopted(self, tracker: Tracker, objects: Sequence[SavedObject]) -> tuple[int, ...]:
        tracker.check_room(len(objects))
        side = self._predictor.image_size
        # Before the first picture its size is not known: the tracker sees to that then.
        source_hw = (side, side) if tracker.newest is None else tracker.newest.source_hw
        memories = [self._predictor.new_memory(source_hw) for _ in objects]
        for memory, each in zip(memories, objects, strict=True):
            self._predictor.import_cond(memory, each.bank)
        return tuple(tracker.adopt(memory, each.label)
                     for memory, each in zip(memories, objects, strict=True))


def _refuse_doubles(object_ids: Sequence[int]) -> None:
    seen: set[int] = set()
    for object_id in object_ids:
        if object_id in seen:
            raise MemoryFileError(f'object {object_id} is named twice in one request')
        seen.add(object_id)


def _name(item: SavedObject) -> str:
    return f'{item.object_id} ({item.label})' if item.label else str(item.object_id)
