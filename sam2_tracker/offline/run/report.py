# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What became of a recording, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sam2_tracker.core.types import ObjectState
from sam2_tracker.offline.sinks.sink import Result


@dataclass(frozen=True)
class SourceReport:
    """
    What became of one recording.

    :param frames: in all outputs
    :param computed: those of them that an earlier, interrupted run had not done
    :param visible: frames on which each object was visible, by 'id label'
    """

    name: str
    frames: int
    computed: int
    seconds: float
    visible: tuple[tuple[str, int], ...]

    @property
    def fps(self) -> float:
        """Return frames computed a second."""
        return self.computed / self.seconds if self.seconds else 0.0


class Counts:
    """Frames and objects seen so far."""

    def __init__(self) -> None:
        self._frames = 0
        self._visible: Counter[int] = Counter()
        self._labels: dict[int, str] = {}

    def add(self, result: Result) -> None:
        """Take in a result."""
        self._frames += 1
        for item in result.tracked.objects:
            self._labels[item.id] = item.label
            self._visible[item.id] += item.state is ObjectState.VISIBLE

    def report(self, name: str, replayed: int, seconds: float) -> SourceReport:
        """
        Return what came of a recording.

        :param replayed: frames that an earlier run had done
        """
        visible = tuple(
            (f'{object_id} {self._labels[object_id]}'.strip(), self._visible[object_id])
            for object_id in sorted(self._labels)
        )
        return SourceReport(name, self._frames, self._frames - replayed, seconds, visible)


def counted(number: int, noun: str) -> str:
    """Say how many there are of something."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'
