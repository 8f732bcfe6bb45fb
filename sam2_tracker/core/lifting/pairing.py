# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What belongs together: for each label image its objects, and depth and camera nearest in time.

Depth comes from the camera and label images from the model, later by any time; so depth is kept,
and a label image waits for its partners only as long as they can still come.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
import enum
from typing import Generic, TypeVar

Item = TypeVar('Item')
Labels = TypeVar('Labels')
Objects = TypeVar('Objects')
Depth = TypeVar('Depth')
Info = TypeVar('Info')

NS_PER_S = 1_000_000_000
# A partner that is on its way comes within this, by a clock that never goes back.
WAIT_S = 1.0
# Label images that wait; what comes faster than it is looked at is not waited for.
MOST_WAITING = 32
# However close their stamps are.
MOST_KEPT = 1000


class Missing(enum.Enum):
    """Which partner a label image did not find."""

    DEPTH = 'depth'
    CAMERA_INFO = 'camera_info'
    OBJECTS = 'objects'


@dataclass(frozen=True, eq=False)
class Match(Generic[Labels, Objects, Depth, Info]):
    """A label image with its partners."""

    labels: Labels
    objects: Objects
    depth: Depth
    info: Info


@dataclass(frozen=True)
class Unmatched:
    """
    A label image without one of its partners.

    :param off_by_s: how far the nearest was in time, None if there was none at all
    """

    missing: Missing
    off_by_s: float | None


class Stamped(Generic[Item]):
    """
    Items in the order of their stamps; old ones go.

    :param keep_s: seconds of stamps, back from the newest, that are kept
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_ns = round(keep_s * NS_PER_S)
        self._stamps: list[int] = []
        self._items: list[Item] = []

    @property
    def newest_ns(self) -> int | None:
        """The newest stamp, None while there is no item."""
        return self._stamps[-1] if self._stamps else None

    def may_have_nearer(self, stamp_ns: int) -> bool:
        """Tell whether one may still come that is nearer: more than one came, and none as new."""
        return len(self._stamps) > 1 and self._stamps[-1] < stamp_ns

    def add(self, stamp_ns: int, item: Item) -> None:
        """Take an item; one that is far older than all others begins anew, as a looped bag."""
        if self._stamps and stamp_ns < self._stamps[-1] - self._keep_ns:
            self.clear()
        at = bisect.bisect_left(self._stamps, stamp_ns)
        # Of two with one stamp the later one counts.
        is_there = at < len(self._stamps) and self._stamps[at] == stamp_ns
        self._stamps[at:at + is_there] = [stamp_ns]
        self._items[at:at + is_there] = [item]
        first = bisect.bisect_left(self._stamps, self._stamps[-1] - self._keep_ns)
        first = max(first, len(self._stamps) - MOST_KEPT)
        del self._stamps[:first], self._items[:first]

    def clear(self) -> None:
        """Forget every item."""
        self._stamps, self._items = [], []

    def nearest(self, stamp_ns: int) -> tuple[int, Item] | None:
        """Return the item nearest in time and how far it is, in nanoseconds; None without any."""
        at = bisect.bisect_left(self._stamps, stamp_ns)
        near = range(max(0, at - 1), min(len(self._stamps), at + 1))
        if not near:
            return None
        best = min(near, key=lambda place: abs(self._stamps[place] - stamp_ns))
        return abs(self._stamps[best] - stamp_ns), self._items[best]


class Pairing(Generic[Labels, Objects, Depth, Info]):
    """
    Finds partners; all of it in one thread.

    Objects are those with the label image's own stamp. Depth is the nearest within a tolerance,
    and known to be the nearest when a newer one has come. Of cameras the nearest in time counts,
    however far that is: some publish their calibration once.

    :param tolerance_s: seconds that depth may be away
    :param keep_s: seconds of stamps that partners are kept for
    :ivar matched: label images that found all
    :ivar unmatched: how many did not, by what was missing
    """

    def __init__(self, tolerance_s: float, keep_s: float) -> None:
        self._tolerance_ns = round(tolerance_s * NS_PER_S)
        self._keep_ns = round(keep_s * NS_PER_S)
        self.objects: Stamped[Objects] = Stamped(keep_s)
        self.depth: Stamped[Depth] = Stamped(keep_s)
        self.info: Stamped[Info] = Stamped(keep_s)
        self._waiting: list[tuple[int, float, Labels]] = []
        self.matched = 0
        self.unmatched: Counter[Missing] = Counter()

    def add_labels(self, stamp_ns: int, labels: Labels, now_s: float) -> None:
        """
        Take a label image.

        :param now_s: by a clock that never goes back
        """
        self._waiting.append((stamp_ns, now_s, labels))

    def decided(self, now_s: float) -> Iterator[Match[Labels, Objects, Depth, Info] | Unmatched]:
        """Yield what became of label images, in their order; call it whenever something came."""
        while self._waiting:
            stamp_ns, since_s, labels = self._waiting[0]
            is_last_call = now_s - since_s >= WAIT_S or len(self._waiting) > MOST_WAITING
            outcome = self._look(stamp_ns, labels, is_last_call)
            if outcome is None:
                return
            del self._waiting[0]
            if isinstance(outcome, Unmatched):
                self.unmatched[outcome.missing] += 1
            else:
                self.matched += 1
            yield outcome

    def _look(self, stamp_ns: int, labels: Labels, is_last_call: bool
              ) -> Match[Labels, Objects, Depth, Info] | Unmatched | None:
        """Return what became of a label image, None while that is open."""
        objects = self.objects.nearest(stamp_ns)
        depth, info = self.depth.nearest(stamp_ns), self.info.nearest(stamp_ns)
        has_objects = objects is not None and objects[0] == 0
        # The nearest depth is known when a newer one, or the very one, has come; one that is newer
        # by far is from before the stamps went back, as a looped bag's do.
        newest_ns = self.depth.newest_ns
        has_newest = newest_ns is not None and 0 <= newest_ns - stamp_ns <= self._keep_ns
        has_info = info is not None and not self.info.may_have_nearer(stamp_ns)
        if not is_last_call and not (has_objects and has_newest and has_info):
            return None
        if depth is None or depth[0] > self._tolerance_ns:
            return Unmatched(Missing.DEPTH, _seconds(depth))
        if info is None:
            return Unmatched(Missing.CAMERA_INFO, None)
        if objects is None or not has_objects:
            return Unmatched(Missing.OBJECTS, _seconds(objects))
        return Match(labels, objects[1], depth[1], info[1])

    def clear(self) -> None:
        """Forget everything but the counts."""
        for each in (self.objects, self.depth, self.info):
            each.clear()
        self._waiting.clear()


def _seconds(nearest: tuple[int, object] | None) -> float | None:
    return None if nearest is None else nearest[0] / NS_PER_S
