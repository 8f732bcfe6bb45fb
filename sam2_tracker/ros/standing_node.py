# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes that run until they are told to stop, beside the tracker's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sam2_tracker.core.errors import ConfigError, one_line
from sam2_tracker.core.settings import from_values, ParameterSpec
from sam2_tracker.ros.parameters import declare_checked, refuse_unmatched_files, warn_of_unknown

Config = TypeVar('Config')

THROTTLE_S = 1.0


@contextmanager
def ros_running(arguments: Sequence[str]) -> Iterator[None]:
    """
    Start ROS for the duration of a `with` block, without handlers of signals.

    :raises ConfigError: an argument is not accepted
    """
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except rclpy_implementation.RCLError as error:
        raise ConfigError(one_line(error)) from error
    try:
        yield
    finally:
        rclpy.try_shutdown()


@contextmanager
def configured_node(name: str, kind: type[Config], specs: Sequence[ParameterSpec],
                    arguments: Sequence[str]) -> Iterator[tuple[Node, Config]]:
    """
    Run ROS with a node whose parameters are settings, for the duration of a `with` block.

    :param kind: the settings' dataclass
    :returns: the node, and its settings
    :raises ConfigError: an argument or a parameter is not accepted
    """
    with ros_running(arguments):
        node = rclpy.create_node(name)
        config = from_values(kind, {spec.name: declare_checked(node, spec) for spec in specs})
        warn_of_unknown(node)
        refuse_unmatched_files(arguments, node.get_fully_qualified_name())
        yield node, config
        node.destroy_node()


def spin(executor: Executor, node: Node, is_ended: Callable[[], bool], period_s: float) -> None:
    """
    Run callbacks until the end; one that fails is said, and ends nothing.

    :param is_ended: asked once in a period
    """
    while not is_ended():
        try:
            executor.spin_once(timeout_sec=period_s)
        except ExternalShutdownException:
            return
        except rclpy_implementation.InvalidHandle:
            continue  # Something was unsubscribed between the wake-up and its turn.
        except Exception as error:  # noqa: BLE001 - one bad message must not end the node
            node.get_logger().error(
                f'a callback failed: {error!r}', throttle_duration_sec=THROTTLE_S)
