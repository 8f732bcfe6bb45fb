# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and tensors on the CPU find memory in place instead of asking for it each time."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

# The child measures itself: the allocator's settings are those of a process.
CHILD = """
import ctypes, resource, sys, threading
# PR_SET_THP_DISABLE: with pages of 2 MiB there would be few faults.
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
import torch
from sam2_tracker.core.process import keep_freed_memory, return_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == 'kept':
    keep_freed_memory()

# The larger size is more than glibc ever keeps by itself.
def faults_of(frames, size=10_000_000):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(frames):
        torch.ones(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of(30)
print(faults_of(5))
found = []
thread = threading.Thread(target=lambda: found.append(faults_of(5, 1_000_000)))
thread.start()
thread.join()
print(found[0])
return_freed_memory()
print(faults_of(1))
"""


def page_faults(how: str) -> list[int]:
    done = subprocess.run([sys.executable, '-c', CHILD, how], capture_output=True, text=True,
                          check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='settings of glibc')
@pytest.mark.skipif(resource.getpagesize() != 4096, reason='counts pages of 4 KiB')
def test_freed_memory_is_used_again_until_it_is_given_back():
    kept, by_default = page_faults('kept'), page_faults('by default')
    while_working, in_a_new_thread, after_return = kept
    assert while_working < 1000 < after_return < by_default[0]
    assert in_a_new_thread < 500 < by_default[1]
