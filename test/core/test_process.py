# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A process that computes: how its threads hold others up, and memory that it finds in place."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys

import pytest

# As a model's operations do, a sleep gives the interpreter up and wants it back at once. Whether
# the other thread took it meanwhile is up to the system: only such sleeps count, and the shortest
# of them is free of the system's pauses.
TAKING_TURNS = """
import sys, threading, time
from sam2_tracker.core.process import take_short_turns
if sys.argv[1] == 'short':
    take_short_turns()
is_done, computed, waits_s = False, 0, []
def compute():
    global computed
    while not is_done:
        sum(range(100))
        computed += 1
other = threading.Thread(target=compute)
other.start()
while len(waits_s) < 100:
    begun_s = time.monotonic()
    before = computed
    time.sleep(0)
    was_taken = computed > before
    if was_taken:
        waits_s.append(time.monotonic() - begun_s)
is_done = True
print(min(waits_s))
"""


def shortest_wait_s(turns: str) -> float:
    done = subprocess.run([sys.executable, '-c', TAKING_TURNS, turns], capture_output=True,
                          text=True, check=True)
    return float(done.stdout)


def test_an_operation_waits_less_than_half_as_long_in_short_turns():
    assert shortest_wait_s('short') < shortest_wait_s('usual') / 2


GOMP = """
from sam2_tracker.core.process import spin_briefly
spin_briefly()
import torch
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='torch brings libgomp on Linux only')
@pytest.mark.parametrize(('environment', 'wanted'), [
    ({}, "GOMP_SPINCOUNT = '2000'"),
    ({'GOMP_SPINCOUNT': '7'}, "GOMP_SPINCOUNT = '7'"),
    ({'OMP_WAIT_POLICY': 'passive'}, "GOMP_SPINCOUNT = '0'"),
], ids=['by default', 'as asked for', 'as its policy says'])
def test_threads_of_torch_spin_briefly(environment: dict[str, str], wanted: str):
    pytest.importorskip('torch')
    others = {name: value for name, value in os.environ.items()
              if name not in {'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'}}
    done = subprocess.run(
        [sys.executable, '-c', GOMP], capture_output=True, text=True, check=True,
        env={**others, **environment, 'OMP_DISPLAY_ENV': 'verbose'})
    assert wanted in done.stderr


# The child measures itself: the allocator's settings are those of a process.
ALLOCATING = """
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
    done = subprocess.run([sys.executable, '-c', ALLOCATING, how], capture_output=True, text=True,
                          check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='settings of glibc')
@pytest.mark.skipif(resource.getpagesize() != 4096, reason='counts pages of 4 KiB')
def test_freed_memory_is_used_again_until_it_is_given_back():
    kept, by_default = page_faults('kept'), page_faults('by default')
    while_working, in_a_new_thread, after_return = kept
    assert while_working < 1000 < after_return < by_default[0]
    assert in_a_new_thread < 500 < by_default[1]
