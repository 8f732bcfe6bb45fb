# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.machine import Conditions
from benchmarks.results import Result
import pytest
import torch


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture
def conditions() -> Conditions:
    return Conditions('2026-11-22 12:00 UTC', 'a machine', 2, 1, 0.5, 'cpu', 'torch 0', 'abc')


@pytest.fixture
def result(conditions: Conditions) -> Result:
    return Result('memory_cpu', 'memory', 'Memory', conditions, ({'slope': 0.5},), '| a |',
                  {'slope': 0.5})
