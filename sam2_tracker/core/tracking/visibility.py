# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Visible, occluded, lost: an object's state from frame to frame, and what is logged of it."""

from __future__ import annotations

from dataclasses import dataclass

from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.protocols import MaskSummary
from sam2_tracker.core.types import ObjectState, TrackedObject


@dataclass(frozen=True)
class Visibility:
    """
    An object's state on one frame.

    :param hidden_since_ns: stamp of the first frame on which it was not visible any more, None
        while it is
    """

    state: ObjectState
    hidden_since_ns: int | None = None


@dataclass(frozen=True)
class Sighting:
    """
    What a frame shows of an object.

    :param believed: what is seen is taken for the object
    """

    index: int
    stamp_ns: int
    summary: MaskSummary
    believed: bool = True

    @property
    def visible(self) -> bool:
        """Return whether the frame has a mask that is the object."""
        return self.summary.visible and self.believed


def next_visibility(
    before: Visibility | None, visible: bool, stamp_ns: int, lost_after_s: float
) -> Visibility:
    """
    Return an object's state on a frame.

    :param before: its state on the frame before, None on its first
    :param visible: the frame has a mask of it
    :param stamp_ns: the frame's stamp
    :param lost_after_s: not visible for longer than this means lost
    """
    if visible:
        return Visibility(ObjectState.VISIBLE)
    hidden_since_ns = stamp_ns
    if before is not None and before.hidden_since_ns is not None:
        hidden_since_ns = before.hidden_since_ns
    lost = stamp_ns - hidden_since_ns > round(lost_after_s * 1e9)
    return Visibility(ObjectState.LOST if lost else ObjectState.OCCLUDED, hidden_since_ns)


class VisibilityHistory:
    """The states of one object on the frames that a refinement may go back to."""

    def __init__(self, by_index: dict[int, Visibility] | None = None) -> None:
        self._by_index = dict(by_index or {})

    def before(self, index: int) -> Visibility | None:
        """Return the state on the newest frame before this one, None if there is none."""
        earlier = [known for known in self._by_index if known < index]
        return self._by_index[max(earlier)] if earlier else None

    def record(self, index: int, visibility: Visibility) -> None:
        """Remember the state on a frame."""
        self._by_index[index] = visibility

    def fork(self) -> VisibilityHistory:
        """Return an independent copy."""
        return VisibilityHistory(self._by_index)

    def rewind(self, index: int) -> None:
        """Forget the frames after one."""
        for later in [known for known in self._by_index if known > index]:
            del self._by_index[later]

    def prune(self, oldest_index: int) -> None:
        """Forget the frames before the one that precedes the oldest refinable."""
        for index in [index for index in self._by_index if index < oldest_index - 1]:
            del self._by_index[index]


def object_name(shown: TrackedObject) -> str:
    """Return how messages call an object."""
    return f'object {shown.id} ({shown.label})' if shown.label else f'object {shown.id}'


def announce(shown: TrackedObject, before: ObjectState, lost_after_s: float, log: Log) -> None:
    """
    Log that an object was lost or found again, if it was.

    :param before: its state on the frame before
    """
    if shown.state is ObjectState.LOST and before is not ObjectState.LOST:
        log(Level.WARN, f'{object_name(shown)} is lost: not seen for more than {lost_after_s:g} s')
    elif before is ObjectState.LOST and shown.state is ObjectState.VISIBLE:
        log(Level.INFO, f'{object_name(shown)} is found again')
