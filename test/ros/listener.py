# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Prints the messages of topics as JSON, a line each: [topic, message]; the first says it listens.

A process of its own, as its messages may be of packages that the tests' own process cannot import.
For example: python listener.py /annotations foxglove_msgs ImageAnnotations
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile


def plain(value: Any) -> Any:
    """Return a message, or a part of one, as JSON has it."""
    if hasattr(value, 'get_fields_and_field_types'):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, (str, int, float, bool)):
        return value
    return [plain(item) for item in value]


def say(topic: str, content: Any) -> None:
    """Print a line that is there whole at once."""
    sys.stdout.write(f'{json.dumps([topic, content])}\n')
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Listen until this process is ended."""
    rclpy.init()
    node = rclpy.create_node('listener')
    kinds = {}
    for topic, package, name in zip(*[iter(arguments)] * 3, strict=True):
        kind = kinds[topic] = getattr(importlib.import_module(f'{package}.msg'), name)
        # What is latched comes to late subscribers too.
        durability = (DurabilityPolicy.TRANSIENT_LOCAL if name == 'LabelInfo'
                      else DurabilityPolicy.VOLATILE)
        node.create_subscription(
            kind, topic, lambda msg, topic=topic: say(topic, plain(msg)),
            QoSProfile(depth=10, durability=durability))
    say('listening', sorted(kinds))
    rclpy.spin(node)


if __name__ == '__main__':
    main(sys.argv[1:])
