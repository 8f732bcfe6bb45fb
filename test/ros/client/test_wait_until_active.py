# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""`wait_until_active`, which holds back the bag of replay.launch.py."""

from __future__ import annotations

from collections.abc import Iterator
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from tracker_runner import wait_until_it_handles_signals

DOMAIN_ID = 91
COMMAND = [sys.executable, '-m', 'sam2_tracker.ros.client.wait_until_active']
ENVIRONMENT = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}


class LifecycleStandIn:
    """Answers `get_state` as a tracker would that becomes active with the third question."""

    def __init__(self) -> None:
        self.asked = 0
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=DOMAIN_ID)
        self._node = rclpy.create_node('sam2_tracker', context=self._context)
        self._node.create_service(GetState, '~/get_state', self.on_get_state)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def on_get_state(
        self, request: GetState.Request, response: GetState.Response
    ) -> GetState.Response:
        self.asked += 1
        inactive, active = State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE
        response.current_state.id = active if self.asked >= 3 else inactive
        response.current_state.label = 'active' if self.asked >= 3 else 'inactive'
        return response

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(timeout=10.0)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def tracker() -> Iterator[LifecycleStandIn]:
    stand_in = LifecycleStandIn()
    yield stand_in
    stand_in.close()


def test_wait_ends_when_the_tracker_becomes_active(tracker: LifecycleStandIn) -> None:
    done = subprocess.run(COMMAND, env=ENVIRONMENT, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == 'waiting until /sam2_tracker is active\n'
    # An answer that takes too long is asked for again.
    assert tracker.asked >= 3


def test_wait_gives_up_after_its_timeout_with_a_sentence() -> None:
    command = [*COMMAND, '--timeout', '0.5', '--ros-args', '-r', '__ns:=/nobody']
    done = subprocess.run(command, env=ENVIRONMENT, timeout=60, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == 'There is no node /nobody/sam2_tracker that answers after 0.5 s.\n'


def test_wait_says_what_the_node_is_instead(tracker: LifecycleStandIn) -> None:
    tracker.asked = -1000
    command = [*COMMAND, '--timeout', '3']
    done = subprocess.run(command, env=ENVIRONMENT, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, '/sam2_tracker is inactive after 3 s.\n')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda sig: sig.name)
def test_a_signal_ends_the_wait_without_a_traceback(number: signal.Signals) -> None:
    command = [*COMMAND, '--ros-args', '-r', '__ns:=/nobody']
    process = subprocess.Popen(command, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE)
    wait_until_it_handles_signals(process)
    time.sleep(3.0)
    process.send_signal(number)
    _, output = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, '')


def test_help_shows_an_example_to_paste() -> None:
    output = subprocess.check_output([*COMMAND, '--help'], env=ENVIRONMENT, timeout=60, text=True)
    assert 'ros2 run sam2_tracker wait_until_active' in output
