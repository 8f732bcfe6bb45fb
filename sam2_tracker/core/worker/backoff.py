# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Trying again, less and less often, what keeps failing."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 5.0


class Backoff:
    """Says when something that failed may be tried again; times are seconds on any one clock."""

    def __init__(self) -> None:
        self._pause_s = FIRST_S
        self._ready_at_s = 0.0

    def failed(self, now_s: float) -> None:
        """Wait before the next try, twice as long as the last time."""
        self._ready_at_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_S)

    def succeeded(self) -> None:
        """Forget the failures."""
        self._pause_s = FIRST_S
        self._ready_at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait until the next try, 0 for not at all."""
        return max(0.0, self._ready_at_s - now_s)
