# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What all commands have in common: how they end where what they were given is of no use.

That is a sentence on standard error and exit code 2, as argparse itself does; 1 is for work that
failed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import math
import sys

from sam2_tracker.core.errors import one_line, TrackerError

WORK_EXIT_CODE = 1
USAGE_EXIT_CODE = 2


@contextmanager
def refusing(prog: str) -> Iterator[None]:
    """
    End the command with the sentence of what is raised within, where it looks at what it is given.

    :param prog: the command, as its parser calls it
    :raises SystemExit: with 2, for errors of files and of what is in them
    """
    with _ending(prog, USAGE_EXIT_CODE, OSError, ValueError, TrackerError):
        yield


@contextmanager
def writing(prog: str) -> Iterator[None]:
    """
    End the command with the sentence of what is raised within, where it writes what it has made.

    :param prog: the command, as its parser calls it
    :raises SystemExit: with 1, for errors of files
    """
    with _ending(prog, WORK_EXIT_CODE, OSError):
        yield


@contextmanager
def _ending(prog: str, code: int, *kinds: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        sys.stderr.write(f'{prog}: {one_line(error)}\n')
        raise SystemExit(code) from error


def positive_int(text: str) -> int:
    """Read an option that counts something: a whole number above 0."""
    return int(_above_0(text, int))


def positive_float(text: str) -> float:
    """Read an option that measures something: a finite number above 0."""
    return _above_0(text, float)


def _above_0(text: str, kind: type[int] | type[float]) -> float:
    words = 'whole number' if kind is int else 'number'
    try:
        number = kind(text)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r} is not a {words} above 0')
    return number
