# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""How far a refinement may go back: by frames, or by two seconds at the stream's own rate."""

from __future__ import annotations

from collections import deque
import itertools
import statistics

LOOK_BACK_S = 2.0
# What a measured rate can lead to: one frame in two seconds, or one every 16 ms.
MIN_FRAMES = 4
MAX_FRAMES = 120
# Until the rate is known: what 30 frames a second would give.
DEFAULT_FRAMES = 60
RATE_FRAMES = 30


class LookBack:
    """
    The processed frames that a refinement may go back to, and their stamps.

    :param frames: how many, 0 for two seconds at the measured rate
    """

    def __init__(self, frames: int) -> None:
        self.fixed_frames = frames
        self.oldest_index = 0
        self._stamps: deque[tuple[int, int]] = deque()

    @property
    def frames(self) -> int:
        """Return how many processed frames a refinement may go back."""
        if self.fixed_frames > 0:
            return self.fixed_frames
        recent = [stamp_ns for _, stamp_ns in list(self._stamps)[-RATE_FRAMES:]]
        if len(recent) < 3:
            return DEFAULT_FRAMES
        period_ns = statistics.median(
            later - earlier for earlier, later in itertools.pairwise(recent)
        )
        return min(max(round(LOOK_BACK_S * 1e9 / period_ns), MIN_FRAMES), MAX_FRAMES)

    @property
    def oldest_stamp_ns(self) -> int:
        """Return the stamp of the oldest frame that a refinement may go back to."""
        return self._stamps[0][1]

    @property
    def stamps_by_index(self) -> dict[int, int]:
        """Return the stamps of the frames that a refinement may go back to."""
        return dict(self._stamps)

    def add(self, index: int, stamp_ns: int) -> None:
        """
        Take in the newest processed frame.

        What was forgotten stays forgotten: where the rate rises the window grows from now on.
        """
        self._stamps.append((index, stamp_ns))
        self.oldest_index = max(self.oldest_index, index - self.frames)
        while self._stamps[0][0] < self.oldest_index:
            self._stamps.popleft()

    def clear(self) -> None:
        """Begin again, with frame 0 of a new session."""
        self.oldest_index = 0
        self._stamps.clear()
