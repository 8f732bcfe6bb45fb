# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is to be shown: pictures wait for the objects and masks of the same frame."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import TypeVar

from sam2_tracker.core.types import TrackedObject
from sam2_tracker.web.tracker_client import Health, Labels, Picture

# A camera of 30 frames a second and a tracker that is two seconds behind.
MAX_PICTURES = 60
MAX_BYTES = 256 * 1024 ** 2
MAX_RESULTS = 120
BYTES_PER_PIXEL = 3
# So long, or three times as long as results usually take, pictures wait for masks.
PATIENCE_S = 1.0
MAX_PATIENCE_S = 10.0

Objects = tuple[TrackedObject, ...]
Kept = TypeVar('Kept')


@dataclass(frozen=True, eq=False)
class Shown:
    """
    One picture to be shown, and what belongs to it.

    :param number: one more than that of the one before
    :param objects: of that very frame, or with `is_result` False the newest known
    :param labels: makes the label image, None where nothing is to be drawn
    :param is_result: whether objects and masks are those of this picture
    """

    number: int
    picture: Picture
    objects: Objects
    labels: Labels | None
    is_result: bool


class Stream:
    """
    Joins pictures, objects and masks by their stamps; used in one thread.

    Where no results are to be expected (no objects yet, paused, nobody there), and where they do
    not come, pictures are shown as they are.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._pictures: OrderedDict[int, Picture] = OrderedDict()
        self._objects: OrderedDict[int, Objects] = OrderedDict()
        self._labels: OrderedDict[int, Labels] = OrderedDict()
        self._is_active = False
        self._joined_at_s = -MAX_PATIENCE_S
        self._interval_s = 0.0
        self._changed = asyncio.Event()
        self.objects: Objects = ()
        self.newest: Shown | None = None

    async def newer_than(self, number: int) -> Shown:
        """Wait for a picture with a larger number; return the newest."""
        while self.newest is None or self.newest.number <= number:
            await self._changed.wait()
        return self.newest

    def on_health(self, health: Health) -> None:
        """Take in whether results are to be expected."""
        self._is_active = health.is_active

    def on_picture(self, picture: Picture) -> None:
        """Show a picture, or keep it until its masks come."""
        self._pictures[picture.stamp_ns] = picture
        self._drop_old()
        if self._waits_for_results():
            self._join(picture.stamp_ns)
        else:
            self._show(picture, self.objects, None, is_result=False)

    def on_objects(self, stamp_ns: int, objects: Objects) -> None:
        """Take the objects of a frame."""
        if objects and not self.objects:
            # The first one: from now on pictures wait, and patience begins.
            self._joined_at_s = self._now_s()
        self.objects = objects
        _keep(self._objects, stamp_ns, objects)
        self._join(stamp_ns)

    def on_labels(self, stamp_ns: int, labels: Labels) -> None:
        """Take the masks of a frame."""
        _keep(self._labels, stamp_ns, labels)
        self._join(stamp_ns)

    def forget_pictures(self) -> None:
        """Drop what is kept, since nobody looks."""
        self._pictures.clear()
        self._labels.clear()
        self.newest = None

    def _waits_for_results(self) -> bool:
        patience_s = min(max(PATIENCE_S, 3 * self._interval_s), MAX_PATIENCE_S)
        is_recent = self._now_s() - self._joined_at_s <= patience_s
        return self._is_active and bool(self.objects) and is_recent

    def _join(self, stamp_ns: int) -> None:
        picture, labels = self._pictures.get(stamp_ns), self._labels.get(stamp_ns)
        objects = self._objects.get(stamp_ns)
        if picture is None or not objects or labels is None:
            return
        now_s = self._now_s()
        self._interval_s = 0.7 * self._interval_s + 0.3 * min(
            now_s - self._joined_at_s, MAX_PATIENCE_S)
        self._joined_at_s = now_s
        self._show(picture, objects, labels, is_result=True)
        for old in [known for known in self._pictures if known <= stamp_ns]:
            del self._pictures[old]

    def _show(self, picture: Picture, objects: Objects, labels: Labels | None,
              *, is_result: bool) -> None:
        number = self.newest.number + 1 if self.newest else 1
        self.newest = Shown(number, picture, objects, labels, is_result)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _drop_old(self) -> None:
        def nbytes(picture: Picture) -> int:
            height, width = picture.hw
            return len(picture.jpeg) if picture.jpeg else height * width * BYTES_PER_PIXEL

        total = sum(nbytes(each) for each in self._pictures.values())
        while len(self._pictures) > 1 and (
                len(self._pictures) > MAX_PICTURES or total > MAX_BYTES):
            total -= nbytes(self._pictures.popitem(last=False)[1])


def _keep(kept: OrderedDict[int, Kept], stamp_ns: int, value: Kept) -> None:
    kept[stamp_ns] = value
    kept.move_to_end(stamp_ns)
    while len(kept) > MAX_RESULTS:
        kept.popitem(last=False)
