# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A process that computes: turns at the interpreter, threads that spin, memory given back."""

from __future__ import annotations

import ctypes
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


# As glibc's malloc.h names them.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_KEPT_BYTES = 256 * 2**20


def keep_freed_memory() -> None:
    """
    Let this process keep up to 256 MiB of freed memory for what comes next, in any thread.

    By default glibc returns it to the system after many operations and has it zeroed again, page
    by page: a tenth of a frame's time with `nano`. Each thread would keep its own besides, so
    threads that begin later than this call share the first one's. Does nothing with other C
    libraries.
    """
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        set_option(_M_MMAP_THRESHOLD, _KEPT_BYTES)


def return_freed_memory() -> None:
    """Give the system back what is kept."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)
