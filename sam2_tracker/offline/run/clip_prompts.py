# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Which prompts belong to which frame of a recording."""

from __future__ import annotations

from collections.abc import Sequence

from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.prompts.schedule import TIME_ROUNDING_NS
from sam2_tracker.core.prompts.validation import validate_prompt

# A stamp that is farther than this from the nearest frame's means another recording.
STAMP_TOLERANCE_NS = 100_000_000


class ClipPrompts:
    """
    Hands out prompts as frames come.

    `frame` is the frame's number; `time_s` means the first frame at or after that time since the
    first; `stamp` the frame with the nearest stamp.

    :param prompts: each with the id of its object
    """

    def __init__(self, prompts: Sequence[FilePrompt]) -> None:
        self._prompts = tuple(prompts)
        self._pending = list(prompts)
        self._first_ns: int | None = None
        self._newest_ns = 0
        self._count = 0

    def check_frames(self, frame_count: int) -> None:
        """
        Refuse what lies behind the recording's end.

        :raises PromptError: naming file, line and value
        """
        for each in self._prompts:
            if each.frame is not None and each.frame >= frame_count:
                raise PromptError(
                    f'{each.where}: frame {each.frame} is outside the source: it '
                    f'has frames 0 to {frame_count - 1}'
                )

    def check_pixels(self, source_hw: tuple[int, int]) -> None:
        """
        Refuse what is not valid on pictures of this size.

        :raises PromptError: naming file, line and value
        """
        known: set[int] = set()
        for each in self._prompts:
            object_id = each.prompt.object_id
            try:
                validate_prompt(
                    each.prompt, source_hw, f'object {object_id}', object_id not in known
                )
            except PromptError as error:
                raise PromptError(f'{each.where}: {error}') from error
            known.add(object_id)

    def due(self, stamp_ns: int, next_stamp_ns: int | None) -> tuple[FilePrompt, ...]:
        """
        Take in the next frame and return the prompts for it, in the file's order.

        :param next_stamp_ns: stamp of the frame after it, None if it is the last
        """
        if self._first_ns is None:
            self._first_ns = stamp_ns
            self._check_beginning(stamp_ns)
        due = tuple(each for each in self._pending if self._is_due(each, stamp_ns, next_stamp_ns))
        self._pending = [each for each in self._pending if each not in due]
        self._newest_ns = stamp_ns
        self._count += 1
        return due

    def _is_due(self, each: FilePrompt, stamp_ns: int, next_stamp_ns: int | None) -> bool:
        assert self._first_ns is not None
        if each.frame is not None:
            return each.frame == self._count
        if each.time_s is not None:
            since_ns = stamp_ns - self._first_ns
            return round(each.time_s * 1e9) <= since_ns + TIME_ROUNDING_NS
        assert each.stamp_ns is not None
        distance_ns = abs(each.stamp_ns - stamp_ns)
        is_nearest = next_stamp_ns is None or distance_ns <= abs(each.stamp_ns - next_stamp_ns)
        return is_nearest and distance_ns <= STAMP_TOLERANCE_NS

    def _check_beginning(self, first_ns: int) -> None:
        for each in self._prompts:
            if each.stamp_ns is not None and each.stamp_ns < first_ns - STAMP_TOLERANCE_NS:
                raise PromptError(
                    f'{each.where}: {_when(each)} is outside the source: its first '
                    f'frame has {format_stamp(first_ns)}'
                )

    def check_all_used(self) -> None:
        """
        Refuse, at the end of the recording, prompts that found no frame.

        :raises PromptError: naming file, line and value
        """
        for each in self._pending:
            raise PromptError(
                f'{each.where}: {_when(each)} is outside the source: it has frames '
                f'0 to {self._count - 1}, {self._range()}'
            )

    def _range(self) -> str:
        first_ns = self._first_ns or 0
        seconds = (self._newest_ns - first_ns) / 1e9
        return (
            f'{seconds:.3f} s, stamps {format_stamp(first_ns)} to {format_stamp(self._newest_ns)}'
        )

    @property
    def object_ids(self) -> frozenset[int]:
        """Return the objects that are prompted."""
        return frozenset(each.prompt.object_id for each in self._prompts)

    @property
    def pending_ids(self) -> frozenset[int]:
        """Return the objects with prompts still to come."""
        return frozenset(each.prompt.object_id for each in self._pending)


def _when(each: FilePrompt) -> str:
    if each.frame is not None:
        return f'frame {each.frame}'
    if each.time_s is not None:
        return f'time_s {each.time_s:g}'
    assert each.stamp_ns is not None
    return f"stamp '{format_stamp(each.stamp_ns)}'"
