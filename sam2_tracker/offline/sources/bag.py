# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Read the images of a rosbag2: mcap or sqlite3, split or not, compressed or not.

And the types of its messages, which whoever writes a bag needs too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
import os
from pathlib import Path
import shutil
import struct
import sys
from tempfile import TemporaryDirectory
from typing import Any, TYPE_CHECKING

import apsw
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from sam2_tracker.core.config import MAX_PIXELS
from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.core.plain_file import refuse_special
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.sources.image_decoding import (
    jpeg_in,
    MONO16_WHITE,
    rgb_from_image,
    rgb_from_payload,
)
from sam2_tracker.offline.sources.source import SourceFrame

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.interfaces.typing import RPath
    from rosbags.typesys.store import Typestore

# As rosbags has it.
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RAW = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
OWN_PACKAGE = 'sam2_tracker_msgs'
OWN_TYPES = ('TrackedObject', 'TrackedObjects')
DETECTION_TYPES = (
    'BoundingBox2D', 'Detection2D', 'Detection2DArray', 'LabelInfo', 'ObjectHypothesis',
    'ObjectHypothesisWithPose', 'Point2D', 'Pose2D', 'VisionClass')  # fmt: skip
# Of parts that are read; those that are compressed are unpacked first.
_SUFFIXES = ('.mcap', '.db3', '.zstd')
_HOT_JOURNAL = bytes.fromhex('d9d505f920a163d7')
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
    ArithmeticError,
    MemoryError,
    zstd.ZstdError,
    struct.error,
    apsw.Error,
)


class _WholeSqlite3Reader(Sqlite3Reader):
    """
    Reads what a recorder had not yet moved from its write-ahead log into the file, too.

    A log is merged into a copy: the recording stays as it is.
    """

    def __init__(self, path: RPath) -> None:
        super().__init__(path)
        self._merged: TemporaryDirectory[str] | None = None

    def open(self) -> None:  # noqa: A003
        """Open the file, or its copy."""
        path = Path(str(self.path))
        _refuse_unfinished(path)
        if _size(_beside(path, 'wal')):
            self._merged = TemporaryDirectory(prefix='sam2_tracker_bag_')
            self.path = _merge(path, Path(self._merged.name))
        super().open()

    def close(self) -> None:
        """Close the file, and delete its copy."""
        super().close()
        if self._merged is not None:
            self._merged.cleanup()


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f'{path.name}-{name}')


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refuse_unfinished(path: Path) -> None:
    """Refuse a database whose last change is half done, and whose journal has what was before."""
    journal = _beside(path, 'journal')
    if _size(journal):
        with journal.open('rb') as stream:
            if stream.read(len(_HOT_JOURNAL)) == _HOT_JOURNAL:
                raise ReaderError(
                    f'{journal.name} beside it holds what an interrupted change has to be undone '
                    f'with; open it once for writing: sqlite3 {path} "PRAGMA user_version"'
                )


def _merge(path: Path, folder: Path) -> Path:
    """Copy a database and move its write-ahead log into the copy."""
    copy = folder / path.name
    shutil.copyfile(path, copy)
    shutil.copyfile(_beside(path, 'wal'), _beside(copy, 'wal'))
    with closing(apsw.Connection(str(copy))) as database:
        database.execute('PRAGMA journal_mode=DELETE')
    return copy


class _WholeMcapReader(McapReader):
    """Looks through the whole file where its summary does not repeat the channels."""

    def read_index(self) -> None:
        """Read the summary, and what it leaves out."""
        super().read_index()
        used = {number for chunk in self.chunks for number in chunk.channel_count}
        if self.statistics is not None:
            used |= self.statistics.channel_message_counts.keys()
        if not self.channels or not used <= self.channels.keys():
            self.meta_scan()


class _FolderReader(DirectoryReader):
    STORAGE_PLUGINS: Mapping[str, Any] = {
        'mcap': _WholeMcapReader,
        'sqlite3': _WholeSqlite3Reader,
    }


class _WholeReader(Reader):
    STORAGE_PLUGINS: Mapping[str, Any] = {
        'dir': _FolderReader,
        '.mcap': _WholeMcapReader,
        '.db3': _WholeSqlite3Reader,
    }


class BagSource:
    """
    The images of one topic of a rosbag2.

    :param path: the bag's folder, or a single .mcap or .db3 file
    :param topic: which images; may be '' if the bag has one image topic only
    :param mono16_white: value of a 16-bit grey pixel that is white
    :param max_pixels: of the largest JPEG or PNG that is accepted
    :raises SourceError: if the bag cannot be read, or which topic is meant is not clear
    """

    # A damaged bag is refused.
    damage = ''

    def __init__(
        self,
        path: Path,
        topic: str = '',
        mono16_white: int = MONO16_WHITE,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._mono16_white = mono16_white
        self._max_pixels = max_pixels
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
            pixels = rgb_from_image(message, self._mono16_white)
            return SourceFrame(stamp_ns, recorded_ns, frame_id, pixels)
        payload = message.data.tobytes()
        pixels = rgb_from_payload(
            payload, message.format, self._mono16_white, self._max_pixels
        )
        stored = jpeg_in(payload, message.format)
        return SourceFrame(stamp_ns, recorded_ns, frame_id, pixels, stored)

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
        _refuse_no_files(path)
        _refuse_cut_off(path)
        reader = _WholeReader(path)
        reader.open()
    return reader


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a bag's files into a sentence that names it."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        raise SourceError(f'bag {path} cannot be read: {error}') from error
    except _DAMAGED as error:
        raise SourceError(
            f'bag {path} cannot be read: {error or type(error).__name__}; a bag that was cut off '
            'can be mended with `ros2 bag reindex` (sqlite3) or `mcap recover`'
        ) from error


def _refuse_no_files(path: Path) -> None:
    """Refuse pipes and devices by the names of a bag's files: they would be waited for."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.name != 'metadata.yaml' and file.suffix not in _SUFFIXES:
            continue
        try:
            refuse_special(file)
        except FileNotFoundError:
            # Said where it is opened.
            continue
        except OSError as error:
            raise SourceError(f'bag {path}: {file.name} cannot be read: {error}') from error


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
    listed = '; '.join(f'{name} ({_describe(topics[name])})' for name in topics)
    trouble = f'has no image topic {topic!r}' if topic else f'has {len(topics)} image topics'
    raise SourceError(f'bag {path} {trouble}: choose with --topic one of {listed}')


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
