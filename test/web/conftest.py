# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the console's tests share. None of them needs ROS; the browser's need chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from browser_fixtures import browser_fixture, keep_picture_fixture  # noqa: F401
import pytest


@pytest.fixture
def serve() -> Iterator[Any]:
    """Start consoles; stop those that still run."""
    from console_rig import ServedConsole

    running: list[ServedConsole] = []

    def serve_one(tracker: Any = None, **settings: Any) -> ServedConsole:
        running.append(ServedConsole(tracker, **settings))
        return running[-1]

    yield serve_one
    for served in running:
        if served._thread.is_alive():
            served.stop()


@pytest.fixture
def look(browser: Any, serve: Any) -> Iterator[Any]:
    """Open pages of a console; any error in a page's scripts fails the test."""
    from browser_rig import ConsolePage
    from client_stand_in import StandIn

    contexts, errors = [], []

    def look_at(tracker: StandIn | None = None, served: Any = None, address: str = '',
                console: dict[str, Any] | None = None, **context: Any) -> ConsolePage:
        tracker = tracker or (served.tracker if served else StandIn(rate_hz=8.0))
        served = served or serve(tracker, **(console or {}))
        context.setdefault('viewport', {'width': 1280, 'height': 800})
        context.setdefault('color_scheme', 'dark')
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on('pageerror', lambda error: errors.append(error))
        shown = ConsolePage(page, tracker, tracker.hw)
        shown.open(address or served.address)
        return shown

    yield look_at
    for each in contexts:
        each.close()
    assert not errors
