# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Find out what kind of recording lies somewhere, and open it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.sources.source import Source

BAG_SUFFIXES = ('.mcap', '.db3')


@dataclass(frozen=True)
class SourceOptions:
    """
    How to read recordings.

    :param topic: of a bag's images, '' if there is one image topic only
    :param rate_hz: of a folder's pictures, which have no times
    """

    topic: str = ''
    rate_hz: float = 30.0


def open_source(path: Path, options: SourceOptions) -> Source:
    """
    Open a rosbag2, a video or a folder of pictures.

    :raises SourceError: if a bag is unreadable, or which topic is meant is not clear
    :raises FrameError: if a video or folder is unreadable
    """
    return _opener(path, options)()


def is_bag(path: Path) -> bool:
    """Return whether a path is a rosbag2: its folder, or one of its files."""
    return (path / 'metadata.yaml').exists() or path.suffix in BAG_SUFFIXES


def _opener(path: Path, options: SourceOptions) -> Callable[[], Source]:
    # Each kind has a library of its own that takes a while to import.
    if not path.exists():
        raise SourceError(f'source {path} does not exist')
    if is_bag(path):
        from sam2_tracker.offline.sources.bag import BagSource

        return lambda: BagSource(path, options.topic)
    _refuse_near_misses(path)
    if options.topic:
        raise SourceError(f'source {path} is no bag: --topic {options.topic} means nothing there')
    from sam2_tracker.offline.sources.video import FolderSource, VideoSource

    if path.is_dir():
        return lambda: FolderSource(path, options.rate_hz)
    return lambda: VideoSource(path)


def _refuse_near_misses(path: Path) -> None:
    """Say what to do with bags that are not as they should be."""
    if path.suffix == '.bag':
        raise SourceError(f'source {path} is a bag of ROS 1: convert it with rosbags-convert')
    if path.suffix == '.zstd':
        raise SourceError(
            f'source {path} is a compressed part of a bag: give the folder with its metadata.yaml'
        )
    if not path.is_dir():
        return
    parts = sorted(file for file in path.iterdir() if file.suffix in BAG_SUFFIXES)
    if parts:
        raise SourceError(
            f'source {path} is a bag without metadata.yaml, as an interrupted recording leaves '
            f'it: run `ros2 bag reindex {path}`, or give a single file, as {parts[0].name}'
        )
