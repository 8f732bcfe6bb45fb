# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Withdraws requests that took too long, whatever the worker is busy with."""

from __future__ import annotations

from collections import deque
import threading
import time

from sam2_tracker.core.worker.requests import AnyTicket


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
