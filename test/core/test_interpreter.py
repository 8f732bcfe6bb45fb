# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A thread of many short operations is not held up by one that only computes."""

from __future__ import annotations

import subprocess
import sys

# As a model's operations do, a sleep gives the interpreter up and wants it back at once.
CHILD = """
import sys, threading, time
from sam2_tracker.core.interpreter import take_short_turns
if sys.argv[1] == 'short':
    take_short_turns()
is_done = False
def compute():
    while not is_done:
        sum(range(100))
other = threading.Thread(target=compute)
other.start()
begun_s = time.monotonic()
for _ in range(100):
    time.sleep(0)
print(time.monotonic() - begun_s)
is_done = True
"""


def seconds_for_100_operations(turns: str) -> float:
    done = subprocess.run([sys.executable, '-c', CHILD, turns], capture_output=True, text=True,
                          check=True)
    return float(done.stdout)


def test_a_hundred_operations_take_less_than_half_as_long_in_short_turns():
    assert seconds_for_100_operations('short') < seconds_for_100_operations('usual') / 2
