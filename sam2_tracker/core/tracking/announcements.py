# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Saying, once, that an object was lost or found again."""

from __future__ import annotations

from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.types import ObjectState, TrackedObject


def object_name(shown: TrackedObject) -> str:
    """Return how messages call an object."""
    return f'object {shown.id} ({shown.label})' if shown.label else f'object {shown.id}'


def announce(shown: TrackedObject, before: ObjectState, lost_after_s: float, log: Log) -> None:
    """
    Log that an object was lost or found again, if it was.

    :param before: its state on the frame before
    """
    if shown.state is ObjectState.LOST and before is not ObjectState.LOST:
        log(Level.WARN, f'{object_name(shown)} is lost: not seen for more than {lost_after_s:g} s')
    elif before is ObjectState.LOST and shown.state is ObjectState.VISIBLE:
        log(Level.INFO, f'{object_name(shown)} is found again')
