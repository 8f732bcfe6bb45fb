# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The process of the console: the HTTP server's loop in the main thread, ROS in another.

Apart: import, it needs ROS, which takes seconds to import, and `console` hears a stop before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
import contextlib

from rclpy.node import Node
from sam2_tracker.ros.client.console_client import ConsoleClient
from sam2_tracker.ros.log import log_to
from sam2_tracker.ros.standing_node import configured_node
from sam2_tracker.ros.stop_request import StopRequest
from sam2_tracker.web.server import ConsoleServer
from sam2_tracker.web.settings import CONSOLE_SPECS, ConsoleConfig

LOOK_PERIOD_S = 0.1


def run(arguments: Sequence[str], stop: StopRequest) -> None:
    """
    Serve until asked to stop.

    :raises ConfigError: an argument or a parameter is not accepted
    """
    with configured_node('console', ConsoleConfig, CONSOLE_SPECS, arguments) as (node, config):
        asyncio.run(_serve(node, config, stop))


async def _serve(node: Node, config: ConsoleConfig, stop: StopRequest) -> None:
    client = ConsoleClient(node, config)
    server = ConsoleServer(client, config, log_to(node.get_logger()))
    await server.start()
    node.get_logger().info(f'the console of {client.tracker} is at {server.address}')
    if server.token_file is not None:
        # Not the token itself: logs are kept, and read by others.
        node.get_logger().info(f'browsers have to show the token in {server.token_file}: it goes '
                               f'behind the address, as {server.address}#token=...')
    if not config.is_local and config.tls_cert is None:
        node.get_logger().warning(
            'pictures, prompts and the token go over the network in clear: tls_cert and tls_key '
            'make it https')
    while not stop.is_made():
        await asyncio.sleep(LOOK_PERIOD_S)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(server.stop(), 3.0)
