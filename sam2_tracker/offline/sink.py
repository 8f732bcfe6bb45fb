# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What every output is to the rest of the offline command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sam2_tracker.core.types import TrackedFrame, Wanted
from sam2_tracker.offline.sinks.staging import Target


@dataclass(frozen=True, eq=False)
class Result:
    """
    What is known of one frame of a recording, to be written.

    :param number: of the frame, from 0
    :param recorded_ns: a bag's own time of the image
    :param tracked: with masks and label image, if a sink wants them
    :param payload: the JPEG as the recording has it, if it is one
    """

    number: int
    recorded_ns: int
    tracked: TrackedFrame
    payload: bytes | None = None

    @property
    def name(self) -> str:
        """Return the frame's number as frame files have it: 00042."""
        return f'{self.number:05d}'


class Sink(Protocol):
    """Takes the results of one recording in their order."""

    def write(self, result: Result) -> None:
        """Add one frame."""

    def finish(self) -> None:
        """Write what is left: the draft is whole then."""

    def abort(self) -> None:
        """Let go of files; the draft is thrown away."""


@dataclass(frozen=True)
class SinkPlan:
    """
    One output that was asked for.

    :param make: opens the sink on the draft's path
    :param wanted: what it reads of a result
    """

    target: Target
    make: Callable[[Path], Sink]
    wanted: Wanted
