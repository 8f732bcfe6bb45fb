# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A camera, an operator and an observer around one tracker, by its topics and services only."""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
import threading
import time
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from reliability.pictures import encoded, HW, Picture, picture
from sam2_tracker_msgs.msg import Prompt, TrackedObjects
from sam2_tracker_msgs.srv import (
    AddPrompts,
    ListObjects,
    LoadMemory,
    RemoveObject,
    SaveMemory,
)
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

NS_PER_S = 1_000_000_000
PERIOD_S = 0.1
ANSWER_S = 20.0
_DEPTH = 1000
_RESULTS = QoSProfile(depth=_DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True)
class Seen:
    """
    One result on ~/objects.

    :param states: state by object id
    """

    received_s: float
    stamp_ns: int
    states: dict[int, int]


@dataclass(frozen=True)
class Health:
    """One message on /diagnostics about the tracker; level 0 is OK, 1 WARN, 2 ERROR."""

    received_s: float
    level: int
    message: str
    values: dict[str, str]


def to_stamp(stamp_ns: int) -> Time:
    """Return nanoseconds as a message."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def to_bytes(content: bytes) -> array.array[int]:
    """Return bytes as message fields take them fast."""
    made = array.array('B')
    made.frombytes(content)
    return made


def click(x: float, y: float, object_id: int = 0, label: str = '') -> Prompt:
    """Return one positive point."""
    return Prompt(object_id=object_id, label=label, points=[Point(x=float(x), y=float(y))],
                  point_labels=[1])


class Robot:
    """
    One participant of the graph, spun by a thread.

    :param tracker: full name of the tracker's node
    :param image: the camera's topic
    :param camera_depth: how many pictures the camera keeps for a tracker that is behind
    :ivar number: of the newest picture
    :ivar is_still: nothing moves
    """

    def __init__(self, domain_id: int, tracker: str = '/sam2_tracker', image: str = '/image',
                 name: str = 'robot', camera_depth: int = _DEPTH) -> None:
        self.results: list[Seen] = []
        self.health: list[Health] = []
        self.stamp_ns = time.time_ns()
        self.number = -1
        self.is_still = False
        self._tracker = tracker
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self.node = Node(name, context=self._context, enable_rosout=False)
        self.camera = self.node.create_publisher(Image, image, camera_depth)
        self.jpeg_camera = self.node.create_publisher(CompressedImage, f'{image}/compressed',
                                                      camera_depth)
        self.node.create_subscription(TrackedObjects, f'{tracker}/objects', self._on_objects,
                                      _RESULTS)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 100)
        self._clients: dict[str, Any] = {}
        self._fault: Exception | None = None
        self._is_closing = False
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while self._context.ok():
            try:
                self._executor.spin()
            except ExternalShutdownException:
                return
            except rclpy_implementation.InvalidHandle:
                # An entity was destroyed between the wake-up and its turn.
                time.sleep(0.001)
            except Exception as error:  # noqa: BLE001 - its thread ends, and `wait` says why
                self._fault = error
                return

    def _raise_fault(self) -> None:
        # Otherwise the tracker would be blamed for what nobody takes any more.
        if self._fault is not None and not self._is_closing:
            raise RuntimeError('the robot itself failed') from self._fault

    def close(self) -> None:
        """Leave the graph."""
        self._is_closing = True
        with suppress(rclpy_implementation.InvalidHandle, rclpy_implementation.RCLError):
            self._executor.shutdown(1.0)
            self.node.destroy_node()
            rclpy.try_shutdown(context=self._context)
        self._thread.join(2.0)

    def _on_objects(self, message: TrackedObjects) -> None:
        stamp = message.header.stamp
        self.results.append(Seen(time.monotonic(), stamp.sec * NS_PER_S + stamp.nanosec,
                                 {each.id: each.state for each in message.objects}))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._tracker):
                level = status.level[0] if isinstance(status.level, bytes) else status.level
                self.health.append(Health(time.monotonic(), level, status.message,
                                          {each.key: each.value for each in status.values}))

    def next_stamp(self, period_s: float = PERIOD_S) -> int:
        """Move the camera's clock on."""
        self.stamp_ns += round(period_s * NS_PER_S)
        return self.stamp_ns

    def send(self, message: Any) -> None:
        """Publish an image message as it is, on the topic of its type."""
        (self.camera if isinstance(message, Image) else self.jpeg_camera).publish(message)

    def image(self, pixels: Picture, stamp_ns: int, **fields: Any) -> Image:
        """Return a raw rgb8 image; `fields` replace what it says of itself."""
        message = Image(header=Header(stamp=to_stamp(stamp_ns), frame_id='camera'),
                        encoding='rgb8', height=pixels.shape[0], width=pixels.shape[1],
                        step=pixels.shape[1] * 3)
        message.data = to_bytes(pixels.tobytes())
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    def jpeg(self, payload: bytes, stamp_ns: int) -> CompressedImage:
        """Return a compressed image."""
        message = CompressedImage(
            header=Header(stamp=to_stamp(stamp_ns), frame_id='camera'), format='jpeg')
        message.data = to_bytes(payload)
        return message

    def shoot(self, hw: tuple[int, int] = HW, period_s: float = PERIOD_S,
              compressed: bool = False) -> int:
        """Publish the next picture, wait for the period, and return the picture's stamp."""
        if self.number < 0 or not self.is_still:
            self.number += 1
        stamp_ns, pixels = self.next_stamp(period_s), picture(self.number, hw)
        self.send(self.jpeg(encoded(pixels), stamp_ns) if compressed
                  else self.image(pixels, stamp_ns))
        time.sleep(period_s)
        return stamp_ns

    def wait(self, condition: Callable[[], Any], timeout_s: float) -> Any:
        """
        Return the condition's first true value, or its last.

        :raises RuntimeError: the robot itself has failed
        """
        end_s = time.monotonic() + timeout_s
        while not (value := condition()) and time.monotonic() < end_s:
            self._raise_fault()
            time.sleep(0.01)
        return value

    def stamps(self, since: int = 0) -> set[int]:
        """Return the stamps of all results, but the first `since`."""
        return {each.stamp_ns for each in self.results[since:]}

    def client(self, kind: type, name: str) -> Any:
        """Return the client of a service, relative to the tracker's name."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(
                kind, f'{self._tracker}/{name}', qos_profile=QoSProfile(depth=_DEPTH))
        return self._clients[name]

    def ask(self, kind: type, name: str, request: Any, timeout_s: float = ANSWER_S) -> Any:
        """
        Call a service; None if no answer comes in time.

        :raises RuntimeError: the robot itself has failed
        """
        client = self.client(kind, name)
        end_s = time.monotonic() + timeout_s
        if not client.wait_for_service(timeout_s):
            return None
        future = client.call_async(request)
        answered = threading.Event()
        future.add_done_callback(lambda _: answered.set())
        if answered.wait(max(0.1, end_s - time.monotonic())):
            return future.result()
        client.remove_pending_request(future)
        self._raise_fault()
        return None

    def add(self, prompts: Sequence[Prompt], stamp_ns: int = 0, timeout_s: float = ANSWER_S,
            **fields: Any) -> Any:
        """Prompt objects."""
        return self.ask(AddPrompts, 'add_prompts', AddPrompts.Request(
            stamp=to_stamp(stamp_ns), prompts=list(prompts), **fields), timeout_s)

    def list(self, timeout_s: float = ANSWER_S) -> Any:  # noqa: A003
        """List the objects."""
        return self.ask(ListObjects, 'list_objects', ListObjects.Request(), timeout_s)

    def remove(self, object_id: int) -> Any:
        """Remove an object."""
        return self.ask(RemoveObject, 'remove_object', RemoveObject.Request(object_id=object_id))

    def trigger(self, name: str, timeout_s: float = ANSWER_S) -> Any:
        """Call reset or snapshot."""
        return self.ask(Trigger, name, Trigger.Request(), timeout_s)

    def pause(self, paused: bool) -> Any:
        """Pause or go on."""
        return self.ask(SetBool, 'pause', SetBool.Request(data=paused))

    def save(self, file_name: str, timeout_s: float = ANSWER_S) -> Any:
        """Save every object's memory."""
        return self.ask(SaveMemory, 'save_memory', SaveMemory.Request(file_name=file_name),
                        timeout_s)

    def load(self, file_name: str, timeout_s: float = ANSWER_S) -> Any:
        """Load a file of memories."""
        return self.ask(LoadMemory, 'load_memory', LoadMemory.Request(file_name=file_name),
                        timeout_s)

    def state(self, timeout_s: float = ANSWER_S) -> str:
        """Return the lifecycle state, '' if nobody answers."""
        reply = self.ask(GetState, 'get_state', GetState.Request(), timeout_s)
        return reply.current_state.label if reply else ''

    def change(self, transition_id: int, timeout_s: float = 60.0) -> bool:
        """Ask for a lifecycle transition and return whether it went well."""
        request = ChangeState.Request()
        request.transition.id = transition_id
        reply = self.ask(ChangeState, 'change_state', request, timeout_s)
        return bool(reply and reply.success)

    def set_parameter(self, name: str, value: Any) -> Any:
        """Set a parameter and return its result, None if nobody answers."""
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()])
        reply = self.ask(SetParameters, 'set_parameters', request)
        return reply.results[0] if reply else None
