# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing for service callbacks, one after the other, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.worker.prompt_desk import answer
from sam2_tracker.core.worker.requests import Ticket

T = TypeVar('T')


class FileThread:
    """Does what waits for a disk, so that neither callbacks nor the worker do; thread-safe."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix='files')

    def submit(self, work: Callable[[], T]) -> Ticket[T]:
        """Have something done; its result or refusal comes on the ticket."""
        ticket: Ticket[T] = Ticket()
        self._pool.submit(answer, ticket, work).add_done_callback(self._report)
        return ticket

    def _report(self, done: Future) -> None:
        error = done.exception()
        if error is not None:
            self._log(Level.ERROR, f'unexpected {type(error).__name__} with a file: {error}')
