# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Run the node's callbacks: pictures at once, and nothing waits for what takes long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
import threading
import time
import traceback
from typing import Any
from weakref import WeakSet

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
STOP_TIMEOUT_S = 0.5


class InlineExecutor(Executor):
    """
    Runs subscriptions' callbacks in the thread that spins, and all else in a pool.

    rclpy's MultiThreadedExecutor gives a picture to a thread of its pool and itself goes on with
    the interpreter that this thread needs, which costs some milliseconds a picture. After a
    callback of a subscription that took long its next ones go to the pool too, until one is quick.

    :param on_error: takes what a callback raised, in any thread
    """

    def __init__(self, on_error: Callable[[BaseException], None],
                 context: Context | None = None) -> None:
        super().__init__(context=context)
        self._on_error = on_error
        self._pool = ThreadPoolExecutor(N_THREADS, thread_name_prefix='callback')
        self._running: set[Future[None]] = set()
        self._slow: WeakSet[Subscription] = WeakSet()
        self._awaiting: WeakSet[Any] = WeakSet()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for a callback that is ready, and run it or have it run."""
        try:
            callback, entity, _ = self.wait_for_ready_callbacks(timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        if not isinstance(entity, Subscription):
            self._submit(self._run, callback)
        elif entity in self._slow:
            self._submit(self._run_timed, callback, entity)
        else:
            self._run_timed(callback, entity)

    def _spin_once_impl(self, timeout_sec: float | None = None, *_: Any) -> None:
        # What `spin` and its like call in newer versions of rclpy.
        self.spin_once(timeout_sec)

    def _submit(self, run: Callable[..., None], *arguments: Any) -> None:
        future = self._pool.submit(run, *arguments)
        self._running.add(future)
        future.add_done_callback(self._running.discard)

    def _run_timed(self, callback: Any, subscription: Subscription) -> None:
        if callback.executing() or callback.done():
            return  # rclpy offers a callback again until it has begun.
        begun_s = time.monotonic()
        self._run(callback)
        if time.monotonic() - begun_s < QUICK_S:
            self._slow.discard(subscription)
        else:
            self._slow.add(subscription)

    def _run(self, callback: Any) -> None:
        callback()
        if callback in self._awaiting:
            return
        if callback.done():
            self._report(callback)
        else:
            # It awaits something, and ends here or, in newer versions of rclpy, elsewhere.
            self._awaiting.add(callback)
            callback.add_done_callback(self._report)

    def _report(self, callback: Any) -> None:
        error = callback.exception()
        if error is not None:
            self._on_error(error)

    def finish(self, timeout_s: float) -> None:
        """Let callbacks in the pool end; only after the thread that spins."""
        wait(tuple(self._running), timeout_s)
        self._pool.shutdown(wait=False)


class Spinner:
    """Runs a node's callbacks from construction to `stop`, whatever they raise."""

    def __init__(self, node: Node) -> None:
        self._logger = node.get_logger()
        self._executor = InlineExecutor(self._on_error, context=node.context)
        self._executor.add_node(node)
        self._context = node.context
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._spin, name='spin', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; callbacks under way have a moment to end first."""
        self._stopping.set()
        self._executor.shutdown(STOP_TIMEOUT_S)
        self._thread.join(STOP_TIMEOUT_S)
        self._executor.finish(STOP_TIMEOUT_S)

    def _spin(self) -> None:
        while self._context.ok() and not self._stopping.is_set():
            try:
                self._executor.spin_once()
            except ExternalShutdownException:
                return
            except Exception as error:  # noqa: BLE001 - nothing must end the node
                if not self._stopping.is_set():
                    self._on_error(error)
                    self._stopping.wait(PAUSE_S)

    def _on_error(self, error: BaseException) -> None:
        # An entity may be destroyed between the wake-up and its turn.
        if not isinstance(error, rclpy_implementation.InvalidHandle):
            lines = ''.join(traceback.format_exception(error))
            self._logger.error(f'a callback failed:\n{lines}', throttle_duration_sec=THROTTLE_S)
