# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""One run of the ROS tests at a time: the domains they meet in are the same in each."""

from __future__ import annotations

import fcntl
import functools
import os
from pathlib import Path
import sys
import tempfile

import pytest

LOCK = Path(tempfile.gettempdir()) / 'sam2_tracker_ros_tests.lock'


@functools.cache
def wait_for_other_runs(config: pytest.Config) -> None:
    """Wait until no other run on this machine has ROS tests to do; from then on they wait."""
    if not LOCK.exists():
        LOCK.touch()
    # Never closed: the lock is free again when this process has ended, whatever ends it.
    lock = os.open(LOCK, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with config.pluginmanager.getplugin('capturemanager').global_and_fixture_disabled():
            sys.stdout.write(f'\nwaiting for another run of ROS tests, which has {LOCK}\n')
            sys.stdout.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)


@pytest.fixture(autouse=True, scope='session')
def _one_run_at_a_time(request: pytest.FixtureRequest) -> None:
    """Share the machine's domains with no other run, in every folder that imports this."""
    wait_for_other_runs(request.config)
