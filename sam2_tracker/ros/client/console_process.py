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

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sam2_tracker.core.errors import ConfigError, one_line
from sam2_tracker.core.settings import from_values
from sam2_tracker.ros.client.console_client import ConsoleClient
from sam2_tracker.ros.log import log_to
from sam2_tracker.ros.parameters import declare_checked, refuse_unmatched_files, warn_of_unknown
from sam2_tracker.ros.stop_request import StopRequest
from sam2_tracker.web.server import ConsoleServer
from sam2_tracker.web.settings import CONSOLE_SPECS, ConsoleConfig

LOOK_PERIOD_S = 0.1


def run(arguments: Sequence[str], stop: StopRequest) -> None:
    """
    Serve until asked to stop.

    :raises ConfigError: an argument or a parameter is not accepted
    """
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except rclpy_implementation.RCLError as error:
        raise ConfigError(one_line(error)) from error
    try:
        node = rclpy.create_node('console')
        config = from_values(ConsoleConfig, {
            spec.name: declare_checked(node, spec) for spec in CONSOLE_SPECS})
        warn_of_unknown(node)
        refuse_unmatched_files(arguments, node.get_fully_qualified_name())
        asyncio.run(_serve(node, config, stop))
        node.destroy_node()
    finally:
        rclpy.try_shutdown()


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
