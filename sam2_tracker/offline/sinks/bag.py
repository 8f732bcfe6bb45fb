# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A rosbag2 with the topics of the live node and the source's stamps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TYPE_CHECKING

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.types import TrackedFrame, Wanted
from sam2_tracker.offline.bag_messages import MessageFactory
from sam2_tracker.offline.bag_types import make_typestore
from sam2_tracker.offline.sink import Result
from sam2_tracker.offline.sinks.bag_copy import TopicCopier

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

    from sam2_tracker.render.overlay import Overlay

NODE = '/sam2_tracker'
SUFFIXES = ('.mcap', '.db3', '.yaml')
# The older of the two that rosbags writes.
_VERSION: Literal[8] = 8


@dataclass(frozen=True)
class BagContent:
    """
    What goes into the bag besides the objects.

    :param storage: mcap or sqlite3
    :param copied_from: a bag whose own topics are copied along
    """

    storage: str = 'mcap'
    label_image: bool = True
    masks: bool = True
    annotated: bool = False
    detections: bool = False
    copied_from: Path | None = None

    @property
    def wanted(self) -> Wanted:
        """Return what is read of a result."""
        return Wanted(self.label_image, self.masks or self.annotated)


class ResultBag:
    """
    Writes one message a topic and frame, recorded when the image was.

    :param folder: the bag, which does not exist yet
    :param log: told which of the source's topics cannot be copied, as nobody defines their type
    :raises ConfigError: if detections are wanted and vision_msgs is not installed
    :raises OutputError: if a copied topic is one of ours
    """

    def __init__(self, folder: Path, content: BagContent, log: Log = silent) -> None:
        types = make_typestore()
        self._messages = MessageFactory(types)
        self._content = content
        if content.detections and not self._messages.knows_detections:
            raise ConfigError(
                'detections need the messages of vision_msgs, which is not '
                'installed or not sourced here'
            )
        self._types = types
        self._writer = _open_writer(folder, content.storage)
        self._connections: dict[str, Connection] = {}
        self._names: tuple[tuple[int, str], ...] | None = None
        self._overlay: Overlay | None = None
        self._copier: TopicCopier | None = None
        if content.copied_from is not None:
            taken = frozenset(f'{NODE}/{name}' for name in ('objects', 'label_image'))
            self._copier = TopicCopier(content.copied_from, self._writer, types, taken)
            if self._copier.left_out:
                log(
                    Level.WARN,
                    f'{content.copied_from} does not define the types of '
                    f'{", ".join(self._copier.left_out)}: not copied',
                )

    def write(self, result: Result) -> None:
        """Add one frame."""
        if self._copier is not None:
            self._copier.copy_until(result.recorded_ns)
        tracked, header = result.tracked, result.tracked.frame.header
        at_ns = result.recorded_ns
        self._put('objects', at_ns, self._messages.objects(header, tracked.objects), LATCHED)
        if self._content.label_image:
            assert tracked.label_image is not None
            self._put(
                'label_image', at_ns, self._messages.label_image(header, tracked.label_image)
            )
        if self._content.masks:
            for item, mask in zip(tracked.objects, tracked.masks, strict=True):
                self._put(f'object_{item.id}/mask', at_ns, self._messages.mask(header, mask))
        if self._content.annotated:
            self._put('annotated/compressed', at_ns, self._annotated(tracked))
        if self._content.detections:
            self._put_detections(tracked, at_ns)

    def _annotated(self, tracked: TrackedFrame) -> Any:
        if self._overlay is None:
            from sam2_tracker.render.overlay import Overlay

            self._overlay = Overlay()
        return self._messages.jpeg(tracked.frame.header, self._overlay.draw(tracked))

    def _put_detections(self, tracked: TrackedFrame, at_ns: int) -> None:
        header, objects = tracked.frame.header, tracked.objects
        names = tuple((item.id, item.label) for item in objects)
        if names != self._names:
            self._put('label_info', at_ns, self._messages.label_info(header, objects), LATCHED)
            self._names = names
        self._put('detections', at_ns, self._messages.detections(header, objects))

    def _put(self, name: str, at_ns: int, message: Any, qos: Qos | None = None) -> None:
        if name not in self._connections:
            self._connections[name] = self._writer.add_connection(
                f'{NODE}/{name}',
                message.__msgtype__,
                typestore=self._types,
                offered_qos_profiles=[qos or OUTPUT],
            )
        self._writer.write(self._connections[name], at_ns, self._messages.serialise(message))

    def finish(self) -> None:
        """Write what is left and the index."""
        if self._copier is not None:
            self._copier.copy_until(None)
            self._copier.close()
        self._writer.close()

    def abort(self) -> None:
        """Close the files without an index."""
        if self._copier is not None:
            self._copier.close()
        self._writer.abort()


def _open_writer(folder: Path, storage: str) -> Writer:
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    writer = Writer(folder, version=_VERSION, storage_plugin=plugin)
    if plugin is StoragePlugin.MCAP:
        # Masks shrink to a hundredth, and every reader of mcap undoes it by itself.
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    writer.open()
    return writer


def _qos(depth: int, durability: QosDurability) -> Qos:
    forever = QosTime(sec=9223372036, nsec=854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        durability,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )


LATCHED = _qos(1, QosDurability.TRANSIENT_LOCAL)
OUTPUT = _qos(5, QosDurability.VOLATILE)
