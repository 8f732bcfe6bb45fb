# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""How a command ends where what it was given is of no use: a sentence and exit code 2."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from sam2_tracker.core.errors import TrackerError


@contextmanager
def refusing(parser: argparse.ArgumentParser) -> Iterator[None]:
    """
    End the command with the sentence of what is raised within.

    :raises SystemExit: with 2, for errors of files and of what is in them
    """
    try:
        yield
    except (OSError, ValueError, TrackerError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
