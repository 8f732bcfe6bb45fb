# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Requests from any thread to the one of the worker: tickets, the queue and its deadlines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import enum
import threading
import time
from typing import Any, cast, Generic, TypeVar

from sam2_tracker.core.errors import TrackerError, WithdrawnError

MAX_UNANSWERED = 256

T = TypeVar('T')


class _Stage(enum.IntEnum):
    PENDING = enum.auto()
    COMMITTED = enum.auto()
    DONE = enum.auto()


class Ticket(Generic[T]):
    """
    The way to one request's answer; thread-safe.

    It takes effect or is withdrawn, never both: whichever comes first wins.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._stage = _Stage.PENDING
        self._value: T | None = None
        self._error: TrackerError | None = None
        self._callbacks: list[Callable[[Ticket[T]], None]] = []

    def done(self) -> bool:
        """Return whether the answer is there."""
        return self._finished.is_set()

    def result(self) -> T:
        """
        Return the answer.

        :raises TrackerError: the refusal, or WithdrawnError
        :raises RuntimeError: if it is not there yet
        """
        if not self.done():
            raise RuntimeError('the request has not been answered yet')
        if self._error is not None:
            raise self._error
        return cast('T', self._value)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the answer and return whether it is there."""
        return self._finished.wait(timeout_s)

    def add_done_callback(self, callback: Callable[[Ticket[T]], None]) -> None:
        """Call back once, at once if the answer is there, else from the thread that brings it."""
        with self._lock:
            if self._stage is not _Stage.DONE:
                self._callbacks.append(callback)
                return
        callback(self)

    def commit(self) -> bool:
        """Claim the right to take effect; False if the request was withdrawn before."""
        with self._lock:
            if self._stage is not _Stage.PENDING:
                return False
            self._stage = _Stage.COMMITTED
            return True

    def resolve(self, value: T) -> None:
        """Answer a request that took effect; one that was withdrawn stays so."""
        self._finish(value, None)

    def fail(self, error: TrackerError) -> None:
        """Refuse a request; one that was withdrawn stays so."""
        self._finish(None, error)

    def withdraw(self, reason: str) -> bool:
        """Take the request back, unless it took effect already; return whether it was."""
        return self._finish(None, WithdrawnError(reason), _Stage.PENDING)

    def _finish(
        self, value: T | None, error: TrackerError | None, last_stage: _Stage = _Stage.COMMITTED
    ) -> bool:
        with self._lock:
            if self._stage > last_stage:
                return False
            self._stage = _Stage.DONE
            self._value, self._error = value, error
            callbacks, self._callbacks = self._callbacks, []
            self._finished.set()
        for callback in callbacks:
            callback(self)
        return True


def answer(ticket: Ticket[T], work: Callable[[], T]) -> None:
    """
    Do a request's work and put what comes of it on its ticket.

    An error that is no refusal passes on, after the ticket was told.
    """
    with answering(ticket):
        ticket.resolve(work())


@contextmanager
def answering(ticket: Ticket[Any]) -> Iterator[None]:
    """See to it that a ticket is done after a block: by the block, or with what it raised."""
    try:
        yield
    except TrackerError as refusal:
        ticket.fail(refusal)
    finally:
        if not ticket.done():
            ticket.fail(
                TrackerError(
                    'the request failed with an unexpected error, '
                    'which is in the log; nothing was changed'
                )
            )


AnyTicket = Ticket[Any]
# What a request leaves to do, step by step; None if it is done or waits for something.
Steps = Iterator[None] | None


class RequestQueue:
    """
    Hands requests from any thread to one; thread-safe.

    :param timeout_s: a request that has not taken effect by then is withdrawn
    :param on_request: called when there is something to do
    """

    def __init__(self, timeout_s: float, on_request: Callable[[], None]) -> None:
        self._on_request = on_request
        self._deadlines = Deadlines(timeout_s)
        self._lock = threading.Lock()
        self._queue: deque[tuple[AnyTicket, Callable[[AnyTicket], Steps]]] = deque()
        self._under_way: tuple[AnyTicket, Iterator[None]] | None = None
        self._unanswered: set[AnyTicket] = set()
        self._closed_because = 'the tracker has not been started'

    def open(self) -> None:  # noqa: A003
        """Begin to take requests."""
        self._deadlines.start()
        with self._lock:
            self._closed_because = ''

    def close(self, reason: str) -> None:
        """Withdraw every request that has not taken effect and take no more."""
        with self._lock:
            self._closed_because = reason
            self._queue.clear()
            unanswered = list(self._unanswered)
        for ticket in unanswered:
            ticket.withdraw(reason)
        self._deadlines.stop()

    def submit(self, work: Callable[[Ticket[T]], Steps]) -> Ticket[T]:
        """
        Queue a request.

        :param work: is to answer its ticket, now or later; one that takes long returns its steps
        """
        ticket: Ticket[Any] = Ticket()
        with self._lock:
            refused_because = self._closed_because
            if len(self._unanswered) >= MAX_UNANSWERED:
                refused_because = f'{MAX_UNANSWERED} requests wait already; try again later'
            if not refused_because:
                self._unanswered.add(ticket)
                self._queue.append((ticket, work))
        if refused_because:
            ticket.fail(WithdrawnError(refused_because))
            return ticket
        ticket.add_done_callback(self._forget)
        self._deadlines.watch(ticket)
        self._on_request()
        return ticket

    def _forget(self, ticket: AnyTicket) -> None:
        with self._lock:
            self._unanswered.discard(ticket)

    def run_next(self) -> bool:
        """Do the oldest request's work, or its next step; return False if there is none."""
        if self._under_way is None:
            with self._lock:
                if not self._queue:
                    return False
                ticket, work = self._queue.popleft()
            if ticket.done():
                return True
            steps = work(ticket)
            if steps is None:
                return True
            self._under_way = ticket, steps
        self._step(*self._under_way)
        return True

    def _step(self, ticket: AnyTicket, steps: Iterator[None]) -> None:
        # One that was withdrawn meanwhile is not worked at any more.
        has_more = False
        try:
            has_more = not ticket.done() and next(steps, steps) is not steps
        finally:
            if not has_more:
                self._under_way = None


class Deadlines:
    """
    A small thread that withdraws tickets when their time is up.

    :param timeout_s: how long a ticket has
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        # In the order of their times, since all have the same.
        self._due: deque[tuple[float, AnyTicket]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to watch."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='deadlines', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; tickets that are open stay so."""
        with self._changed:
            self._stopping = True
            self._due.clear()
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None

    def watch(self, ticket: AnyTicket) -> None:
        """Withdraw a ticket when its time is up, unless it is done by then."""
        with self._changed:
            self._due.append((time.monotonic() + self._timeout_s, ticket))
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._is_due():
                    # Not wait_for: how long to wait changes with every new ticket.
                    self._changed.wait(self._wait_s())
                if self._stopping:
                    return
                overdue = self._take_overdue()
            for ticket in overdue:
                ticket.withdraw(
                    f'the request took longer than {self._timeout_s:g} s '
                    '(prompt.timeout_s) and was withdrawn: nothing was changed'
                )

    def _is_due(self) -> bool:
        self._forget_done()
        return self._stopping or (bool(self._due) and self._due[0][0] <= time.monotonic())

    def _wait_s(self) -> float | None:
        self._forget_done()
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _forget_done(self) -> None:
        while self._due and self._due[0][1].done():
            self._due.popleft()

    def _take_overdue(self) -> list[AnyTicket]:
        overdue = []
        while self._due and self._due[0][0] <= time.monotonic():
            overdue.append(self._due.popleft()[1])
        return overdue
