# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A running tracker node, and the camera, operator and subscriber around it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, TYPE_CHECKING

from benchmarks.machine import ROOT
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sam2_tracker.core.types import UInt8Array
from sam2_tracker.ros.messages import image_to_msg, stamp_from_msg, stamp_to_msg
from sam2_tracker.ros.qos import OUTPUT
from sam2_tracker_msgs.msg import Prompt
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

if TYPE_CHECKING:
    from typing_extensions import Self

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 15.0
_FIRST_STAMP_NS = 1_700_000_000_000_000_000


class NodeError(Exception):
    """The node did not do what it should; with what it printed."""


class NodeProcess:
    """
    A program with nodes in a process of its own.

    :param command: the program
    :param log: takes what it prints
    """

    def __init__(self, command: Sequence[str], log: Path, threads: int, domain_id: int) -> None:
        self._log = log
        with log.open('wb') as sink:
            self._process = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT, cwd=ROOT,
                env={**os.environ, 'OMP_NUM_THREADS': str(threads),
                     'ROS_DOMAIN_ID': str(domain_id)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self._process.pid

    def check(self) -> None:
        """
        Look whether it still runs.

        :raises NodeError: if not
        """
        if self._process.poll() is not None:
            raise NodeError(f'the tracker ended with code {self._process.returncode}:\n'
                            f'{self.printed}')

    @property
    def printed(self) -> str:
        """Return the end of what it printed."""
        return self._log.read_text(errors='replace')[-3000:]


class TrackerProcess(NodeProcess):
    """
    The node in a process of its own, with a clock around its engine.

    :param engine: still or real
    :param folder: for its output and the engine's times
    :param parameters: ROS parameters
    """

    def __init__(self, engine: str, folder: Path, parameters: dict[str, Any], threads: int,
                 domain_id: int) -> None:
        self._times = folder / f'{engine}_times'
        command = [sys.executable, '-m', 'benchmarks.node_process', engine, str(self._times),
                   '--ros-args']
        for name, value in parameters.items():
            command += ['-p', f'{name}:={value}']
        super().__init__(command, folder / f'{engine}.log', threads, domain_id)

    def engine_seconds(self) -> list[float]:
        """Return the engine's time for each result so far."""
        lines = self._times.read_text().split() if self._times.exists() else []
        return [float(line) for line in lines]


class Client:
    """
    Publishes pictures, prompts, and notes when label images and diagnostics come.

    :param namespace: of the tracker and its camera, '' or as /front
    """

    def __init__(self, domain_id: int, pictures: Sequence[UInt8Array],
                 namespace: str = '') -> None:
        tracker = f'{namespace}/sam2_tracker'
        self._status_name = f'{tracker}: tracker'
        self.received_s: dict[int, float] = {}
        self.diagnostics: dict[str, str] = {}
        self.model_figures: list[dict[str, str]] = []
        self._changed = threading.Condition()
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self._node = Node('benchmark', context=self._context, enable_rosout=False)
        self._camera = self._node.create_publisher(Image, f'{namespace}/image', 5)
        self._node.create_subscription(Image, f'{tracker}/label_image', self._on_image, OUTPUT)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._prompting = self._node.create_client(AddPrompts, f'{tracker}/add_prompts')
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._messages = [image_to_msg(picture, 'rgb8', Header(frame_id='camera'))
                          for picture in pictures]
        self._count = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._executor.shutdown(1.0)
        rclpy.try_shutdown(context=self._context)
        self._thread.join(2.0)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _on_image(self, message: Image) -> None:
        now_s = time.perf_counter()
        with self._changed:
            self.received_s[stamp_from_msg(message.header.stamp)] = now_s
            self._changed.notify_all()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._status_name:
                self.diagnostics = {item.key: item.value for item in status.values}
            elif status.name.endswith(': model'):
                self.model_figures.append({item.key: item.value for item in status.values})

    def publish(self) -> tuple[int, float, float]:
        """Publish the next picture; return its stamp, when, and how long the call took."""
        message = self._messages[self._count % len(self._messages)]
        stamp_ns = _FIRST_STAMP_NS + self._count * 33_333_333
        self._count += 1
        message.header.stamp = stamp_to_msg(stamp_ns)
        begun_s = time.perf_counter()
        self._camera.publish(message)
        return stamp_ns, begun_s, time.perf_counter() - begun_s

    def wait_for(self, stamp_ns: int, timeout_s: float) -> float | None:
        """Wait for the label image of a picture; return when it came, None if it did not."""
        with self._changed:
            self._changed.wait_for(lambda: stamp_ns in self.received_s, timeout_s)
            return self.received_s.get(stamp_ns)

    def prompt_when_ready(self, tracker: NodeProcess, box_xyxy: Sequence[float]) -> None:
        """
        Send pictures until the node is active and has taken a box.

        :raises NodeError: it ended, or does not take it in time
        """
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        answer = 'the service is not there'
        while time.monotonic() < deadline_s:
            tracker.check()
            self.publish()
            if self._prompting.wait_for_service(0.2):
                answer = self._prompt(box_xyxy)
                if not answer:
                    return
            time.sleep(0.2)
        raise NodeError(f'no prompt was taken within {_START_TIMEOUT_S:.0f} s: {answer}\n'
                        f'{tracker.printed}')

    def _prompt(self, box_xyxy: Sequence[float]) -> str:
        left, top, right, bottom = (round(float(value)) for value in box_xyxy)
        box = RegionOfInterest(x_offset=left, y_offset=top, width=right - left,
                               height=bottom - top)
        done = threading.Event()
        future = self._prompting.call_async(AddPrompts.Request(prompts=[Prompt(box=box)]))
        future.add_done_callback(lambda _: done.set())
        if not done.wait(15.0):
            return 'no answer'
        reply = future.result()
        return '' if reply.success else reply.message
