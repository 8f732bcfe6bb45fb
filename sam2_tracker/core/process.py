# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What the C library does with memory that pictures and tensors on the CPU give back."""

from __future__ import annotations

import ctypes

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
