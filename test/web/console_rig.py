# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The console's server in a thread of its own, for tests that talk to it from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
import threading
from typing import Any, TypeVar

from client_stand_in import StandIn
from sam2_tracker.core.log import Level
from sam2_tracker.web.server import ConsoleServer
from sam2_tracker.web.settings import ConsoleConfig
from sam2_tracker.web.tracker_client import TrackerClient
from waiting import TIMEOUT_S

T = TypeVar('T')


def result_of(work: Coroutine[Any, Any, T], timeout_s: float = TIMEOUT_S) -> T:
    """Run a coroutine in a loop of its own; Playwright has one in the thread of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asyncio.wait_for(work, timeout_s)).result()


class ServedConsole:
    """
    A console that can be reached, from construction to `close`.

    :param tracker: its client, a stand-in if not given
    :param settings: fields of ConsoleConfig
    :ivar lines: what it said in its log
    """

    def __init__(self, tracker: TrackerClient | None = None, **settings: Any) -> None:
        self.tracker = tracker or StandIn()
        self.lines: list[tuple[Level, str]] = []
        self.config = ConsoleConfig(**{'port': 0, **settings})
        self.server = ConsoleServer(
            self.tracker, self.config, lambda level, line: self.lines.append((level, line)))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self.server.start())

    @property
    def address(self) -> str:
        """Return what to type into a browser on this machine."""
        scheme = 'https' if self.config.tls_cert else 'http'
        return f'{scheme}://127.0.0.1:{self.server.port}/'

    def run(self, work: Any) -> Any:
        """Run a coroutine in the server's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    def stop(self) -> None:
        """Stop the server; another can take its port."""
        self.run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()
