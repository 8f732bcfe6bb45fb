# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The table of all kinds of recordings, and how to find out which of them lies somewhere.

A new source is a module with its class and a row of `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sam2_tracker.core.config import MAX_PIXELS
from sam2_tracker.core.log import Log, silent
from sam2_tracker.core.plain_file import is_there
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.sources.source import Source

BAG_SUFFIXES = ('.mcap', '.db3')
_RECORDING_SUFFIXES = (*BAG_SUFFIXES, '.jpg', '.jpeg', '.png')
_LFS_POINTER = b'version https://git-lfs.github.com/spec/v1'
_MOST_POINTER_BYTES = 1024
_ROS_1_BAG = b'#ROSBAG V'


@dataclass(frozen=True)
class SourceOptions:
    """
    How to read recordings.

    :param topic: of a bag's images, '' if there is one image topic only
    :param rate_hz: of a folder's pictures, which have no times
    :param mono16_white: value of a 16-bit grey pixel that is white
    :param max_pixels: of the largest JPEG or PNG that is accepted
    """

    topic: str = ''
    rate_hz: float = 30.0
    mono16_white: int = 65535
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class SourceKind:
    """
    A row of `SOURCES`.

    :param what: it is, as the command's help says it
    :param fits: whether something that exists is of this kind; the first row that fits counts
    :param open: imports what reads it, which takes a while
    """

    what: str
    fits: Callable[[Path], bool]
    open: Callable[[Path, SourceOptions, Log], Source]  # noqa: A003
    has_topics: bool = False


def is_bag(path: Path) -> bool:
    """Return whether a path is a rosbag2: its folder, or one of its files."""
    return path.suffix in BAG_SUFFIXES or is_there(path / 'metadata.yaml')


def _is_no_folder(path: Path) -> bool:
    return not path.is_dir()


def _open_bag(path: Path, options: SourceOptions, _log: Log) -> Source:
    from sam2_tracker.offline.sources.bag import BagSource

    return BagSource(path, options.topic, options.mono16_white, options.max_pixels)


def _open_video(path: Path, _options: SourceOptions, log: Log) -> Source:
    from sam2_tracker.offline.sources.video import VideoSource

    return VideoSource(path, log)


def _open_folder(path: Path, options: SourceOptions, _log: Log) -> Source:
    from sam2_tracker.offline.sources.video import FolderSource

    return FolderSource(path, options.rate_hz, options.mono16_white, options.max_pixels)


SOURCES = (
    SourceKind('a rosbag2 (folder, .mcap, .db3)', is_bag, _open_bag, has_topics=True),
    SourceKind('a video', _is_no_folder, _open_video),
    SourceKind('a folder of pictures', Path.is_dir, _open_folder),
)


def open_source(path: Path, options: SourceOptions, log: Log = silent) -> Source:
    """
    Open a recording of whatever kind it is.

    :param log: told what of it is read, and what is damaged
    :raises SourceError: if a bag is unreadable, or which topic is meant is not clear
    :raises FrameError: if a video or folder is unreadable
    """
    try:
        return _open(path, options, log)
    except OSError as error:
        raise SourceError(f'source {path} cannot be read: {error}') from error


def _open(path: Path, options: SourceOptions, log: Log) -> Source:
    if not path.exists():
        raise SourceError(f'source {path} does not exist')
    _refuse_by_content(path)
    kind = next(kind for kind in SOURCES if kind.fits(path))
    if not kind.has_topics:
        _refuse_near_misses(path)
        if options.topic:
            raise SourceError(
                f'source {path} is no bag: --topic {options.topic} means nothing there'
            )
    return kind.open(path, options, log)


def _refuse_by_content(path: Path) -> None:
    """Say what a file really is whose name tells of something else."""
    for file in _files_to_look_into(path):
        with file.open('rb') as stream:
            head = stream.read(len(_LFS_POINTER))
        if head == _LFS_POINTER:
            raise SourceError(
                f'source {file} is a pointer of Git LFS, not the recording: fetch it with '
                '`git lfs pull`'
            )
        if head.startswith(_ROS_1_BAG):
            raise SourceError(f'source {file} is a bag of ROS 1: convert it with rosbags-convert')


def _files_to_look_into(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        # A whole picture or bag is larger than any pointer.
        yield from (
            file
            for file in sorted(path.iterdir())
            if file.suffix.lower() in _RECORDING_SUFFIXES
            and file.is_file()
            and (file.suffix in BAG_SUFFIXES or file.stat().st_size < _MOST_POINTER_BYTES)
        )


def _refuse_near_misses(path: Path) -> None:
    """Say what to do with bags that are not as they should be."""
    if path.suffix == '.bag' and not path.is_dir():
        raise SourceError(f'source {path} is a bag of ROS 1: convert it with rosbags-convert')
    if path.suffix == '.zstd':
        raise SourceError(
            f'source {path} is a compressed part of a bag: give the folder with its metadata.yaml'
        )
    if not path.is_dir():
        return
    parts = sorted(
        file
        for file in path.iterdir()
        if file.suffix in BAG_SUFFIXES and not file.name.startswith('.')
    )
    if parts:
        raise SourceError(
            f'source {path} is a bag without metadata.yaml, as an interrupted recording leaves '
            f'it: run `ros2 bag reindex {path}`, or give a single file, as {parts[0].name}'
        )
