# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the `tracker` executable as users do, in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import re
import signal
import subprocess
import time
from typing import Any

from ament_index_python.packages import get_package_prefix, PackageNotFoundError
import numpy as np
import pytest
from ros_graph import Graph
from sam2_tracker.ros.messages import image_to_msg, stamp_to_msg
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waiting import wait_until

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0

# What is tested with real processes is the node: at this size nano takes half the time that it
# does at its own.
IMAGE_SIZE = 320
MODEL_HOLDERS = ('tracker', 'trackers')


def executable(name: str = 'tracker') -> str:
    """Return the path that `ros2 run sam2_tracker` would start."""
    try:
        return str(Path(get_package_prefix('sam2_tracker'), 'lib', 'sam2_tracker', name))
    except PackageNotFoundError:
        pytest.skip('sam2_tracker is not built: colcon build, then source install/setup.bash')


def wait_until_it_handles_signals(process: subprocess.Popen) -> None:
    """Wait until a process that is starting can be interrupted cleanly."""
    status = Path(f'/proc/{process.pid}/status')
    # Only the executable's own handlers make the process catch SIGTERM.
    while not int(re.search(r'SigCgt:\s*(\w+)', status.read_text())[1], 16) & 1 << 14:
        assert process.poll() is None
        time.sleep(0.001)


class TrackerProcess:
    """
    A running tracker.

    :param parameters: ROS parameters; `image_size` is IMAGE_SIZE if they do not say otherwise
    :param ros_arguments: more of what goes behind --ros-args
    :param command: what to run instead of the executable
    """

    def __init__(self, domain_id: int, log: Path, parameters: dict[str, Any] | None = None,
                 ros_arguments: Sequence[str] = (), environment: dict[str, str] | None = None,
                 command: Sequence[str] = ()) -> None:
        self.log = log
        command = command or [executable()]
        settings = {'image_size': IMAGE_SIZE} if Path(command[0]).name in MODEL_HOLDERS else {}
        command = [*command, '--ros-args', *ros_arguments]
        for name, value in (settings | (parameters or {})).items():
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{name}:={shown}']
        overrides = {'ROS_DOMAIN_ID': str(domain_id), 'OMP_NUM_THREADS': '1',
                     'PYTHONUNBUFFERED': '1', 'RCUTILS_LOGGING_USE_STDOUT': '0'}
        with log.open('wb') as sink:
            self.process = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT,
                env={**os.environ, **overrides, **(environment or {})})

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return self.log.read_text(errors='replace')

    def wait_for(self, text: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until a text is printed."""
        def printed() -> bool:
            if text in self.output:
                return True
            assert self.process.poll() is None, f'the tracker ended:\n{self.output}'
            return False
        wait_until(printed, timeout_s, f'{text!r} in:\n{self.output}')

    def wait_until_active(self) -> None:
        """Wait until it tracks."""
        self.wait_for('the tracker is active')

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop and return its exit code; what it printed is in `output`."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f'it did not stop within {STOP_TIMEOUT_S} s:\n'
                                 f'{self.output}') from None

    def assert_ends_cleanly(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it: exit code 0 and nothing of an exception in what it printed."""
        code = self.end(number)
        assert code == 0, self.output
        assert 'Traceback' not in self.output and 'Error:' not in self.output, self.output


class TestCamera:
    """Publishes pictures of a bright disc that moves over a textured ground."""

    __test__ = False

    def __init__(self, graph: Graph, topic: str = '/image', hw: tuple[int, int] = (120, 160),
                 frame_id: str = 'camera') -> None:
        self.publisher = graph.publisher(Image, topic, 1000)
        self.hw = hw
        self.frame_id = frame_id
        self.period_ns = 100_000_000
        self.next_stamp_ns = 1_700_000_000_000_000_000
        noise = np.random.default_rng(0).integers(40, 90, (*hw, 3), np.uint8)
        self._ground = noise

    def wait_for_tracker(self) -> None:
        """Wait until somebody subscribes."""
        wait_until(self.publisher.get_subscription_count, what='a subscription to the camera')

    def centre(self, number: int) -> tuple[float, float]:
        """Return x and y of the disc's centre on a picture."""
        height, width = self.hw
        return width * (0.3 + 0.01 * (number % 30)), height * 0.5

    def picture(self, number: int) -> np.ndarray:
        """Return a picture, (height, width, 3) RGB."""
        rows, columns = np.ogrid[:self.hw[0], :self.hw[1]]
        x, y = self.centre(number)
        disc = (columns - x) ** 2 + (rows - y) ** 2 < (self.hw[0] * 0.2) ** 2
        picture = self._ground.copy()
        picture[disc] = (230, 40, 30)
        return picture

    def publish(self, number: int = 0, stamp_ns: int | None = None) -> int:
        """Publish one picture and return its stamp; stamps go on by a tenth of a second."""
        if stamp_ns is None:
            stamp_ns = self.next_stamp_ns
            self.next_stamp_ns += self.period_ns
        header = Header(stamp=stamp_to_msg(stamp_ns), frame_id=self.frame_id)
        self.publisher.publish(image_to_msg(self.picture(number), 'rgb8', header))
        return stamp_ns
