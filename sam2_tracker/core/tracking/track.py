# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""One object as it is tracked and shown, and the roster of all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts.validation import known_objects
from sam2_tracker.core.protocols import MaskOutput, MaskSummary, Memory
from sam2_tracker.core.tracking.given_prompts import GivenPrompt, pruned, Redoing
from sam2_tracker.core.tracking.visibility import (
    next_visibility,
    Sighting,
    Visibility,
    VisibilityHistory,
)
from sam2_tracker.core.types import BoolArray, IdAllocator, ObjectState, TrackedObject


@dataclass(eq=False)
class Replay:
    """
    A prompt on a past frame on its way to the live one.

    :param base: the memory with all prompts so far and nothing replayed: where a further prompt
        begins, so that its result does not depend on how far the replay has come
    :param base_history: the states that go with it
    :param memory: what is being replayed
    :param start: the oldest frame prompted
    :param position: the newest frame replayed
    :param shown: the object there
    :param redoing: what is done again, where prompts were taken back: further prompts then wait
        for their turn, and `base` only answers what they look like
    :param agenda: prompts that are still to be given; those of a group in one go
    """

    base: Memory
    base_history: VisibilityHistory
    memory: Memory
    history: VisibilityHistory
    start: int
    position: int
    shown: TrackedObject
    redoing: Redoing | None = None
    agenda: deque[tuple[GivenPrompt, ...]] = field(default_factory=deque)

    @property
    def due(self) -> tuple[GivenPrompt, ...]:
        """Return the prompts whose turn has come: all their frames were tracked up to now."""
        if not self.agenda:
            return ()
        group = self.agenda[0]
        is_due = self.position >= max(each.place for each in group)
        # Without a prompt there is nothing to track by.
        return group if is_due or not self.memory.cond_indices else ()


@dataclass(eq=False)
class Track:
    """
    One object: what is remembered of it, and what is shown of it.

    :param memory: None while there is nothing to track: a new object that catches up, or one
        that was lost with its stream
    :param history: its states within the look-back
    :param shown: its state on the newest processed frame
    :param replay: a prompt that catches up, None otherwise; `memory` goes on meanwhile
    :param pictures: for frames on which another picture stands in, that picture's stamp
    :param carried_mask_hw: its mask, to be prompted with on the next frame
    :param given: its prompts within the look-back, oldest first
    :param is_fresh: nothing was tracked since the newest of them
    """

    shown: TrackedObject
    memory: Memory | None = None
    history: VisibilityHistory = field(default_factory=VisibilityHistory)
    replay: Replay | None = None
    pictures: dict[int, int] = field(default_factory=dict)
    carried_mask_hw: BoolArray | None = None
    given: tuple[GivenPrompt, ...] = ()
    is_fresh: bool = False

    @property
    def id(self) -> int:  # noqa: A003
        """Return the object's id."""
        return self.shown.id

    @property
    def newest_memory(self) -> Memory | None:
        """Return the memory that a further prompt begins with, None if there is none."""
        return self.replay.base if self.replay is not None else self.memory

    @property
    def newest_history(self) -> VisibilityHistory:
        """Return the states that go with `newest_memory`."""
        return self.replay.base_history if self.replay is not None else self.history

    def output(self, index: int) -> MaskOutput | None:
        """Return the raw result on a processed frame, None if it is not known (any more)."""
        return None if self.memory is None else self.memory.output(index)

    def show(self, seen: Sighting, lost_after_s: float) -> None:
        """Take the result on the newest frame as what is shown."""
        visibility = state_on(self.history, seen, lost_after_s)
        if self.replay is not None:
            self.replay.base_history.record(seen.index, visibility)
        self.shown = shown_object(
            self.id, self.shown.label, seen.summary, visibility,
            catching_up=self.replay is not None
        )

    def rename(self, label: str) -> None:
        """Give it a display name."""
        self.shown = replace(self.shown, label=label)

    def remember(self, given: GivenPrompt | None, in_one_go: bool) -> GivenPrompt:
        """Note a prompt that was given, and the picture that stands in for its frame."""
        assert given is not None
        if given.picture is not None:
            self.pictures[given.place] = given.picture.stamp_ns
        noted = replace(given, in_one_go=in_one_go)
        self.given += (noted,)
        return noted

    def settle(self) -> None:
        """Let a replay that has reached the newest frame take over."""
        assert self.replay is not None
        replay, self.replay = self.replay, None
        self.memory, self.history = replay.memory, replay.history
        self.shown = replace(replay.shown, label=self.shown.label, catching_up=False)

    def lose(self) -> None:
        """Forget everything but the name: listed as LOST until removed or prompted again."""
        self.memory, self.replay, self.carried_mask_hw = None, None, None
        self.history = VisibilityHistory()
        self.forget_prompts()
        self.shown = nothing_shown(self.id, self.shown.label, ObjectState.LOST)

    def forget_prompts(self) -> None:
        """Let none be taken back any more: their frames are gone, or did not take them."""
        self.pictures.clear()
        self.given, self.is_fresh = (), False

    def prune(self, newest_index: int, oldest_index: int) -> None:
        """Forget what neither tracking nor a prompt within the look-back can read."""
        look_back = newest_index - oldest_index
        if self.memory is not None:
            self.memory.prune(newest_index, look_back)
        if self.replay is not None:
            oldest_needed = min(oldest_index, self.replay.start)
            self.replay.base.prune(newest_index, newest_index - oldest_needed)
        else:
            self.given = pruned(self.given, oldest_index)
        self.history.prune(oldest_index)
        for index in [index for index in self.pictures if index < oldest_index]:
            del self.pictures[index]

    @property
    def nbytes(self) -> int:
        """Return the bytes of all memories; tensors that a fork shares count twice."""
        memories = [self.memory]
        if self.replay is not None:
            memories += [self.replay.base, self.replay.memory]
        return sum(memory.nbytes for memory in memories if memory is not None)


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


def shown_object(
    object_id: int,
    label: str,
    summary: MaskSummary,
    visibility: Visibility,
    catching_up: bool = False,
) -> TrackedObject:
    """Return an object as it is on a frame with a result; one that is not visible has no mask."""
    if visibility.state is not ObjectState.VISIBLE:
        return TrackedObject(
            object_id, label, visibility.state, summary.score, catching_up=catching_up)
    return TrackedObject(
        object_id,
        label,
        visibility.state,
        summary.score,
        summary.box,
        summary.area_px,
        summary.centroid_xy,
        catching_up,
    )


def nothing_shown(
    object_id: int, label: str, state: ObjectState, catching_up: bool = False
) -> TrackedObject:
    """Return an object on a frame without a result of it."""
    return TrackedObject(object_id, label, state, 0.0, catching_up=catching_up)


def state_on(
    history: VisibilityHistory, seen: Sighting, lost_after_s: float
) -> Visibility:
    """Return, and remember, an object's state on a frame."""
    visibility = next_visibility(
        history.before(seen.index), seen.visible, seen.stamp_ns, lost_after_s)
    history.record(seen.index, visibility)
    return visibility
