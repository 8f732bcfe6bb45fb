# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What can go wrong offline, and the exit code that tells a script which it was."""

from __future__ import annotations

import enum

from sam2_tracker.core.errors import (
    ConfigError,
    FrameError,
    ModelError,
    PromptError,
    StorageError,
    TrackerError,
)


class SourceError(StorageError):
    """A recording is missing, damaged or without images."""


class OutputError(StorageError):
    """An output exists already, or cannot be written."""


class ExitCode(enum.IntEnum):
    """
    How the command ends; 1 is left to what nobody foresaw.

    With `DAMAGED` all outputs are there, but frames of a source could not be read.
    """

    DONE = 0
    USAGE = 2
    SOURCE = 3
    OUTPUT = 4
    MODEL = 5
    DAMAGED = 6
    INTERRUPTED = 130
    TERMINATED = 143


_CODES: tuple[tuple[type[TrackerError], ExitCode], ...] = (
    (SourceError, ExitCode.SOURCE), (FrameError, ExitCode.SOURCE),
    (OutputError, ExitCode.OUTPUT), (ModelError, ExitCode.MODEL),
    (ConfigError, ExitCode.USAGE), (PromptError, ExitCode.USAGE),
    (StorageError, ExitCode.USAGE))  # fmt: skip


def exit_code_of(error: TrackerError) -> ExitCode:
    """Return the exit code for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.USAGE)
