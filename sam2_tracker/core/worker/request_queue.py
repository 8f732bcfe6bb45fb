# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Requests on their way to the worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import threading
from typing import Any, TypeVar

from sam2_tracker.core.errors import WithdrawnError
from sam2_tracker.core.worker.deadlines import Deadlines
from sam2_tracker.core.worker.requests import AnyTicket, Ticket

T = TypeVar('T')

MAX_UNANSWERED = 256


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
        self._queue: deque[tuple[AnyTicket, Callable[[AnyTicket], None]]] = deque()
        self._unanswered: set[AnyTicket] = set()
        self._closed_because = 'the tracker has not been started'

    def open(self) -> None:
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

    def submit(self, work: Callable[[Ticket[T]], None]) -> Ticket[T]:
        """Queue a request; `work` is to answer its ticket, now or later."""
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
        """Do the oldest request's work; return False if there is none."""
        with self._lock:
            if not self._queue:
                return False
            ticket, work = self._queue.popleft()
        if not ticket.done():
            work(ticket)
        return True
