# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Let the core write to the node's log."""

from __future__ import annotations

from rclpy.impl.rcutils_logger import RcutilsLogger

from sam2_tracker.core.log import Level, Log


def log_to(logger: RcutilsLogger) -> Log:
    """Return the core's log function that writes to a ROS logger."""

    def write(level: Level, sentence: str) -> None:
        # rcutils remembers a call site's level, so each level needs its own line.
        if level is Level.ERROR:
            logger.error(sentence)
        elif level is Level.WARN:
            logger.warning(sentence)
        else:
            logger.info(sentence)

    return write
