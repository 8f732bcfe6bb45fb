# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Object memories on their way between recordings, runs and machines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject
    from sam2_tracker.core.engine.predictor import Predictor


def load_memories(path: Path, predictor: Predictor) -> tuple[SavedObject, ...]:
    """
    Read a file of object memories that this model can use.

    :raises StorageError: if it cannot be read
    :raises ModelError: if another model made it, or the same one with another image size
    """
    from sam2_tracker.core.engine.memory.file import load_fitting

    return load_fitting(path, predictor)


def names_in(path: Path) -> list[tuple[int, str]]:
    """
    Return ids and labels of the objects of a file.

    :raises StorageError: if it cannot be read
    :raises ModelError: if it is no file of object memories
    """
    from sam2_tracker.core.engine.memory.file import load_memory

    return [(each.object_id, each.label) for each in load_memory(path)]


def merged(objects: Iterable[SavedObject]) -> tuple[SavedObject, ...]:
    """Return every object once, in the order of the ids: what was learnt last counts."""
    newest = {each.object_id: each for each in objects}
    return tuple(newest[object_id] for object_id in sorted(newest))
