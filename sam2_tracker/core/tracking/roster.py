# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The objects that are tracked, by their ids."""

from __future__ import annotations

from collections.abc import Iterator

from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.ids import IdAllocator
from sam2_tracker.core.prompts.validation import known_objects
from sam2_tracker.core.protocols import Memory
from sam2_tracker.core.tracking.track import nothing_shown, Track
from sam2_tracker.core.types import ObjectState, TrackedObject


class Roster:
    """
    Every object's track; iterates in the order of the ids.

    :param ids: shared by all rosters of a process, so that no id is used twice
    """

    def __init__(self, ids: IdAllocator) -> None:
        self._ids = ids
        self.by_id: dict[int, Track] = {}

    def __iter__(self) -> Iterator[Track]:
        return iter([self.by_id[object_id] for object_id in sorted(self.by_id)])

    def __len__(self) -> int:
        return len(self.by_id)

    @property
    def shown(self) -> tuple[TrackedObject, ...]:
        """Return every object as it is on the newest frame."""
        return tuple(track.shown for track in self)

    def known(self, object_id: int) -> Track:
        """
        Return an object's track.

        :raises PromptError: if there is no such object
        """
        if object_id not in self.by_id:
            raise PromptError(f'object {object_id} is unknown: {known_objects(self.by_id)}')
        return self.by_id[object_id]

    def next_ids(self, count: int) -> tuple[int, ...]:
        """
        Return the ids that the next new objects will have; they stay free.

        :raises PromptError: if there are not so many left
        """
        return self._ids.peek(count)

    def enter(self, object_id: int, label: str, memory: Memory | None = None) -> Track:
        """
        Return an object's track, a new one if there is none yet, under this display name.

        :param memory: what a new object is tracked by from the next frame on
        """
        if object_id not in self.by_id:
            if self._ids.is_unused(object_id):
                self._ids.claim(object_id)
            unknown = nothing_shown(object_id, label, ObjectState.UNKNOWN)
            self.by_id[object_id] = Track(unknown, memory)
        self.by_id[object_id].rename(label)
        return self.by_id[object_id]

    def adopt(self, memory: Memory, label: str, object_id: int) -> int:
        """
        Enter a new object that something is remembered of already; return its id.

        :param object_id: an unused one, 0 for the next
        :raises PromptError: if the id was used before
        """
        new_id = object_id or self._ids.peek(1)[0]
        self._ids.claim(new_id)
        return self.enter(new_id, label, memory).id
