# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The prompts made on this console, and what has to be sent to take the last one back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from sam2_tracker.core.types import Prompt
from sam2_tracker.web.tracker_client import PromptCall

# What is older is not taken back one by one.
MOST_PROMPTS = 500


@dataclass(frozen=True, eq=False)
class Made:
    """
    A prompt that took effect.

    :param prompt: with the id that the object has
    :param is_first: whether it made the object
    """

    stamp_ns: int
    prompt: Prompt
    is_first: bool

    @property
    def object_id(self) -> int:
        """Return the object's id."""
        return self.prompt.object_id

    @property
    def what(self) -> str:
        """Say what it was."""
        if self.prompt.box_xyxy is not None:
            return 'box'
        return 'click' if self.prompt.point_labels.all() else 'negative click'


@dataclass(frozen=True, eq=False)
class Undo:
    """
    How to take a prompt back.

    :param remove: whether the object goes, since the prompt made it
    :param calls: what is sent otherwise, in this order
    """

    made: Made
    remove: bool
    calls: tuple[PromptCall, ...] = ()


class History:
    """The prompts made, oldest first."""

    def __init__(self) -> None:
        self._made: list[Made] = []

    @property
    def made(self) -> tuple[Made, ...]:
        """Return the prompts that were not taken back, oldest first."""
        return tuple(self._made)

    @property
    def last(self) -> Made | None:
        """Return the last prompt, None if there is none."""
        return self._made[-1] if self._made else None

    def add(self, made: Made) -> None:
        """Note a prompt that took effect."""
        self._made.append(made)
        del self._made[:-MOST_PROMPTS]

    def drop(self, object_ids: Collection[int]) -> None:
        """Forget the prompts of objects that are gone."""
        self._made = [each for each in self._made if each.object_id not in object_ids]

    def clear(self) -> None:
        """Forget all of them."""
        self._made.clear()

    def undo(self) -> Undo | None:
        """
        Say how to take the last prompt back; None if there is none.

        The tracker drops all of an object's prompts on the frame at once. So the others there are
        sent again, one by one as they came: each goes on from the mask that the one before left.
        """
        if not self._made:
            return None
        *before, last = self._made
        of_object = [each for each in before if each.object_id == last.object_id]
        if last.is_first and not of_object:
            return Undo(last, remove=True)
        here = [each for each in of_object if each.stamp_ns == last.stamp_ns]
        calls = tuple(PromptCall(each.prompt, each.stamp_ns) for each in here)
        if calls and self._is_its_only_frame(here, of_object):
            # There the tracker would be left without any prompt in between, which it refuses.
            return Undo(last, False, (replace(calls[0], clear_previous=True), *calls[1:]))
        nothing = PromptCall(
            Prompt(object_id=last.object_id), last.stamp_ns, clear_previous=True)
        return Undo(last, False, (nothing, *calls))

    @staticmethod
    def _is_its_only_frame(here: list[Made], of_object: list[Made]) -> bool:
        return len(here) == len(of_object) and here[0].is_first

    def undone(self, undo: Undo) -> None:
        """Forget the prompt that was taken back."""
        self._made = [each for each in self._made if each is not undo.made]
