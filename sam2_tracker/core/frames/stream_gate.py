# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Which images of a stream go together."""

from __future__ import annotations

from sam2_tracker.core.frames.stored_frame import Session

RESTART_NS = 1_000_000_000


class StreamGate:
    """Sorts images into sessions by their stamps and sizes."""

    def __init__(self) -> None:
        self._session = Session(number=0, timeline=0)
        self._last_stamp_ns: int | None = None
        self._source_hw = (0, 0)

    def admit(self, stamp_ns: int, source_hw: tuple[int, int]) -> Session | None:
        """
        Return the session that an image belongs to, None if it is to be dropped.

        An equal stamp, or one that goes back by less than 1 s, drops the image. One that goes
        back further, as when a bag is looped, begins a new session on a new timeline; another
        size begins a new session on the same one.
        """
        if self._last_stamp_ns is not None:
            back_ns = self._last_stamp_ns - stamp_ns
            if 0 <= back_ns < RESTART_NS:
                return None
            restarted = back_ns >= RESTART_NS
            if restarted or source_hw != self._source_hw:
                self._session = Session(self._session.number + 1,
                                        self._session.timeline + restarted)
        self._last_stamp_ns, self._source_hw = stamp_ns, source_hw
        return self._session
