# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""How the threads of a process share Python's interpreter."""

from __future__ import annotations

import sys

_SWITCH_INTERVAL_S = 0.0002


def take_short_turns() -> None:
    """
    Let a thread that wants the interpreter wait for less than a millisecond, not for five.

    A model gives the interpreter up at each of its thousand operations a frame and wants it back
    at once, while other threads receive, convert and write. For the start of a process.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
