# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Let service callbacks await the worker's tickets without holding a thread."""

from __future__ import annotations

import threading
import time
from typing import TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from sam2_tracker.core.worker.requests import Ticket

T = TypeVar('T')

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


def _nothing() -> None:
    """Only the wake-up matters."""
