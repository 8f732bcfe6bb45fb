# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What the model remembers of objects, on its way between the tracker and files.

The services `~/save_memory` and `~/load_memory`, what they do with a tracker, and how files are
named and found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
from pathlib import Path
from typing import Protocol, TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sam2_tracker.core.errors import StorageError, TrackerError
from sam2_tracker.core.protocols import Memory, PredictorProtocol
from sam2_tracker.core.text import is_printable, shown
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.worker.requests import Ticket
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.ros.qos import SERVICE
from sam2_tracker.ros.services.file_thread import FileThread
from sam2_tracker.ros.services.replies import done, refused, Replies
from sam2_tracker_msgs.srv import LoadMemory, SaveMemory

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.memory.transfer import CondBank

# A file that does not fit is a refusal.
FAULTS = (StorageError,)
SUFFIX = '.safetensors'
# Room for what is put around a name while the file is written; file systems take 255.
MAX_NAME_BYTES = 200
_MOST_LISTED = 20


class MemoryFileError(TrackerError):
    """A request names a file, or objects of a file, that cannot be meant."""


class MemoryServices:
    """
    `~/save_memory` and `~/load_memory`; they exist for as long as the node does.

    Disks are waited for in a thread of their own: neither frames nor other services notice.

    :param memories: returns those of an active node, or raises NotReadyError with the reason
    """

    def __init__(self, node: Node, replies: Replies, memories: Callable[[], ObjectMemories]
                 ) -> None:
        self._logger = node.get_logger()
        self._replies = replies
        self._memories = memories
        self._files = FileThread(node.get_logger())
        group = ReentrantCallbackGroup()
        for kind, name, callback in ((SaveMemory, 'save_memory', self.on_save_memory),
                                     (LoadMemory, 'load_memory', self.on_load_memory)):
            node.create_service(
                kind, f'~/{name}', callback, qos_profile=SERVICE, callback_group=group)

    async def on_save_memory(self, request: SaveMemory.Request,
                             response: SaveMemory.Response) -> SaveMemory.Response:
        """Write what is remembered of objects to a file."""
        try:
            memories, wanted = self._memories(), list(request.object_ids)
            path, in_s = memories.path(request.file_name), memories.timeout_s
            await self._replies.outcome(self._files.read(lambda: memories.prepare(path), in_s))
            found = await self._replies.outcome(memories.export(wanted))
            await self._replies.outcome(
                self._files.write(lambda: memories.save(path, found), in_s))
        except TrackerError as error:
            return refused(self._logger, 'save_memory', error, response, FAULTS)
        response.object_ids = [each.object_id for each in found]
        self._logger.info(f'saved {_listed(response.object_ids)} to {path}')
        return done(response, str(path))

    async def on_load_memory(self, request: LoadMemory.Request,
                             response: LoadMemory.Response) -> LoadMemory.Response:
        """Track the objects of a file from the next frame on."""
        try:
            memories, wanted = self._memories(), list(request.object_ids)
            path, in_s = memories.path(request.file_name), memories.timeout_s
            found = await self._replies.outcome(
                self._files.read(lambda: memories.load(path, wanted), in_s))
            ids = await self._replies.outcome(memories.adopt(found))
        except TrackerError as error:
            return refused(self._logger, 'load_memory', error, response, FAULTS)
        response.object_ids = list(ids)
        self._logger.info(f'loaded {path}: new {_listed(ids)}')
        return done(response)


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
    :param directory: where the files are, None for the default
    :param timeout_s: how long a file may be waited for
    """

    def __init__(self, worker: Worker, predictor: RememberingPredictor, model_name: str,
                 directory: Path | None, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._worker = worker
        self._predictor = predictor
        self._model_name = model_name
        self._directory = directory

    def path(self, file_name: str) -> Path:
        """
        Return the path of a file; it need not exist.

        :raises MemoryFileError: the name is no plain name
        :raises StorageError: there is no home directory to keep files in
        """
        return _path_in(self._directory, file_name)

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
        _refuse_missing(path)
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


def _listed(object_ids: Sequence[int]) -> str:
    return ', '.join(f'object {each}' for each in object_ids)


def _refuse_doubles(object_ids: Sequence[int]) -> None:
    seen: set[int] = set()
    for object_id in object_ids:
        if object_id in seen:
            raise MemoryFileError(f'object {object_id} is named twice in one request')
        seen.add(object_id)


def _name(item: SavedObject) -> str:
    return f'{item.object_id} ({item.label})' if item.label else str(item.object_id)


def _default_directory() -> Path:
    """
    Name the folder that memory files are kept in; it need not exist.

    ``$XDG_DATA_HOME/sam2_tracker/memories``, else ``~/.local/share/sam2_tracker/memories``.

    :raises StorageError: there is no home directory
    """
    parent = os.environ.get('XDG_DATA_HOME', '')
    try:
        # The XDG specification has relative paths ignored.
        data = Path(parent) if parent.startswith('/') else Path.home() / '.local' / 'share'
    except RuntimeError as error:
        raise StorageError(f'there is no place for memory files ({error}): set memory.directory '
                           'or XDG_DATA_HOME') from error
    return data / 'sam2_tracker' / 'memories'


def _path_in(directory: Path | None, file_name: str) -> Path:
    """
    Return the path of a memory file.

    :param directory: None for the default one
    :param file_name: a plain name; the suffix is added if it is missing
    :raises MemoryFileError: it is a path, hidden, empty, too long or not printable
    """
    if not file_name:
        raise MemoryFileError('file_name is empty: a plain name such as cups is expected')
    if set(file_name) & set('/\\'):
        raise MemoryFileError(f'file_name {shown(file_name)} is a path: a plain name is expected, '
                              'the directory is the parameter memory.directory')
    if file_name.startswith('.'):
        raise MemoryFileError(f'file_name {shown(file_name)} begins with a dot: such files are '
                              'hidden, take another name')
    if not is_printable(file_name):
        raise MemoryFileError(
            f'file_name {shown(file_name)} has characters that cannot be printed')
    name = file_name if file_name.endswith(SUFFIX) else file_name + SUFFIX
    if len(name.encode()) > MAX_NAME_BYTES:
        raise MemoryFileError(f'file_name has {len(name.encode())} bytes: '
                              f'at most {MAX_NAME_BYTES} are expected')
    return (directory or _default_directory()).absolute() / name


def _refuse_missing(path: Path) -> None:
    """
    Make sure that a memory file is there.

    :raises MemoryFileError: it is not; with the names of those that are
    """
    if path.is_file():
        return
    found = sorted(each.name for each in path.parent.glob(f'*{SUFFIX}')
                   if each.name[0] != '.' and each.is_file())
    first = ', '.join(found[:_MOST_LISTED])
    more = f' and {len(found) - _MOST_LISTED} more' if len(found) > _MOST_LISTED else ''
    there = f'there are {first}{more}' if found else 'there is none'
    raise MemoryFileError(f'no object memory {path.name} in {path.parent}: {there}')
