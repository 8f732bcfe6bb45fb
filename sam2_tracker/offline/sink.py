# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What every output is to the rest of the offline command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
import sqlite3
from typing import Protocol

from sam2_tracker.core.types import TrackedFrame, Wanted
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.staging import Target


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


class SinkSet:
    """
    All outputs of one recording: they appear together, when all are whole.

    :raises OutputError: if a place cannot be written to
    """

    def __init__(self, plans: Iterable[SinkPlan]) -> None:
        self._plans = tuple(plans)
        self._sinks: list[Sink] = []
        try:
            for plan in self._plans:
                draft = plan.target.prepare()
                with _writing(plan):
                    self._sinks.append(plan.make(draft))
        except BaseException:
            self.abort()
            raise

    @property
    def wanted(self) -> Wanted:
        """Return what any of the sinks reads."""
        return Wanted(
            any(plan.wanted.label_image for plan in self._plans),
            any(plan.wanted.masks for plan in self._plans),
        )

    def write(self, result: Result) -> None:
        """
        Add one frame to every output.

        :raises OutputError: if one cannot be written, naming it
        """
        for plan, sink in zip(self._plans, self._sinks, strict=True):
            with _writing(plan):
                sink.write(result)

    def finish(self) -> None:
        """
        Complete all outputs, then put them in their places.

        :raises OutputError: if one cannot be completed, naming it
        """
        for plan, sink in zip(self._plans, self._sinks, strict=True):
            with _writing(plan):
                sink.finish()
        for plan in self._plans:
            plan.target.publish()

    def abort(self) -> None:
        """Throw away everything that was not put in its place."""
        for sink in self._sinks:
            # A full disk fails once more when buffers are flushed.
            with suppress(OSError, sqlite3.Error):
                sink.abort()
        for plan in self._plans:
            plan.target.discard()


@contextmanager
def _writing(plan: SinkPlan) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f'output {plan.target.path} cannot be written: {error}') from error
