# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The core's log function in ROS: the lines of every executable's node."""

from __future__ import annotations

from rclpy.impl.rcutils_logger import RcutilsLogger
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.text import printable_lines


def log_to(logger: RcutilsLogger) -> Log:
    """Return the core's log function that writes to a ROS logger."""

    def write(level: Level, sentence: str) -> None:
        sentence = printable_lines(sentence)
        # rcutils remembers a call site's level, so each level needs its own line.
        if level is Level.ERROR:
            logger.error(sentence)
        elif level is Level.WARN:
            logger.warning(sentence)
        else:
            logger.info(sentence)

    return write
