# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""A tracker node in this process, on a model without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import sys
import threading
from typing import Any

from geometry_msgs.msg import Point
import numpy as np
from rcl_interfaces.msg import Log
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from ros_graph import Graph, HELD_S, Inbox
from sam2_tracker.core.config import CoreConfig
from sam2_tracker.core.errors import ModelError
from sam2_tracker.ros.messages import image_to_msg, stamp_from_msg, stamp_to_msg
from sam2_tracker.ros.node.executor import Spinner
from sam2_tracker.ros.node.tracker_node import TrackerNode
from sam2_tracker.ros.node.trackers_node import TrackersNode
from sam2_tracker_msgs.msg import Prompt, TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waiting import TIMEOUT_S, wait_until

sys.path.append(str(Path(__file__).resolve().parents[1] / 'core'))
from fakes import FakePredictor

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
SUCCESS = TransitionCallbackReturn.SUCCESS


class GatedPredictor(FakePredictor):
    """
    Fake model whose encoder waits at a gate, open at first.

    :ivar arrived: set when a picture has come to it
    :ivar slow_s: further seconds that each frame takes
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()
        self.slow_s = 0.0

    def encode(self, image_rgb: np.ndarray) -> Any:
        """Encode when the gate is open."""
        self.arrived.set()
        self.gate.wait(HELD_S)
        if self.slow_s:
            threading.Event().wait(self.slow_s)
        return super().encode(image_rgb)


class FakeLoader:
    """
    Brings a fake model.

    :ivar failure: what configure fails with, empty if it does not
    """

    def __init__(self) -> None:
        self.predictor = GatedPredictor()
        self.failure = ''
        self.may_load = threading.Event()
        self.may_load.set()
        self.released = 0

    def load(self, config: CoreConfig, cancelled: threading.Event) -> FakePredictor:
        """Return the fake, or fail."""
        while not self.may_load.wait(0.01) and not cancelled.is_set():
            pass
        if self.failure:
            raise ModelError(self.failure)
        return self.predictor

    def release(self) -> None:
        """Count."""
        self.released += 1


class NodeRig:
    """
    The node, spinning, and a test's own end of its topics and services.

    :param overrides: parameters, `name:=value`
    :param loader: brings the model, a fake one if not given
    :cvar is_one_of_several: the node is that of a camera among several on one model
    """

    is_one_of_several = False

    def __init__(self, graph: Graph, *overrides: str, namespace: str = 'rig',
                 active: bool = True, loader: Any = None) -> None:
        self.graph = graph
        self.loader = loader or FakeLoader()
        self._options = {'context': graph.context, 'use_global_arguments': False}
        arguments: list[str] = []
        for override in overrides:
            arguments += ['-p', override]
        self.nodes = self._made(namespace, arguments)
        self.node = next(node for node in self.nodes if isinstance(node, TrackerNode))
        self.spinners = [Spinner(node) for node in self.nodes]
        self.prefix = f'/{namespace}/sam2_tracker'
        self.camera = graph.publisher(Image, f'/{namespace}/image', 1000)
        self.objects: Inbox = graph.inbox(TrackedObjects, f'{self.prefix}/objects', 1000)
        self.rosout: Inbox = graph.inbox(Log, '/rosout', 1000)
        self._logger_name = self.prefix.strip('/').replace('/', '.')
        self.sent = 0
        self._is_closed = False
        if active:
            self.activate()

    def _made(self, namespace: str, arguments: list[str]) -> list[Node]:
        if not self.is_one_of_several:
            return [TrackerNode(self.loader, cli_args=['--ros-args', '-r', f'__ns:=/{namespace}',
                                                       *arguments], **self._options)]
        cameras = f'cameras:=[{namespace}, {namespace}_beside]'
        owner = TrackersNode(
            self.loader, cli_args=['--ros-args', '-p', cameras, *arguments], **self._options)
        return [owner, *owner.cameras]

    @property
    def predictor(self) -> GatedPredictor:
        """Return the fake model."""
        return self.loader.predictor

    def activate(self) -> None:
        """Configure and activate."""
        assert self.node.trigger_configure() == SUCCESS
        assert self.node.trigger_activate() == SUCCESS
        wait_until(self.camera.get_subscription_count, what='the image subscription')
        wait_until(lambda: self.graph.node.count_publishers(f'{self.prefix}/objects'))

    def close(self) -> None:
        """Stop the node, once."""
        if self._is_closed:
            return
        self._is_closed = True
        if isinstance(self.loader, FakeLoader):
            self.loader.may_load.set()
            self.predictor.gate.set()
        for node in self.nodes:
            assert not isinstance(node, TrackerNode) or node.close(TIMEOUT_S)
        self.leave()

    def leave(self) -> None:
        """Let the nodes go, whatever state they are in."""
        for spinner in self.spinners:
            spinner.stop()
        for node in self.nodes:
            node.destroy_node()

    def wait_for_line(self, text: str, level: int = Log.WARN) -> str:
        """Wait until the node has logged a text at a level."""
        return self.rosout.wait_for(
            lambda line: line.name == self._logger_name and line.level == level
            and text in line.msg).msg

    def lines(self, text: str) -> list[str]:
        """Return the lines with a text that the node has logged so far."""
        return [line.msg for line in self.rosout.messages
                if line.name == self._logger_name and text in line.msg]

    def call(self, kind: type, name: str, **fields: Any) -> Any:
        """Call one of its services."""
        return self.graph.call(kind, f'{self.prefix}/{name}', kind.Request(**fields))

    def stamp_ns(self, number: int) -> int:
        """Return the stamp of the picture with a number."""
        return START_NS + number * STEP_NS

    def send(self, number: int | None = None, hw: tuple[int, int] = (48, 64),
             stamp_ns: int | None = None) -> int:
        """Send a picture with a number of its own; return its stamp."""
        number = self.sent if number is None else number
        self.sent = number + 1
        pixels = np.zeros((*hw, 3), np.uint8)
        pixels[0, 0, 1] = number % 256
        stamp_ns = self.stamp_ns(number) if stamp_ns is None else stamp_ns
        header = Header(stamp=stamp_to_msg(stamp_ns), frame_id='camera')
        self.camera.publish(image_to_msg(pixels, 'rgb8', header))
        return stamp_ns

    def result(self, stamp_ns: int, after: int = 0) -> TrackedObjects:
        """Wait for the result of a frame, not among the first `after` results."""
        return self.objects.wait_for(
            lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns, after)

    def track(self, count: int = 1) -> int:
        """Send pictures one by one, each when the one before is tracked; return the last stamp."""
        for _ in range(count):
            before = len(self.objects.messages)
            stamp_ns = self.send()
            self.result(stamp_ns, before)
        return stamp_ns


def click(object_id: int = 0, x: float = 20.0, y: float = 20.0, label: str = '',
          positive: int = 1) -> Prompt:
    """Return a prompt with one point."""
    return Prompt(object_id=object_id, label=label, points=[Point(x=x, y=y)],
                  point_labels=[positive])


def ask(rig: NodeRig, *prompts: Prompt, stamp_ns: int = 0, **fields: Any) -> AddPrompts.Response:
    """Call add_prompts; stamp 0 is the newest buffered frame."""
    return rig.call(AddPrompts, 'add_prompts', prompts=list(prompts),
                    stamp=stamp_to_msg(stamp_ns), **fields)


def until_done(request: Callable[[], Any]) -> Any:
    """Ask until it is done and return that reply: what took too long has changed nothing."""
    return wait_until(lambda: (reply := request()).success and reply)
