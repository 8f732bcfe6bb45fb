# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The message types that bags are read and written with, from their .msg files."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from sam2_tracker.core.errors import StorageError

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

OWN_PACKAGE = 'sam2_tracker_msgs'
OWN_TYPES = ('TrackedObject', 'TrackedObjects')
DETECTION_TYPES = (
    'BoundingBox2D', 'Detection2D', 'Detection2DArray', 'LabelInfo', 'ObjectHypothesis',
    'ObjectHypothesisWithPose', 'Point2D', 'Pose2D', 'VisionClass')  # fmt: skip


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
    yield Path(__file__).resolve().parents[2] / package / 'msg'
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        if prefix:
            yield Path(prefix) / 'share' / package / 'msg'
    yield Path(sys.prefix) / 'share' / package / 'msg'
