# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""How service callbacks reply: await tickets without holding a thread, say yes or no."""

from __future__ import annotations

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

    A callback that awaits is looked at again whenever the executor wakes. A wake-up that comes
    while it is just being looked at would be missed: while any reply is open, a timer pulses.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open = 0
        self._changed = threading.Condition()
        self._pulse = node.create_timer(
            PULSE_PERIOD_S, _nothing, ReentrantCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._pulse.cancel()

    async def outcome(self, ticket: Ticket[T]) -> T:
        """
        Wait for a ticket and return its result.

        :raises TrackerError: the request was refused or withdrawn
        """
        answered: Future = Future()
        self._count(1)
        try:
            ticket.add_done_callback(lambda _: self._wake(answered))
            await answered
            return ticket.result()
        finally:
            self._count(-1)

    def drain(self, timeout_s: float) -> bool:
        """Wait until every open reply was given, at most so long."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._open, max(0.0, deadline - time.monotonic()))

    def _wake(self, answered: Future) -> None:
        answered.set_result(None)
        executor = self._node.executor
        if executor is not None:
            executor.wake()

    def _count(self, change: int) -> None:
        with self._changed:
            self._open += change
            if not self._open:
                self._pulse.cancel()
            elif self._open == change:
                self._pulse.reset()
            self._changed.notify_all()


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


def _nothing() -> None:
    """Only the wake-up matters."""
