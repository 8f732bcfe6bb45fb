# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Run the node's callbacks: pictures at once, and nothing waits for what takes long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import threading
import time
import traceback
from typing import Any

from rclpy.context import Context
from rclpy.executors import (
    Executor,
    ExternalShutdownException,
    ShutdownException,
    TimeoutException,
)
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription

# One transition, two for everything that only awaits, and pictures while they take long.
N_THREADS = 4
# Beyond this a subscription's callback holds others up: a slow disk, very large pictures.
QUICK_S = 0.05
# A callback that fails may fail each time, and so may the executor itself.
THROTTLE_S = 1.0
PAUSE_S = 0.01


class InlineExecutor(Executor):
    """
    Runs subscriptions' callbacks in the thread that spins, and all else in a pool.

    rclpy's MultiThreadedExecutor gives a picture to a thread of its pool and itself goes on with
    the interpreter that this thread needs: 2 ms a picture, and 4 ms for one in twenty. Callbacks
    of subscriptions go to the pool too after one that took long, until one is quick again.

    :param on_error: takes what a callback raised, in any thread
    """

    def __init__(self, on_error: Callable[[BaseException], None],
                 context: Context | None = None) -> None:
        super().__init__(context=context)
        self._on_error = on_error
        self._pool = ThreadPoolExecutor(N_THREADS, thread_name_prefix='callback')
        self._are_quick = True

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for a callback that is ready, and run it or have it run."""
        try:
            callback, entity, _ = self.wait_for_ready_callbacks(timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        if not isinstance(entity, Subscription):
            self._pool.submit(self._run, callback)
        elif self._are_quick:
            self._run_timed(callback)
        else:
            self._pool.submit(self._run_timed, callback)

    def _run_timed(self, callback: Any) -> None:
        begun_s = time.monotonic()
        self._run(callback)
        self._are_quick = time.monotonic() - begun_s < QUICK_S

    def _run(self, callback: Any) -> None:
        callback()
        # One that awaits something comes again, and is not done until then.
        error = callback.exception()
        if error is not None:
            self._on_error(error)

    def shutdown(self, timeout_sec: float | None = None, **options: Any) -> bool:
        """Stop; return whether all callbacks ended in time."""
        ended: bool = super().shutdown(timeout_sec, **options)
        self._pool.shutdown(wait=False)
        return ended


class Spinner:
    """Runs a node's callbacks from construction to `stop`, whatever they raise."""

    def __init__(self, node: Node) -> None:
        self._logger = node.get_logger()
        self._executor = InlineExecutor(self._on_error, context=node.context)
        self._executor.add_node(node)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._spin, name='spin', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; callbacks under way end first."""
        self._stopping.set()
        self._executor.shutdown(1.0)
        self._thread.join(1.0)

    def _spin(self) -> None:
        while not self._stopping.is_set():
            try:
                self._executor.spin()
            except ExternalShutdownException:
                return
            except Exception as error:  # noqa: BLE001 - nothing must end the node
                self._on_error(error)
                self._stopping.wait(PAUSE_S)

    def _on_error(self, error: BaseException) -> None:
        # An entity may be destroyed between the wake-up and its turn.
        if not isinstance(error, rclpy_implementation.InvalidHandle):
            lines = ''.join(traceback.format_exception(error))
            self._logger.error(f'a callback failed:\n{lines}', throttle_duration_sec=THROTTLE_S)
