# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a sink is, and all sinks of a recording at once, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, ExitStack, suppress
from dataclasses import dataclass
import enum
from pathlib import Path
import queue
import sqlite3
import threading
from typing import ClassVar, Protocol

from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.log import Level, Log, silent
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
    :param file_name: that the recording has it under, '' if it has none of its own
    """

    number: int
    recorded_ns: int
    tracked: TrackedFrame
    payload: bytes | None = None
    file_name: str = ''

    @property
    def name(self) -> str:
        """Return what files of the frame are called: as its picture is, or by number: 00042."""
        return Path(self.file_name).stem if self.file_name else f'{self.number:05d}'

    @property
    def picture_name(self) -> str:
        """Return the name that the frame's picture has, or would have, as a file."""
        if self.payload is None:
            return f'{self.name}.png'
        return self.file_name or f'{self.name}.jpg'


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
    All outputs of one recording: they appear together, when all are whole or have failed.

    One that cannot be written is said at once, and the others go on without it. One that refuses
    what is asked of it, as it is made, is no failure: then none of them is written.

    :param log: told of an output that failed
    :raises TrackerError: if one cannot be begun
    """

    def __init__(self, plans: Iterable[SinkPlan], log: Log = silent) -> None:
        self._plans = tuple(plans)
        self._log = log
        self._threads: list[_SinkThread] = []
        with ExitStack() as if_it_fails:
            if_it_fails.callback(self.abort)
            for plan in self._plans:
                plan.target.prepare()
                self._threads.append(_SinkThread(plan, log))
            if_it_fails.pop_all()

    @property
    def wanted(self) -> Wanted:
        """Return what any of the outputs reads."""
        return Wanted(
            any(plan.wanted.label_image for plan in self._plans),
            any(plan.wanted.masks for plan in self._plans),
        )

    @property
    def have_all_failed(self) -> bool:
        """Return whether there were outputs and none is left to write."""
        return bool(self._threads) and all(thread.failure for thread in self._threads)

    def write(self, result: Result) -> None:
        """
        Hand a frame to every output.

        :raises TrackerError: if an output refused what is asked of it
        """
        for thread in self._threads:
            thread.put(result)

    def finish(self) -> tuple[Failure, ...]:
        """
        Complete all outputs, then put them in their places.

        :returns: those that could not be written, or not be put in their places
        :raises TrackerError: if an output refused what is asked of it
        """
        for thread in self._threads:
            thread.finish()
        failures = {thread.plan: thread.failure for thread in self._threads if thread.failure}
        for put_in_place in (_publish, _tell_published):
            for plan in self._plans:
                if plan not in failures:
                    try:
                        put_in_place(plan)
                    except OutputError as error:
                        self._log(Level.ERROR, str(error))
                        failures[plan] = error
        return tuple(Failure(plan.target.path, error) for plan, error in failures.items())

    def abort(self) -> None:
        """Throw away everything that was not put in its place."""
        for thread in self._threads:
            thread.abort()
        for plan in self._plans:
            with suppress(OSError):
                plan.target.discard()


@dataclass(frozen=True)
class Failure:
    """
    An output that could not be written.

    :param path: where it was to lie
    """

    path: Path
    error: TrackerError


def _publish(plan: SinkPlan) -> None:
    try:
        plan.target.publish()
    except OutputError as error:
        # Hours of work may be in it.
        raise OutputError(f'{error}; it is whole as {plan.target.draft}') from error


def _tell_published(plan: SinkPlan) -> None:
    if plan.when_published is not None:
        plan.when_published()


class _SinkThread:
    """
    One output: made, written and finished in the same thread, as SQLite wants it.

    Making one imports libraries for up to a second: nobody waits for that.

    :param plan: with its place prepared
    :param log: told of a failure
    :ivar failure: why it could not be written, None while it can
    """

    def __init__(self, plan: SinkPlan, log: Log) -> None:
        self.plan = plan
        self.failure: TrackerError | None = None
        self._log = log
        self._refusal: TrackerError | None = None
        self._waiting: queue.Queue[Result | _End] = queue.Queue(_DEPTH)
        self._thread = threading.Thread(target=self._run, name='sink', daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """
        Hand over a result; waits while too many are not yet written.

        :raises TrackerError: if the output refuses to be made
        """
        self._raise_refusal()
        if self.failure is None:
            self._waiting.put(result)

    def finish(self) -> None:
        """
        Complete the draft.

        :raises TrackerError: if the output refuses to be made
        """
        self._end(_End.FINISH)
        self._raise_refusal()

    def abort(self) -> None:
        """Let go of files, whatever has been written."""
        self._end(_End.ABORT)

    def _end(self, end: _End) -> None:
        if self._thread.is_alive():
            self._waiting.put(end)
            self._thread.join()

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _run(self) -> None:
        item: Result | _End | None = None
        sink: Sink | None = None
        try:
            with _writing(self.plan):
                sink = self._made()
                while isinstance(item := self._waiting.get(), Result):
                    sink.write(item)
                if item is _End.FINISH:
                    sink.finish()
                    return
        except TrackerError as error:
            self._fail(error)
        if sink is not None:
            self._let_go(sink)
        # Nobody may wait for room for ever.
        while not isinstance(item, _End):
            item = self._waiting.get()

    def _made(self) -> Sink:
        try:
            return self.plan.make(self.plan.target.draft)
        except TrackerError as error:
            self._refusal = error
            raise

    def _fail(self, error: TrackerError) -> None:
        self.failure = error
        if self._refusal is None:
            self._log(Level.ERROR, str(error))

    def _let_go(self, sink: Sink) -> None:
        # A full disk fails once more when buffers are flushed: why is said already.
        with suppress(TrackerError), _writing(self.plan):
            sink.abort()
        # Others may need the room that it took.
        with suppress(OSError):
            self.plan.target.discard()


class _End(enum.Enum):
    """What to do when no result comes any more."""

    FINISH = enum.auto()
    ABORT = enum.auto()


@contextmanager
def _writing(plan: SinkPlan) -> Iterator[None]:
    """Say of whatever an output fails with which output it is: it must not end the others."""
    try:
        yield
    except TrackerError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f'output {plan.target.path} cannot be written: {error}') from error
    except Exception as error:
        # A fault of this program or of a library, which is looked for by its kind.
        reason = f'{type(error).__name__}: {error}'
        raise OutputError(f'output {plan.target.path} cannot be written: {reason}') from error
