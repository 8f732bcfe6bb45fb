# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Read the images of a rosbag2: mcap or sqlite3, split or not, compressed or not.

And the types of its messages, which whoever writes a bag needs too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import struct
import sys
from typing import Any, TYPE_CHECKING

import apsw
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.sources.image_decoding import rgb_from_image, rgb_from_payload
from sam2_tracker.offline.sources.source import SourceFrame

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

RAW = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
OWN_PACKAGE = 'sam2_tracker_msgs'
OWN_TYPES = ('TrackedObject', 'TrackedObjects')
DETECTION_TYPES = (
    'BoundingBox2D', 'Detection2D', 'Detection2DArray', 'LabelInfo', 'ObjectHypothesis',
    'ObjectHypothesisWithPose', 'Point2D', 'Pose2D', 'VisionClass')  # fmt: skip
# What rosbags lets through when a file is cut off or overwritten in the middle.
_DAMAGED = (
    ReaderError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    RuntimeError,
    AssertionError,
    MemoryError,
    struct.error,
    apsw.Error,
)


class BagSource:
    """
    The images of one topic of a rosbag2.

    :param path: the bag's folder, or a single .mcap or .db3 file
    :param topic: which images; may be '' if the bag has one image topic only
    :raises SourceError: if the bag cannot be read, or which topic is meant is not clear
    """

    # A damaged bag is refused.
    damage = ''

    def __init__(self, path: Path, topic: str = '') -> None:
        self._path = path
        self._types = make_typestore()
        self._reader = open_bag(path)
        try:
            self._connections = _choose(path, self._reader.connections, topic)
        except SourceError:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """Return where the bag lies."""
        return self._path

    @property
    def topic(self) -> str:
        """Return the topic that is read."""
        return str(self._connections[0].topic)

    @property
    def frame_count(self) -> int | None:
        """Return the number of images, as the bag's index has it."""
        return sum(connection.msgcount for connection in self._connections)

    @property
    def rate_hz(self) -> float | None:
        """Return the mean rate over the whole bag, None if it has one image only."""
        count = self.frame_count or 0
        duration_s = self._reader.duration * 1e-9
        return (count - 1) / duration_s if count > 1 and duration_s > 0 else None

    def frames(self) -> Iterator[SourceFrame]:
        """
        Yield all images in the order in which they were recorded.

        :raises SourceError: if the bag is damaged
        :raises FrameError: if an image is damaged or of a kind that is not accepted
        """
        number = -1
        with readable(self._path):
            for connection, recorded_ns, raw in self._reader.messages(self._connections):
                number += 1
                try:
                    yield self._frame(connection.msgtype, recorded_ns, bytes(raw))
                except FrameError as error:
                    raise FrameError(
                        f'{self._path}: frame {number} of {self.topic}: {error}'
                    ) from error
        if number + 1 != self.frame_count:
            raise SourceError(
                f'bag {self._path} is damaged: its index has {self.frame_count} '
                f'messages of {self.topic}, {number + 1} are there'
            )

    def _frame(self, message_type: str, recorded_ns: int, raw: bytes) -> SourceFrame:
        try:
            message: Any = self._types.deserialize_cdr(raw, message_type)
        except (SerdeError, ValueError, IndexError, struct.error, AssertionError) as error:
            raise FrameError(f'not a whole {message_type} ({len(raw)} bytes)') from error
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 10**9 + stamp.nanosec
        frame_id = str(message.header.frame_id)
        if message_type == RAW:
            return SourceFrame(stamp_ns, recorded_ns, frame_id, rgb_from_image(message))
        payload = message.data.tobytes()
        pixels = rgb_from_payload(payload)
        return SourceFrame(
            stamp_ns,
            recorded_ns,
            frame_id,
            pixels,
            payload if jpeg.probe(payload).is_jpeg else None,
        )

    def close(self) -> None:
        """Let go of the bag's files."""
        if self._reader.is_open:
            self._reader.close()


def open_bag(path: Path) -> Reader:
    """
    Open a bag for reading.

    :raises SourceError: if it is missing or damaged
    """
    with readable(path):
        _refuse_cut_off(path)
        reader = Reader(path)
        reader.open()
    return reader


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a bag's files into a sentence that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f'bag {path} cannot be read: {error}') from error
    except _DAMAGED as error:
        raise SourceError(
            f'bag {path} cannot be read: {error or type(error).__name__}; a bag that was cut off '
            'can be mended with `ros2 bag reindex` (sqlite3) or `mcap recover`'
        ) from error


def _refuse_cut_off(path: Path) -> None:
    """Refuse a database without its end: SQLite takes what is missing of a page for zeros."""
    for file in sorted(path.glob('*.db3')) if path.is_dir() else [path]:
        if file.suffix != '.db3':
            continue
        with file.open('rb') as stream:
            head = stream.read(18)
        page_size = int.from_bytes(head[16:18], 'big')
        # 1 stands for 65536, which has no place in 16 bits.
        page_size = 65536 if page_size == 1 else page_size
        if page_size == 0 or file.stat().st_size % page_size:
            raise ReaderError(f'the end of {file.name} is missing')


def image_topics(connections: list[Connection]) -> dict[str, list[Connection]]:
    """Return the topics with at least one image, each with its publishers' connections."""
    topics: dict[str, list[Connection]] = {}
    for connection in sorted(connections, key=lambda connection: connection.topic):
        if connection.msgtype in (RAW, COMPRESSED) and connection.msgcount:
            topics.setdefault(connection.topic, []).append(connection)
    return topics


def _choose(path: Path, connections: list[Connection], topic: str) -> list[Connection]:
    topics = image_topics(connections)
    found = [name for name in topics if not topic or name.strip('/') == topic.strip('/')]
    if len(found) == 1:
        return topics[found[0]]
    if not topics:
        others = ', '.join(sorted({c.topic for c in connections})) or 'none at all'
        raise SourceError(f'bag {path} has no image topic with messages; its topics: {others}')
    listed = '\n'.join(f'  {name}  {_describe(topics[name])}' for name in topics)
    trouble = f'has no image topic {topic!r}' if topic else f'has {len(topics)} image topics'
    raise SourceError(f'bag {path} {trouble}: choose with --topic one of\n{listed}')


def _describe(connections: list[Connection]) -> str:
    count = sum(connection.msgcount for connection in connections)
    return f'{connections[0].msgtype.rpartition("/")[2]}, {count} messages'


def make_typestore() -> Typestore:
    """
    Return ROS 2's standard types, ours, and those of vision_msgs where it is installed.

    :raises StorageError: if our .msg files are not found
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    own = _find_messages(OWN_PACKAGE)
    if own is None:
        raise StorageError(
            f'the message definitions of {OWN_PACKAGE} were not found: build that package and '
            'source its workspace, or run from a checkout'
        )
    _register(store, OWN_PACKAGE, own, OWN_TYPES)
    detections = _find_messages('vision_msgs')
    if detections is not None:
        _register(store, 'vision_msgs', detections, DETECTION_TYPES)
    return store


def _register(store: Typestore, package: str, folder: Path, names: tuple[str, ...]) -> None:
    files = [folder / f'{name}.msg' for name in names]
    for path in files:
        if path.exists():
            store.register(
                get_types_from_msg(path.read_text(encoding='utf-8'), f'{package}/msg/{path.stem}')
            )


def _find_messages(package: str) -> Path | None:
    return next((folder for folder in _candidates(package) if folder.is_dir()), None)


def _candidates(package: str) -> Iterator[Path]:
    """Yield where a package's .msg files may lie: a checkout, a workspace, a virtual env."""
    yield Path(__file__).resolve().parents[3] / package / 'msg'
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix:
            yield Path(prefix) / 'share' / package / 'msg'
    yield Path(sys.prefix) / 'share' / package / 'msg'
