# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Which prompts of a file are due on which frame of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.types import Frame, IdAllocator, Prompt

# Players show milliseconds: a time rounded down or up by half of one still means the frame.
TIME_ROUNDING_NS = 500_000


@dataclass(frozen=True, eq=False)
class DuePrompt:
    """
    A prompt to be applied now.

    :param stamp_ns: of the frame that it is for, None for the one that made it due
    :param prompt: with the id that the object has, or is to have, in this process
    :param is_first: no prompt for this object was applied before
    """

    source: FilePrompt
    stamp_ns: int | None
    prompt: Prompt
    is_first: bool


class PromptSchedule:
    """
    Hands out a file's prompts as a stream's frames come.

    `frame` counts the frames tracked; `time_s` means the first frame at or after that time since
    the first; `stamp` the frame of that stamp, which is looked up when the stream has come so far.
    An object of the file has the file's id the first time, and a new one when the stream begins
    again: no id is used twice.
    """

    def __init__(self, prompts: Sequence[FilePrompt], ids: IdAllocator) -> None:
        self._prompts = tuple(prompts)
        self._ids = ids
        self._live_ids: dict[int, int] = {}
        self._introduced: set[int] = set()
        for object_id in {each.prompt.object_id for each in prompts} - {0}:
            if ids.is_unused(object_id):
                ids.claim(object_id)
                self._live_ids[object_id] = object_id
        self._begin()

    def _begin(self) -> None:
        self._pending = list(self._prompts)
        self._frame_count = 0
        self._first_stamp_ns: int | None = None

    def restart(self) -> None:
        """Begin again: the stream did."""
        if self._frame_count == 0:
            return
        self._live_ids.clear()
        self._introduced.clear()
        self._begin()

    def due(self, frame: Frame) -> tuple[DuePrompt, ...]:
        """Take in the next tracked frame and return what is due with it, once."""
        if self._first_stamp_ns is None:
            self._first_stamp_ns = frame.stamp_ns
        since_ns = frame.stamp_ns - self._first_stamp_ns
        due = [each for each in self._pending if self._is_due(each, frame.stamp_ns, since_ns)]
        self._pending = [each for each in self._pending if each not in due]
        self._frame_count += 1
        return tuple(self._as_due(each, frame.stamp_ns) for each in due)

    def _is_due(self, each: FilePrompt, stamp_ns: int, since_ns: int) -> bool:
        if each.frame is not None:
            return each.frame <= self._frame_count
        if each.time_s is not None:
            return round(each.time_s * 1e9) <= since_ns + TIME_ROUNDING_NS
        return each.stamp_ns is not None and each.stamp_ns <= stamp_ns

    def _as_due(self, each: FilePrompt, stamp_ns: int) -> DuePrompt:
        look_up_ns = None if each.stamp_ns in (None, stamp_ns) else each.stamp_ns
        prompt = replace(each.prompt, object_id=self._live_id(each.prompt.object_id))
        return DuePrompt(each, look_up_ns, prompt, prompt.object_id not in self._introduced)

    def _live_id(self, object_id: int) -> int:
        if object_id == 0:
            return 0
        if object_id not in self._live_ids:
            self._live_ids[object_id] = self._ids.peek(1)[0]
            self._ids.claim(self._live_ids[object_id])
        return self._live_ids[object_id]

    def applied(self, due: DuePrompt) -> None:
        """Take in that a prompt was applied: further ones for its object refine it."""
        self._introduced.add(due.prompt.object_id)
