# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Reading and writing for service callbacks, one after the other, in a thread of its own.

Apart: thread, so that what its two ends share is seen at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
import threading
from typing import TypeVar

from rclpy.impl.rcutils_logger import RcutilsLogger
from sam2_tracker.core.text import printable
from sam2_tracker.core.worker.requests import answer, Ticket

T = TypeVar('T')


class FileThread:
    """Does what waits for a disk, so that neither callbacks nor the worker do; thread-safe."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix='files')

    def read(self, work: Callable[[], T], timeout_s: float) -> Ticket[T]:
        """Have something read; withdrawn if that takes too long, whatever comes of it."""
        ticket = self._ticket(timeout_s)
        self._submit(lambda: None if ticket.done() else answer(ticket, work))
        return ticket

    def write(self, work: Callable[[], T], timeout_s: float) -> Ticket[T]:
        """Have something written; withdrawn if it has not begun in time."""
        ticket = self._ticket(timeout_s)
        self._submit(lambda: answer(ticket, work) if ticket.commit() else None)
        return ticket

    def _ticket(self, timeout_s: float) -> Ticket[T]:
        ticket: Ticket[T] = Ticket()
        timer = threading.Timer(timeout_s, ticket.withdraw, [
            f'the disk took longer than {timeout_s:g} s (prompt.timeout_s) and the request was '
            'withdrawn: nothing was changed'])
        timer.daemon = True
        ticket.add_done_callback(lambda _: timer.cancel())
        timer.start()
        return ticket

    def _submit(self, work: Callable[[], None]) -> None:
        self._pool.submit(work).add_done_callback(self._report)

    def _report(self, done: Future) -> None:
        error = done.exception()
        if error is not None:
            self._logger.error(
                f'unexpected {type(error).__name__} with a file: {printable(str(error))}')
