# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""How the threads of this process share Python's interpreter and the processor."""

from __future__ import annotations

import os
import sys

_SWITCH_INTERVAL_S = 0.0002
# Some tens of microseconds: longer than the pauses within a layer. libgomp's own is 300,000.
_SPIN_COUNT = 2000


def take_short_turns() -> None:
    """
    Let a thread that wants the interpreter wait for less than a millisecond, not for five.

    A model gives the interpreter up at each of its thousand operations a frame and wants it back
    at once, while other threads receive, convert and write. For the start of a process.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)


def spin_briefly() -> None:
    """
    Let torch's threads on the CPU, when one waits for another, soon sleep instead of spinning.

    Where other programs want the cores too, the one that spins keeps the one that works from its
    core. `benchmarks.node` has `nano` beside a busy process, and with GOMP_SPINCOUNT=300000 as it
    was without this.
    Takes effect if torch is not imported yet; what the environment says already has precedence.
    """
    if not {'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'} & set(os.environ):
        os.environ['GOMP_SPINCOUNT'] = str(_SPIN_COUNT)
