# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A real `ros2 launch` in a process of its own, and questions to the nodes that it started."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import parameter_value_to_python

DOMAIN_ID = 90
START_TIMEOUT_S = 90.0
ANSWER_TIMEOUT_S = 5.0


class Launched:
    """One `ros2 launch sam2_tracker ...`, stopped at the end of the `with` block."""

    def __init__(self, launch_file: str, *arguments: str) -> None:
        self._log = Path(tempfile.mkstemp(suffix='.log')[1])
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), 'OMP_NUM_THREADS': '1'}
        with self._log.open('w') as log:
            self.process = subprocess.Popen(
                ['ros2', 'launch', 'sam2_tracker', launch_file, *arguments],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        # pytest shows it where the test fails.
        sys.stdout.write(self.output)
        self._log.unlink()

    @property
    def output(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        """Press Ctrl-C, and take what does not end in 15 s by force."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=15.0)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def wait_for_output(self, text: str, timeout_s: float = START_TIMEOUT_S) -> None:
        end_s = time.monotonic() + timeout_s
        while text not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end_s, f'no {text!r} in {timeout_s} s:\n{self.output}'
            time.sleep(0.1)


class Asker:
    """A node that asks the launched ones."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=DOMAIN_ID)
        self.node = rclpy.create_node('asker', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def call(self, service_type: type, name: str, request: object) -> Any:
        """Ask until there is an answer: the first may be lost while the two find each other."""
        client = self.node.create_client(service_type, name)
        end_s = time.monotonic() + START_TIMEOUT_S
        try:
            while time.monotonic() < end_s:
                if not client.wait_for_service(timeout_sec=1.0):
                    continue
                future = client.call_async(request)
                self._executor.spin_until_future_complete(future, timeout_sec=ANSWER_TIMEOUT_S)
                if future.done():
                    return future.result()
            raise AssertionError(f'no answer from {name} in {START_TIMEOUT_S} s')
        finally:
            self.node.destroy_client(client)

    def state(self, node: str = '/sam2_tracker') -> str:
        return self.call(GetState, f'{node}/get_state', GetState.Request()).current_state.label

    def change_state(self, transition: int, goal: str, node: str = '/sam2_tracker') -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        client = self.node.create_client(ChangeState, f'{node}/change_state')
        assert client.wait_for_service(timeout_sec=START_TIMEOUT_S)
        client.call_async(request)
        self.wait_until(lambda: self.state(node) == goal, f'the tracker is {goal}')
        self.node.destroy_client(client)

    def parameters(self, *names: str, node: str = '/sam2_tracker') -> list[Any]:
        request = GetParameters.Request(names=list(names))
        answer = self.call(GetParameters, f'{node}/get_parameters', request)
        return [parameter_value_to_python(value) for value in answer.values]

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + START_TIMEOUT_S
        while not condition():
            assert time.monotonic() < end_s, f'not in time: {what}'
            self._executor.spin_once(timeout_sec=0.1)
