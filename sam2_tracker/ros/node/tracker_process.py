# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The process around the node: executor, autostart, and an end that is always clean.

Apart: import, it needs ROS, which takes seconds to import, and `tracker_main` hears a stop before.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import sys
import threading
from typing import NoReturn

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.signals import SignalHandlerOptions
from sam2_tracker.core.errors import ConfigError, one_line
from sam2_tracker.core.process import keep_freed_memory, spin_briefly, take_short_turns
from sam2_tracker.ros.node.engine import ModelLoader
from sam2_tracker.ros.node.executor import Spinner
from sam2_tracker.ros.node.tracker_node import TrackerNode
from sam2_tracker.ros.parameters import refuse_unmatched_files
from sam2_tracker.ros.stop_request import StopRequest

# `ros2 launch` sends SIGTERM 5 s after SIGINT.
STOP_TIMEOUT_S = 4.0
# Whatever hangs then, the process ends: what it left is removed by the next start.
LAST_RESORT_S = 4.8
USAGE_EXIT_CODE = 2


def run(arguments: Sequence[str], stop: StopRequest,
        loader: ModelLoader | None = None) -> int:
    """
    Run the node until it is asked to stop; then the process ends here, with exit code 0.

    :returns: the exit code if the node could not be started
    """
    take_short_turns()
    spin_briefly()
    keep_freed_memory()
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
        node = TrackerNode(loader)
        refuse_unmatched_files(arguments, node.get_fully_qualified_name())
    except (ConfigError, rclpy_implementation.RCLError) as error:
        sys.stderr.write(f'tracker: {one_line(error)}\n')
        rclpy.try_shutdown()
        return USAGE_EXIT_CODE
    spinner = Spinner(node)
    starter = threading.Thread(target=node.autostart, name='autostart', daemon=True)
    starter.start()
    stop.wait()
    last_resort = threading.Timer(LAST_RESORT_S, _leave)
    last_resort.daemon = True
    last_resort.start()
    # A model that is being loaded cannot be interrupted: the process ends all the same.
    if node.close(STOP_TIMEOUT_S):
        starter.join()
        spinner.stop()
        node.destroy_node()
        rclpy.try_shutdown()
    _leave()


def _leave() -> NoReturn:
    # Everything is stopped. What is left is to unload torch: that takes seconds on a busy machine.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
