# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Whether what was published has reached its subscribers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time

from rclpy.duration import Duration
from rclpy.publisher import Publisher

_NO_TIME = Duration(seconds=0)
_POLL_S = 0.002


def has_arrived(publisher: Publisher) -> bool:
    """
    Tell whether all reliable subscribers have everything.

    Never waits: rclpy holds the interpreter while it waits, so that no thread of the process
    could go on meanwhile.
    """
    return bool(publisher.wait_for_all_acked(_NO_TIME))


class Outgoing:
    """How many messages of each topic may not have arrived yet; one thread uses it."""

    def __init__(self) -> None:
        self._counts: dict[Publisher, int] = {}

    def published(self, publishers: Sequence[Publisher]) -> None:
        """Count a message of each topic that there is; topics that are gone are forgotten."""
        self._counts = {publisher: self._counts.get(publisher, 0) + 1 for publisher in publishers}

    def wait_for_room(self, publishers: Sequence[Publisher], is_over: Callable[[], bool]) -> None:
        """
        Wait until another message of each topic overwrites none that is on its way.

        :param is_over: asked meanwhile whether to give up
        """
        for publisher in publishers:
            while not self._has_room(publisher) and not is_over():
                time.sleep(_POLL_S)

    def _has_room(self, publisher: Publisher) -> bool:
        if has_arrived(publisher):
            self._counts[publisher] = 0
        return self._counts.get(publisher, 0) < int(publisher.qos_profile.depth)
