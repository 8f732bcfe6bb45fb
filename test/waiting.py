# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""How tests wait: for a condition, with a time limit."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

TIMEOUT_S = 60.0


def wait_until(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S, what: str = '') -> Any:
    """Return the condition's first true value."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f'not within {timeout_s} s: {what or condition}')
        time.sleep(0.01)
    return value
