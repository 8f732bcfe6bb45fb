# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the console needs from a tracker, wherever it runs: its pictures, results and services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.types import Prompt, TrackedObject, UInt8Array, UInt16Array  # noqa: I101

Labels = Callable[[], UInt16Array]


class NoAnswerError(TrackerError):
    """A request may or may not have taken effect: whoever made it asks for the list."""


@dataclass(frozen=True, eq=False)
class Picture:
    """
    One picture of the camera.

    :param stamp_ns: of its header
    :param hw: height and width in pixels
    :param pixels: makes (height, width, 3) uint8 RGB of it; called in another thread, if at all
    :param jpeg: the JPEG that it came as, None if it came as something else
    """

    stamp_ns: int
    hw: tuple[int, int]
    pixels: Callable[[], UInt8Array]
    jpeg: bytes | None = None


@dataclass(frozen=True)
class Health:
    """
    What the tracker says of itself, or what the client has to say in its place.

    :param level: ok, warning or error
    :param state: of its life cycle; `away` if there is no tracker
    :param sentence: for the operator
    :param figures: as in its diagnostics
    """

    level: str
    state: str
    sentence: str
    figures: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Tell whether results can be expected."""
        return self.state == 'active' and not self.is_paused

    @property
    def is_paused(self) -> bool:
        """Tell whether tracking is paused."""
        return self.figures.get('paused') == 'true'


@dataclass(frozen=True, eq=False)
class PromptCall:
    """
    One prompt for the frame of a stamp.

    :param prompt: None of points, box and label with `clear_previous`: take back what there is
    :param stamp_ns: the frame's, 0 for the newest
    """

    prompt: Prompt
    stamp_ns: int
    clear_previous: bool = False
    preview_only: bool = False
    with_label_image: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """
    What the tracker answered.

    :param is_done: False where it refused
    :param sentence: why it refused, or what it says besides
    :param stamp_ns: of the frame that was prompted
    :param objects: as they are there
    :param labels: (height, width) uint16, pixel = object id; None if not asked for
    :param removed: id of an object that went with the prompt that made it, 0 for none
    """

    is_done: bool
    sentence: str = ''
    stamp_ns: int = 0
    objects: tuple[TrackedObject, ...] = ()
    labels: UInt16Array | None = None
    removed: int = 0


class Observer(Protocol):
    """Is told what comes from the tracker, in the thread of the server's loop."""

    def on_picture(self, picture: Picture) -> None:
        """Take a picture of the camera."""

    def on_objects(self, stamp_ns: int, objects: tuple[TrackedObject, ...]) -> None:
        """Take the objects of a frame."""

    def on_labels(self, stamp_ns: int, labels: Labels) -> None:
        """Take the masks of a frame; `labels` makes the label image in another thread."""

    def on_health(self, health: Health) -> None:
        """Take how the tracker is: about once a second."""


class TrackerClient(Protocol):
    """
    The tracker from outside; all is called in the thread of the server's loop.

    Each service raises `NoAnswerError` where none comes in time, and never asks twice.
    """

    @property
    def tracker(self) -> str:
        """Return the tracker's name."""

    def start(self, observer: Observer) -> None:
        """Begin to tell what comes; health and objects always."""

    def watch(self, is_watched: bool) -> None:
        """Say whether pictures and masks are wanted."""

    def close(self) -> None:
        """Tell nothing any more."""

    async def prompt(self, call: PromptCall) -> Answer:
        """Prompt one object."""

    async def list_objects(self) -> Answer:
        """Ask for every object with its newest state."""

    async def remove(self, object_id: int) -> Answer:
        """Forget one object."""

    async def reset(self) -> Answer:
        """Forget every object."""

    async def pause(self, is_paused: bool) -> Answer:
        """Stop tracking, or go on."""

    async def save_memory(self, name: str) -> Answer:
        """Write what is remembered of all objects to a file."""

    async def load_memory(self, name: str) -> Answer:
        """Track the objects of such a file."""
