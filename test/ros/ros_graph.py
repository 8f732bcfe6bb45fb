# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A test's own end of the ROS graph: inboxes, service calls, and a thread that spins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
import threading
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sam2_tracker.ros.qos import SERVICE
from waiting import TIMEOUT_S, wait_until

# What a test holds up goes on by itself in the end, but not before the test gives up waiting.
HELD_S = 2 * TIMEOUT_S


class Inbox:
    """Collects a topic's messages."""

    def __init__(self, graph: Graph, kind: type, topic: str, qos: QoSProfile | int = 100) -> None:
        self.messages: list[Any] = []
        self._changed = threading.Condition()
        self._graph = graph
        self._subscription = graph.node.create_subscription(kind, topic, self._on_message, qos)

    def _on_message(self, message: Any) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[Any], bool] = lambda _: True, after: int = 0,
                 timeout_s: float = TIMEOUT_S) -> Any:
        """Return the first wanted message, not counting the first `after`."""
        def found() -> Any:
            return next((item for item in self.messages[after:] if wanted(item)), None)
        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, timeout_s), (
                f'no such message on {self._subscription.topic_name}; '
                f'{len(self.messages)} others')
            return found()

    def wait_for_count(self, count: int, timeout_s: float = TIMEOUT_S) -> list[Any]:
        """Return all messages once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.messages) >= count, timeout_s), (
                f'{len(self.messages)} of {count} on {self._subscription.topic_name}')
            return list(self.messages)

    def close(self) -> None:
        """Unsubscribe."""
        self._graph.node.destroy_subscription(self._subscription)


class Graph:
    """A node of the test's own, spun by a thread."""

    def __init__(self, domain_id: int, name: str = 'test') -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = Node(name, context=self.context, enable_rosout=False)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while self.context.ok():
            try:
                self.executor.spin()
                return
            except ExternalShutdownException:
                return
            except rclpy_implementation.InvalidHandle:
                continue  # A test destroyed an entity between the wake-up and its turn.

    def inbox(self, kind: type, topic: str, qos: QoSProfile | int = 100) -> Inbox:
        """Subscribe."""
        return Inbox(self, kind, topic, qos)

    def publisher(self, kind: type, topic: str, qos: QoSProfile | int = 100) -> Any:
        """Advertise."""
        return self.node.create_publisher(kind, topic, qos)

    def call_async(self, kind: type, name: str, request: Any = None) -> Any:
        """Call a service and return the future."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(
                kind, name, qos_profile=SERVICE)
        assert client.wait_for_service(TIMEOUT_S), f'service {name} is not there'
        return client.call_async(kind.Request() if request is None else request)

    def call(self, kind: type, name: str, request: Any = None,
             timeout_s: float = TIMEOUT_S) -> Any:
        """Call a service and return the response."""
        future = self.call_async(kind, name, request)
        wait_until(future.done, timeout_s, f'a reply of {name}')
        return future.result()

    def close(self) -> None:
        """Leave the graph."""
        self.executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()
        self.context.try_shutdown()


@contextmanager
def graph_in(domain_id: int) -> Any:
    """Join a domain for the duration of a `with` block."""
    graph = Graph(domain_id)
    try:
        yield graph
    finally:
        graph.close()
