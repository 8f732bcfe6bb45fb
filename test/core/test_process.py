# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""How threads that compute hold others up: for the interpreter, and for the processor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# As a model's operations do, a sleep gives the interpreter up and wants it back at once. Whether
# the other thread took it meanwhile is up to the system: only such sleeps count, and the shortest
# of them is free of the system's pauses.
CHILD = """
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
    done = subprocess.run([sys.executable, '-c', CHILD, turns], capture_output=True, text=True,
                          check=True)
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
