# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What a recording is to the rest of the offline command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sam2_tracker.core.types import UInt8Array


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """
    One image of a recording.

    :param stamp_ns: a bag's header stamp; for others the time since the first frame
    :param recorded_ns: a bag's own time of the message; for others the same as the stamp
    :param frame_id: the camera's coordinate frame, '' where there is none
    :param image_rgb: (height, width, 3) uint8
    :param payload: the JPEG as it was stored, if it was one
    :param file_name: of a picture of its own; '' where there is none, or one that others share
    """

    stamp_ns: int
    recorded_ns: int
    frame_id: str
    image_rgb: UInt8Array
    payload: bytes | None = None
    file_name: str = ''


class Source(Protocol):
    """A recording that can be read from its first frame to its last, more than once."""

    @property
    def path(self) -> Path:
        """Return where it lies."""

    @property
    def frame_count(self) -> int | None:
        """Return the number of its frames, None where only reading all of it would tell."""

    @property
    def rate_hz(self) -> float | None:
        """Return its frames a second, None if that is not known without reading it."""

    @property
    def damage(self) -> str:
        """Return what the last reading had to leave out, as a sentence; empty if nothing."""

    def frames(self) -> Iterator[SourceFrame]:
        """
        Yield all frames in their order, each call from the first one on.

        :raises FrameError: if a frame is damaged, naming the file and the frame's number
        """

    def close(self) -> None:
        """Let go of its files."""
