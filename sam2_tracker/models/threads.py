# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""How many processor cores a model may use."""

from __future__ import annotations

import os

import torch


def core_count_for_two() -> int:
    """Return half the cores of this process, for work that is done in two threads at a time."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def use_threads(count: int) -> None:
    """
    Let torch compute with so many threads.

    Sums are split by threads: with another number of them masks differ in single pixels.

    :param count: 1 or more
    """
    torch.set_num_threads(count)
