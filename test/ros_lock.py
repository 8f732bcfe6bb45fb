# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
One run of the ROS tests at a time: the domains they meet in are the same in each.

`tools/run_tests` has the lock for all that it runs side by side, in domains of their own.
"""

from __future__ import annotations

import fcntl
import functools
import os
from pathlib import Path
import sys
import tempfile
import time

import pytest

LOCK = Path(tempfile.gettempdir()) / 'sam2_tracker_ros_tests.lock'
PATIENCE_S = 20 * 60.0
# Set where who started this run has the lock.
TAKEN = 'SAM2_TRACKER_ROS_TESTS_LOCKED'


@functools.cache
def wait_for_other_runs(config: pytest.Config) -> None:
    """
    Wait until no other run on this machine has ROS tests to do; from then on they wait.

    Not for ever: it is better that a test fails than that all of them hang.
    """
    if os.environ.get(TAKEN):
        return
    if not LOCK.exists():
        LOCK.touch()
    # Never closed: the lock is free again when this process has ended, whatever ends it.
    lock = os.open(LOCK, os.O_RDONLY)
    if _is_taken(lock):
        return
    with config.pluginmanager.getplugin('capturemanager').global_and_fixture_disabled():
        sys.stdout.write(f'\nwaiting for another run of ROS tests, which has {LOCK}\n')
        sys.stdout.flush()
    end_s = time.monotonic() + PATIENCE_S
    while not _is_taken(lock) and time.monotonic() < end_s:
        time.sleep(1.0)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture(autouse=True, scope='session')
def _one_run_at_a_time(request: pytest.FixtureRequest) -> None:
    """Share the machine's domains with no other run, in every folder that imports this."""
    wait_for_other_runs(request.config)
