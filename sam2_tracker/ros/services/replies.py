# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""How service callbacks reply: await tickets without holding a thread, say yes or no."""

from __future__ import annotations

from collections.abc import Callable, Generator
import threading
import time
from typing import Any, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sam2_tracker.core.errors import ModelError, StorageError, TrackerError
from sam2_tracker.core.worker.requests import Ticket

T = TypeVar('T')
Response = TypeVar('Response')

PULSE_PERIOD_S = 0.05


class Replies:
    """
    Awaits tickets on the node's executor.

    A callback that awaits is resumed when its ticket is done, by newer versions of rclpy once, by
    older ones whenever the executor wakes. Either misses what comes while the callback is just
    being suspended: while any reply is open, a timer wakes the executor and resumes again.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: set[_Answer] = set()
        self._changed = threading.Condition()
        self._pulse = node.create_timer(
            PULSE_PERIOD_S, self._resume, ReentrantCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._pulse.cancel()

    async def outcome(self, ticket: Ticket[T]) -> T:
        """
        Wait for a ticket and return its result.

        :raises TrackerError: the request was refused or withdrawn
        """
        answer = _Answer()
        self._begin(answer)
        try:
            ticket.add_done_callback(lambda _: self._wake(answer))
            await answer
            return ticket.result()
        finally:
            self._end(answer)

    def drain(self, timeout_s: float) -> bool:
        """Wait until every open reply was given, at most so long."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._open, max(0.0, deadline - time.monotonic()))

    def _wake(self, answer: _Answer) -> None:
        answer.set_result(None)
        executor = self._node.executor
        if executor is not None:
            executor.wake()

    def _begin(self, answer: _Answer) -> None:
        with self._changed:
            self._open.add(answer)
            if len(self._open) == 1:
                self._pulse.reset()

    def _end(self, answer: _Answer) -> None:
        with self._changed:
            self._open.remove(answer)
            if not self._open:
                self._pulse.cancel()
            self._changed.notify_all()

    def _resume(self) -> None:
        with self._changed:
            waiting = [answer for answer in self._open if answer.done()]
        for answer in waiting:
            answer.resume()


class _Answer(Future):
    """A future whose awaiting task can be resumed any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self._resumptions: list[Callable[[Future], None]] = []

    def __await__(self) -> Generator[Future, None, None]:
        while not self.done():
            yield self

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        """Note how rclpy resumes the task, too."""
        self._resumptions.append(callback)
        super().add_done_callback(callback)

    def resume(self) -> None:
        """Resume the task unless it goes on already."""
        for callback in tuple(self._resumptions):
            callback(self)


def done(response: Response, message: str = '') -> Response:
    """Make a response say that all was done."""
    response.success = True
    response.message = message
    return response


def refused(logger: Any, name: str, error: TrackerError, response: Response,
            faults: tuple[type[TrackerError], ...] = (ModelError, StorageError)) -> Response:
    """
    Make a response say why nothing was done, and log it.

    :param name: of the service
    :param faults: errors that are not the caller's doing
    """
    if isinstance(error, faults):
        logger.error(f'{name} failed: {error}')
    else:
        logger.warning(f'{name} refused: {error}')
    response.success = False
    response.message = str(error)
    return response
