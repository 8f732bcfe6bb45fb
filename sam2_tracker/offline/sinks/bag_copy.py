# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Copy a bag's own messages into another bag, unchanged and in time order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rosbags.interfaces import ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.typesys import (
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
    Stores,
    TypesysError,
)
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.sources.bag import open_bag, readable

if TYPE_CHECKING:
    from rosbags.interfaces import Connection, Qos
    from rosbags.rosbag2 import Writer
    from rosbags.typesys.store import Typestore

_IDL_SEPARATOR = '=' * 80 + '\n'


class TopicCopier:
    """
    Copies all topics of a bag whose types are known.

    :param path: the bag to copy from
    :param types: those known besides what the bag itself defines
    :param is_taken: whether the output may use a topic itself
    :raises OutputError: if the bag has a topic that the output uses itself
    """

    def __init__(
        self, path: Path, writer: Writer, types: Typestore, is_taken: Callable[[str], bool]
    ) -> None:
        self._path = path
        self._writer = writer
        self._reader = open_bag(path)
        self.left_out: tuple[str, ...] = ()
        self._outputs = self._connect(types, is_taken)
        self._waiting = self._messages()
        self._next = next(self._waiting, None)

    def _connect(self, types: Typestore, is_taken: Callable[[str], bool]) -> dict[int, Connection]:
        """Announce every topic; remember, and leave out, those whose type nobody defines."""
        outputs = {}
        merged: dict[tuple[str, str], Connection] = {}
        for connection in self._reader.connections:
            if is_taken(connection.topic):
                self.close()
                raise OutputError(
                    f'bag {self._path} has the topic {connection.topic} already: '
                    'it cannot be copied along'
                )
            definition = definition_of(connection, types)
            if definition is None:
                self.left_out += (f'{connection.topic} ({connection.msgtype})',)
                continue
            key = connection.topic, connection.msgtype
            if key not in merged:
                merged[key] = self._writer.add_connection(
                    connection.topic,
                    connection.msgtype,
                    msgdef=definition[0],
                    rihs01=definition[1],
                    offered_qos_profiles=self._qos_of(key),
                )
            outputs[connection.id] = merged[key]
        return outputs

    def _qos_of(self, key: tuple[str, str]) -> list[Qos]:
        """Return what all publishers of a topic offered: each may have a channel of its own."""
        found: list[Qos] = []
        for connection in self._reader.connections:
            if (connection.topic, connection.msgtype) == key:
                assert isinstance(connection.ext, ConnectionExtRosbag2)
                found += [
                    qos for qos in connection.ext.offered_qos_profiles if qos not in found
                ]
        return found

    def _messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        wanted = [
            connection for connection in self._reader.connections if connection.id in self._outputs
        ]
        with readable(self._path):
            yield from self._reader.messages(wanted)

    def copy_until(self, recorded_ns: int | None) -> None:
        """
        Copy what was recorded up to a time.

        :param recorded_ns: None for all that is left
        """
        while self._next is not None:
            connection, message_ns, raw = self._next
            if recorded_ns is not None and message_ns > recorded_ns:
                return
            self._writer.write(self._outputs[connection.id], message_ns, raw)
            self._next = next(self._waiting, None)

    def close(self) -> None:
        """Let go of the bag's files."""
        if self._reader.is_open:
            self._reader.close()


def definition_of(connection: Connection, types: Typestore) -> tuple[str, str] | None:
    """Return a type's definition and hash, None where neither bag nor store has them."""
    if connection.msgdef.format is MessageDefinitionFormat.NONE:
        if connection.msgtype not in types.types:
            return None
        text, _ = types.generate_msgdef(connection.msgtype, ros_version=2)
        return text, types.hash_rihs01(connection.msgtype)
    text = connection.msgdef.data
    if connection.digest:
        return text, connection.digest
    try:
        return text, _hash(connection, text)
    except (TypesysError, KeyError):
        return None


def _hash(connection: Connection, text: str) -> str:
    store = get_typestore(Stores.EMPTY)
    if connection.msgdef.format is MessageDefinitionFormat.MSG:
        store.register(get_types_from_msg(text, connection.msgtype))
    else:
        for part in text.split(_IDL_SEPARATOR):
            if part.strip():
                store.register(get_types_from_idl(part.split('\n', 1)[1]))
    return str(store.hash_rihs01(connection.msgtype))
