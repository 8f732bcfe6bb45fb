# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a sink is, and all sinks of a recording at once, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
import enum
from pathlib import Path
import queue
import sqlite3
import threading
from typing import ClassVar, Protocol

from sam2_tracker.core.types import TrackedFrame, Wanted
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.sinks.staging import Target

# Results that wait for each output.
_DEPTH = 4


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

    @property
    def picture_name(self) -> str:
        """Return the name that the frame's picture has, or would have, as a file."""
        return f'{self.name}.{"png" if self.payload is None else "jpg"}'


class Sink(Protocol):
    """
    Takes the results of one recording in their order.

    Its class says what it reads of a result, `WANTED`, and with which suffixes it puts files into
    its folder, `SUFFIXES`: none for a single file.
    """

    WANTED: ClassVar[Wanted]
    SUFFIXES: ClassVar[tuple[str, ...]]

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
    :param when_published: called when all outputs of the recording are in their places
    """

    target: Target
    make: Callable[[Path], Sink]
    wanted: Wanted
    when_published: Callable[[], None] | None = None


class SinkSet:
    """
    All outputs of one recording: they appear together, when all are whole.

    :raises TrackerError: if one cannot be begun
    """

    def __init__(self, plans: Iterable[SinkPlan]) -> None:
        self._plans = tuple(plans)
        self._threads: list[_SinkThread] = []
        try:
            for plan in self._plans:
                plan.target.prepare()
                self._threads.append(_SinkThread(plan))
        except BaseException:
            self.abort()
            raise

    @property
    def wanted(self) -> Wanted:
        """Return what any of the outputs reads."""
        return Wanted(
            any(plan.wanted.label_image for plan in self._plans),
            any(plan.wanted.masks for plan in self._plans),
        )

    def write(self, result: Result) -> None:
        """
        Hand a frame to every output.

        :raises OutputError: if an earlier one could not be written, naming the output
        """
        for thread in self._threads:
            thread.put(result)

    def finish(self) -> None:
        """
        Complete all outputs, then put them in their places.

        :raises OutputError: if one cannot be completed, naming it
        """
        for thread in self._threads:
            thread.finish()
        for plan in self._plans:
            plan.target.publish()
        for plan in self._plans:
            if plan.when_published is not None:
                plan.when_published()

    def abort(self) -> None:
        """Throw away everything that was not put in its place."""
        for thread in self._threads:
            thread.abort()
        for plan in self._plans:
            plan.target.discard()


class _SinkThread:
    """
    One output: made, written and finished in the same thread, as SQLite wants it.

    Making one imports libraries for up to a second: nobody waits for that.

    :param plan: with its place prepared
    """

    def __init__(self, plan: SinkPlan) -> None:
        self._plan = plan
        self._waiting: queue.Queue[Result | _End] = queue.Queue(_DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name='sink', daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """
        Hand over a result; waits while too many are not yet written.

        :raises TrackerError: if the output could not be made, or an earlier result not written
        """
        self._raise_error()
        self._waiting.put(result)

    def finish(self) -> None:
        """
        Complete the draft.

        :raises TrackerError: if that is impossible
        """
        self._end(_End.FINISH)
        self._raise_error()

    def abort(self) -> None:
        """Let go of files, whatever has been written."""
        self._end(_End.ABORT)

    def _end(self, end: _End) -> None:
        if self._thread.is_alive():
            self._waiting.put(end)
            self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        sink: Sink | None = None
        item: Result | _End | None = None
        try:
            with _writing(self._plan):
                sink = self._plan.make(self._plan.target.draft)
                while isinstance(item := self._waiting.get(), Result):
                    sink.write(item)
                if item is _End.FINISH:
                    sink.finish()
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised again by the other thread
            self._error = error
        if sink is not None:
            self._let_go(sink)
        # Nobody may wait for room for ever.
        while not isinstance(item, _End):
            item = self._waiting.get()

    @staticmethod
    def _let_go(sink: Sink) -> None:
        # A full disk fails once more when buffers are flushed.
        with suppress(OSError, sqlite3.Error):
            sink.abort()


class _End(enum.Enum):
    """What to do when no result comes any more."""

    FINISH = enum.auto()
    ABORT = enum.auto()


@contextmanager
def _writing(plan: SinkPlan) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f'output {plan.target.path} cannot be written: {error}') from error
