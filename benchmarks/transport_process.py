# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The programs between which `benchmarks.transport` sends images, and which ask each other.

    python -m benchmarks.transport_process camera SECONDS | subscriber | server | call | get

Each prints one line of JSON. Camera and subscriber share this machine's steady clock, which is in
the images' stamps. `call` and `get` ask once and wait without an end, as `ros2 service call` and
`ros2 param get` do. Settings of the transport are those of the environment.

Apart: process, several of them.
"""

from __future__ import annotations

import array
from collections.abc import Callable
import json
import sys
import time
from typing import Any

from benchmarks.transport_cells import Cell, CELLS, RELIABILITIES
from rcl_interfaces.srv import GetParameters
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

_SERVER = 'transport_server'
_MATCH_TIMEOUT_S = 120.0
# Until the last image of a cell has come, or never will; less where little is sent.
_DRAIN_S = 0.5
_SERVICE_DEPTH = 1000


def camera(node: Node, seconds: str) -> None:
    """Publish each cell's images for so long, and print how many of each."""
    publishers = {name: node.create_publisher(Image, _topic(name), _qos(name))
                  for name in RELIABILITIES}
    deadline_s = time.monotonic() + _MATCH_TIMEOUT_S
    while not all(each.get_subscription_count() for each in publishers.values()):
        if time.monotonic() > deadline_s:
            raise SystemExit('the subscriber was not found')
        time.sleep(0.05)
    sent = {}
    for cell in CELLS:
        sent[cell.name] = _publish(publishers[cell.reliability], cell, float(seconds))
        time.sleep(min(_DRAIN_S, float(seconds)))
    _print(sent)


def _topic(reliability: str) -> str:
    return f'/transport/{reliability.replace(" ", "_")}'


def _qos(reliability: str) -> QoSProfile:
    return QoSProfile(depth=5, history=HistoryPolicy.KEEP_LAST, reliability=(
        ReliabilityPolicy.RELIABLE if reliability == 'reliable'
        else ReliabilityPolicy.BEST_EFFORT))


def _publish(publisher: Any, cell: Cell, seconds: float) -> int:
    message = Image(width=cell.width, height=cell.height, step=3 * cell.width, encoding='rgb8',
                    data=array.array('B', bytes(3 * cell.width * cell.height)))
    message.header.frame_id = cell.name
    count = max(1, round(seconds * cell.rate_hz))
    begun_s = time.monotonic()
    for index in range(count):
        stamp = message.header.stamp
        stamp.sec, stamp.nanosec = divmod(time.monotonic_ns(), 10 ** 9)
        publisher.publish(message)
        time.sleep(max(0.0, begun_s + (index + 1) / cell.rate_hz - time.monotonic()))
    return count


def subscriber(node: Node) -> None:
    """Take images until asked to stop, then print each one's milliseconds on the way, by cell."""
    late_ms: dict[str, list[float]] = {cell.name: [] for cell in CELLS}

    def on_image(message: Image) -> None:
        stamp = message.header.stamp
        late_ns = time.monotonic_ns() - 10 ** 9 * stamp.sec - stamp.nanosec
        late_ms[message.header.frame_id].append(late_ns / 1e6)

    for name in RELIABILITIES:
        node.create_subscription(Image, _topic(name), on_image, _qos(name))
    _spin(node)
    _print(late_ms)


def server(node: Node) -> None:
    """Answer a service, and requests for a parameter, until asked to stop."""
    node.declare_parameter('number', 1)
    node.create_service(Trigger, '~/trigger', lambda request, reply: reply,
                        qos_profile=QoSProfile(depth=_SERVICE_DEPTH))
    _spin(node)
    _print('stopped')


def call(node: Node) -> None:
    """Call the service once, and print the seconds that it took."""
    _ask(node, Trigger, f'/{_SERVER}/trigger', Trigger.Request())


def get(node: Node) -> None:
    """Ask for the parameter once, and print the seconds that it took."""
    _ask(node, GetParameters, f'/{_SERVER}/get_parameters',
         GetParameters.Request(names=['number']))


def _ask(node: Node, kind: Any, name: str, request: Any) -> None:
    begun_s = time.monotonic()
    client = node.create_client(kind, name)
    client.wait_for_service()
    rclpy.spin_until_future_complete(node, client.call_async(request))
    _print(time.monotonic() - begun_s)


def _spin(node: Node) -> None:
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        return


def _print(found: object) -> None:
    print(json.dumps(found), flush=True)


_ROLES: dict[str, Callable[..., None]] = {
    'camera': camera, 'subscriber': subscriber, 'server': server, 'call': call, 'get': get}


if __name__ == '__main__':
    role, *rest = sys.argv[1:]
    rclpy.init()
    _ROLES[role](Node(f'transport_{role}'), *rest)
    rclpy.try_shutdown()
