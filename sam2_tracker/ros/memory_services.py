# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The services that save and load what is remembered of objects."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from sam2_tracker.core.errors import StorageError, TrackerError
from sam2_tracker.ros.log_bridge import log_to
from sam2_tracker.ros.memory_directory import memory_path
from sam2_tracker.ros.node.engine import Engine
from sam2_tracker.ros.qos import SERVICE
from sam2_tracker.ros.services.file_thread import FileThread
from sam2_tracker.ros.services.replies import done, refused, Replies
from sam2_tracker_msgs.srv import LoadMemory, SaveMemory

# A file that does not fit is a refusal.
FAULTS = (StorageError,)


class MemoryServices:
    """
    `~/save_memory` and `~/load_memory`; they exist for as long as the node does.

    Disks are waited for in a thread of their own: neither frames nor other services notice.

    :param engine: returns the engine of an active node, or raises NotReadyError with the reason
    """

    def __init__(self, node: Node, replies: Replies, engine: Callable[[], Engine]) -> None:
        self._logger = node.get_logger()
        self._replies = replies
        self._engine = engine
        self._files = FileThread(log_to(node.get_logger()))
        group = ReentrantCallbackGroup()
        for kind, name, callback in ((SaveMemory, 'save_memory', self.on_save_memory),
                                     (LoadMemory, 'load_memory', self.on_load_memory)):
            node.create_service(
                kind, f'~/{name}', callback, qos_profile=SERVICE, callback_group=group)

    async def on_save_memory(self, request: SaveMemory.Request,
                             response: SaveMemory.Response) -> SaveMemory.Response:
        """Write what is remembered of objects to a file."""
        try:
            engine = self._engine()
            path = memory_path(engine.memory_directory, request.file_name)
            memories, wanted = engine.memories, list(request.object_ids)
            in_s = engine.timeout_s
            await self._replies.outcome(self._files.read(lambda: memories.prepare(path), in_s))
            found = await self._replies.outcome(memories.export(wanted))
            await self._replies.outcome(
                self._files.write(lambda: memories.save(path, found), in_s))
        except TrackerError as error:
            return refused(self._logger, 'save_memory', error, response, FAULTS)
        response.object_ids = [each.object_id for each in found]
        return done(response, str(path))

    async def on_load_memory(self, request: LoadMemory.Request,
                             response: LoadMemory.Response) -> LoadMemory.Response:
        """Track the objects of a file from the next frame on."""
        try:
            engine = self._engine()
            path = memory_path(engine.memory_directory, request.file_name)
            memories, wanted = engine.memories, list(request.object_ids)
            found = await self._replies.outcome(
                self._files.read(lambda: memories.load(path, wanted), engine.timeout_s))
            ids = await self._replies.outcome(memories.adopt(found))
        except TrackerError as error:
            return refused(self._logger, 'load_memory', error, response, FAULTS)
        response.object_ids = list(ids)
        return done(response)
