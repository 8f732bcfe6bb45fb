# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Object ids: each is given out once in the life of the process."""

from __future__ import annotations

from sam2_tracker.core.errors import PromptError

MAX_OBJECT_ID = 65535


class IdAllocator:
    """Numbers objects from 1 upwards; one for the whole process, so that no id comes back."""

    def __init__(self) -> None:
        self._largest = 0
        self._claimed: set[int] = set()

    def peek(self, count: int) -> tuple[int, ...]:
        """
        Return the ids that the next new objects will have; they stay free.

        :raises PromptError: if there are not so many left
        """
        first = self._largest + 1
        if first + count - 1 > MAX_OBJECT_ID:
            left = MAX_OBJECT_ID - self._largest
            raise PromptError(
                f'{count} new objects asked for but only {left} of the '
                f'{MAX_OBJECT_ID} object ids are left; restart the tracker'
            )
        return tuple(range(first, first + count))

    def claim(self, object_id: int) -> None:
        """
        Take an id out of use; the numbering goes on above the largest claimed.

        :raises PromptError: if it is not 1 to 65535 or was claimed before
        """
        if not 1 <= object_id <= MAX_OBJECT_ID:
            raise PromptError(f'object id {object_id} is not 1 to {MAX_OBJECT_ID}')
        if object_id in self._claimed:
            raise PromptError(f'object id {object_id} was used before')
        self._claimed.add(object_id)
        self._largest = max(self._largest, object_id)

    def is_unused(self, object_id: int) -> bool:
        """Return whether an id can still be claimed."""
        return 1 <= object_id <= MAX_OBJECT_ID and object_id not in self._claimed
