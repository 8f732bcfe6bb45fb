# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Being asked to stop: at any moment, in any thread, and not forgotten."""

from __future__ import annotations

from collections.abc import Iterator
import os
import signal
import threading
import time

import pytest
from sam2_tracker.ros.stop_request import StopRequest

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(name='stop')
def stop_fixture() -> Iterator[StopRequest]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield StopRequest()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_nothing_is_asked_for_at_first(stop: StopRequest) -> None:
    begun_s = time.monotonic()
    assert not stop.wait(0.3)
    assert 0.3 <= time.monotonic() - begun_s < 5.0
    assert not stop.is_made()


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_a_request_stays_known_to_whoever_asks(stop: StopRequest, number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    assert stop.wait()
    assert stop.is_made()
    assert stop.wait(0.0)


def test_a_signal_that_another_thread_takes_ends_the_wait(stop: StopRequest) -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait, daemon=True)
    other.start()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert stop.wait(10.0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        done.set()
