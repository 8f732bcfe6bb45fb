# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Where every object was on the frames of the last time, replays taken in.

For those who come late, as a detector does: they ask how it was on their frame.
"""

from __future__ import annotations

from collections.abc import Iterable

from sam2_tracker.core.tracking.cuts import Cuts
from sam2_tracker.core.types import Box, TrackedObject

# Half a minute at 30 a second.
MAX_FRAMES = 1000
# Of a few hundred bytes.
MAX_SIGHTINGS = 50_000


class Sightings:
    """
    Every object as it is known now to have been on past frames; empty until wanted.

    :param cuts: knows of which shot a frame is
    """

    def __init__(self, cuts: Cuts) -> None:
        self._cuts = cuts
        self._is_wanted = False
        self._shots: dict[int, int] = {}
        self._by_index: dict[int, dict[int, TrackedObject]] = {}
        self._count = 0

    def want(self) -> None:
        """Begin to remember."""
        self._is_wanted = True

    def record(self, index: int, objects: Iterable[TrackedObject]) -> None:
        """Remember objects on a frame; what was known of them there is replaced."""
        if not self._is_wanted:
            return
        seen = self._by_index.setdefault(index, {})
        before = len(seen)
        seen.update({each.id: each for each in objects})
        self._count += len(seen) - before
        self._shots.setdefault(index, self._cuts.shot(index))
        while len(self._by_index) > MAX_FRAMES or (
            self._count > MAX_SIGHTINGS and len(self._by_index) > 1
        ):
            oldest = min(self._by_index)
            self._count -= len(self._by_index.pop(oldest))
            del self._shots[oldest]

    def on(self, index: int) -> tuple[TrackedObject, ...]:
        """Return the objects on a frame, those that are gone since too; none if it is too old."""
        return tuple(self._by_index.get(index, {}).values())

    def last_box(self, object_id: int, index: int) -> Box | None:
        """Return the box that an object had last on or before a frame, None if none is known."""
        found = self._last_seen(object_id, index)
        return None if found is None else found[1]

    def is_elsewhere(self, object_id: int, index: int) -> bool:
        """Return whether a frame is of another shot than that in which an object was seen last."""
        found = self._last_seen(object_id, index)
        return found is not None and self._shots[found[0]] != self._shots.get(index)

    def _last_seen(self, object_id: int, index: int) -> tuple[int, Box] | None:
        for earlier in sorted((known for known in self._by_index if known <= index), reverse=True):
            seen = self._by_index[earlier].get(object_id)
            if seen is not None and seen.box is not None:
                return earlier, seen.box
        return None

    def clear(self) -> None:
        """Forget everything, for a new session."""
        self._by_index.clear()
        self._shots.clear()
        self._count = 0
