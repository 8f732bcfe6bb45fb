# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Being asked to stop, by SIGINT or SIGTERM; free of ROS, which takes seconds to import."""

from __future__ import annotations

import math
import queue
import signal
import time

# A signal that another thread takes does not wake the one that waits: it has to look by itself.
LOOK_PERIOD_S = 0.2


class StopRequest:
    """
    What SIGINT and SIGTERM set from construction on; make it in the main thread.

    A SimpleQueue is safe where a handler interrupts a wait; an Event's lock is not.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._requests.put(number)

    def is_made(self) -> bool:
        """Tell whether the process was asked to stop."""
        return not self._requests.empty()

    def wait(self, timeout_s: float = math.inf) -> bool:
        """
        Wait until the process is asked to stop, or was already.

        :returns: False if it was not within the timeout
        """
        end_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, end_s - time.monotonic())
            try:
                number = self._requests.get(timeout=min(left_s, LOOK_PERIOD_S))
            except queue.Empty:
                if left_s <= LOOK_PERIOD_S:
                    return False
            else:
                # Put back, so that it stays known.
                self._requests.put(number)
                return True
