# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""How the core tells what happened, without a logging system of its own."""

from __future__ import annotations

from collections.abc import Callable
import enum


class Level(enum.Enum):
    """How much a line matters: a refusal is a WARN, ERROR is for faults."""

    INFO = 'info'
    WARN = 'warn'
    ERROR = 'error'


Log = Callable[[Level, str], None]


def silent(_level: Level, _sentence: str) -> None:
    """Say nothing."""
