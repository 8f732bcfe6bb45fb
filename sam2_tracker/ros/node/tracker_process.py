# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The process around the nodes: executors, autostart, and an end that is always clean.

Apart: import, it needs ROS, which takes seconds to import, and `tracker_main` hears a stop before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
import os
import sys
import threading
from typing import NoReturn

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sam2_tracker.core.command_line import USAGE_EXIT_CODE
from sam2_tracker.core.errors import ConfigError, one_line
from sam2_tracker.core.process import keep_freed_memory, spin_briefly, take_short_turns
from sam2_tracker.ros.node.engine import ModelLoader
from sam2_tracker.ros.node.executor import Spinner
from sam2_tracker.ros.node.tracker_node import TrackerNode
from sam2_tracker.ros.node.trackers_node import TrackersNode
from sam2_tracker.ros.parameters import refuse_unmatched_files
from sam2_tracker.ros.stop_request import StopRequest

# `ros2 launch` sends SIGTERM 5 s after SIGINT.
STOP_TIMEOUT_S = 4.0
# Whatever hangs then, the process ends: what it left is removed by the next start.
LAST_RESORT_S = 4.8


def run(arguments: Sequence[str], stop: StopRequest,
        loader: ModelLoader | None = None) -> int:
    """
    Run the node until it is asked to stop; then the process ends here, with exit code 0.

    :returns: the exit code if the node could not be started
    """
    return _run(arguments, stop, 'tracker', lambda: [TrackerNode(loader)])


def run_cameras(arguments: Sequence[str], stop: StopRequest,
                loader: ModelLoader | None = None) -> int:
    """
    Run the node `trackers` and those of its cameras, as `run` does.

    :returns: the exit code if the nodes could not be started
    """
    def make() -> list[Node]:
        owner = TrackersNode(loader)
        return [owner, *owner.cameras]

    return _run(arguments, stop, 'trackers', make)


def _run(arguments: Sequence[str], stop: StopRequest, name: str,
         make: Callable[[], Sequence[Node]]) -> int:
    take_short_turns()
    spin_briefly()
    keep_freed_memory()
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
        nodes = make()
        refuse_unmatched_files(arguments, *(node.get_fully_qualified_name() for node in nodes))
    except (ConfigError, rclpy_implementation.RCLError) as error:
        sys.stderr.write(f'{name}: {one_line(error)}\n')
        rclpy.try_shutdown()
        return USAGE_EXIT_CODE
    running = RunningNodes(nodes)
    stop.wait()
    last_resort = threading.Timer(LAST_RESORT_S, _leave)
    last_resort.daemon = True
    last_resort.start()
    # A model that is being loaded cannot be interrupted: the process ends all the same.
    if running.close(STOP_TIMEOUT_S):
        rclpy.try_shutdown()
    _leave()


class RunningNodes:
    """
    Nodes that run, each with threads of its own: what one does keeps no other waiting.

    Trackers among them start by themselves, if their parameter `autostart` says so.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._spinners = [Spinner(node) for node in nodes]
        self._trackers = [node for node in nodes if isinstance(node, TrackerNode)]
        self._starters = [_thread(node.autostart, 'autostart') for node in self._trackers]

    def close(self, timeout_s: float) -> bool:
        """
        Bring all trackers to their final state, at the same time, and let the nodes go.

        :returns: False if a transition that was under way has not ended in time
        """
        ended: list[TrackerNode] = []

        def close(node: TrackerNode) -> None:
            if node.close(timeout_s):
                ended.append(node)

        closers = [_thread(partial(close, node), 'close') for node in self._trackers]
        for closer in closers:
            closer.join()
        if len(ended) < len(self._trackers):
            return False
        for starter in self._starters:
            starter.join()
        for spinner in self._spinners:
            spinner.stop()
        for node in self._nodes:
            node.destroy_node()
        return True


def _thread(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def _leave() -> NoReturn:
    # Everything is stopped. What is left is to unload torch: that takes seconds on a busy machine.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
