# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Tensors on the CPU find their memory in place instead of asking the system for each."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# The child measures itself: the allocator's settings are those of a process.
CHILD = """
import resource, sys
import torch
from sam2_tracker.models.host_memory import keep_freed_memory, return_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == 'kept':
    keep_freed_memory()

def faults_of(frames):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(frames):
        # More than glibc ever keeps by itself.
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of(30)
print(faults_of(5))
return_freed_memory()
print(faults_of(1))
"""


def page_faults(how: str) -> list[int]:
    done = subprocess.run([sys.executable, '-c', CHILD, how], capture_output=True, text=True,
                          check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='settings of glibc')
def test_freed_memory_is_used_again_until_it_is_given_back():
    while_working, after_return = page_faults('kept')
    by_default, _ = page_faults('by default')
    assert while_working < 1000 < after_return < by_default
