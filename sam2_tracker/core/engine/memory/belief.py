# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
Whether what a result shows is taken for the object.

In another shot that has to be proven; within one it is doubted where the model hardly sees the
object any more and has at that moment another mask for it: a much larger one, or one elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sam2_tracker.core.engine.memory.entry import Entry, Lesson, Seen, without

# Proven: that surely, on so many frames in a row.
LEAST_IOU, PROOFS = 0.8, 3
# Hardly seen: a score (its logit) below both, the second as a share of the usual one.
LARGEST_LOW_SCORE, FALLEN = 3.0, 0.6
# Much larger: than so many times the usual area.
FLOODED = 2.0
# Nothing is usual before so many frames: what comes into the picture grows.
LEAST_FRAMES = 5
# How much a frame counts in what is usual.
_NEWEST_SHARE = 0.25


@dataclass(frozen=True)
class Usual:
    """
    How an object was seen on the last frames, since it was last hidden.

    :param frames: how many
    :param area: in pixels of the model's mask
    :param box: left, top, right and bottom, those of the newest
    """

    frames: int
    score_logit: float
    area: float
    box: tuple[float, ...]

    @classmethod
    def begun(cls, seen: Seen) -> Usual:
        """Return what is usual after one frame."""
        return cls(1, seen.score_logit, float(seen.area), seen.box)

    def after(self, seen: Seen) -> Usual:
        """Return what is usual after one frame more."""
        return Usual(self.frames + 1,
                     self.score_logit + (seen.score_logit - self.score_logit) * _NEWEST_SHARE,
                     self.area + (seen.area - self.area) * _NEWEST_SHARE, seen.box)

    def is_hardly(self, seen: Seen) -> bool:
        """Return whether the object's score has fallen."""
        return (seen.score_logit < LARGEST_LOW_SCORE
                and seen.score_logit < FALLEN * self.score_logit)

    def is_other(self, seen: Seen) -> bool:
        """Return whether a mask is much larger, or nowhere near."""
        left, top, right, bottom = self.box
        seen_left, seen_top, seen_right, seen_bottom = seen.box
        elsewhere = (seen_left > right or seen_right < left
                     or seen_top > bottom or seen_bottom < top)
        return seen.area > FLOODED * self.area or elsewhere


@dataclass(frozen=True)
class Standing:
    """
    What is believed of an object after a frame.

    :param home: the shot that it is known from, None if no frame after its prompt was tracked yet
    :param proofs: in another shot: on how many frames in a row it was surely seen; None where
        nothing has to be proven
    :param doubts: the same since its mask is doubted, None where it is not
    :param usual: how it is seen while it is believed
    """

    home: int | None = None
    proofs: int | None = None
    doubts: int | None = None
    usual: Usual | None = None

    @property
    def is_proven(self) -> bool:
        """Return whether the object is known to be in the shot that is seen."""
        return self.proofs is None

    @property
    def is_believed(self) -> bool:
        """Return whether the object may be called visible."""
        return self.proofs is None and self.doubts is None

    @property
    def numbers(self) -> tuple[float, ...]:
        """Return all of it as plain numbers."""
        counts = (-1.0 if each is None else float(each)
                  for each in (self.home, self.proofs, self.doubts))
        usual = self.usual
        return (*counts, *(() if usual is None else (
            float(usual.frames), usual.score_logit, usual.area, *usual.box)))

    @classmethod
    def of_numbers(cls, numbers: list[float]) -> Standing:
        """
        Return what `numbers` gave.

        :raises ValueError: if it cannot be that
        """
        counts, rest = [None if each < 0 else int(each) for each in numbers[:3]], numbers[3:]
        if len(counts) != 3 or len(rest) not in (0, 7):
            raise ValueError(f'a standing has 3 or 10 numbers, not {len(numbers)}')
        usual = Usual(int(rest[0]), rest[1], rest[2], tuple(rest[3:])) if rest else None
        return cls(counts[0], counts[1], counts[2], usual)


@dataclass(frozen=True)
class BeliefRule:
    """
    How belief changes from frame to frame.

    :param cuts: ask for proofs in other shots than the one that an object is known from
    :param doubt: doubt masks
    """

    cuts: bool = False
    doubt: bool = False

    def next(self, before: Standing, seen: Seen, shots: tuple[int, int]  # noqa: A003
             ) -> Standing:
        """
        Return what is believed after a tracked frame.

        :param before: after the frame before it
        :param shots: of the frame before and of this one, by their numbers
        """
        shot_before, shot = shots
        home = shot_before if before.home is None else before.home
        if shot == home or not self.cuts:
            return self._doubted(replace(before, home=home, proofs=None), seen)
        proofs = 0 if shot != shot_before or before.proofs is None else before.proofs
        proofs = proofs + 1 if _is_sure(seen) else 0
        if proofs >= PROOFS:
            return Standing(shot)
        return replace(_unseen(before), home=home, proofs=proofs)

    def _doubted(self, standing: Standing, seen: Seen) -> Standing:
        """Return what is believed within a shot."""
        usual = standing.usual
        if not self.doubt or not seen.visible:
            return _unseen(standing)
        if usual is None:
            return replace(standing, usual=Usual.begun(seen))
        if standing.doubts is None:
            known = usual.frames >= LEAST_FRAMES
            if known and usual.is_hardly(seen) and usual.is_other(seen):
                return replace(standing, doubts=0)
            return replace(standing, usual=usual.after(seen))
        doubts = standing.doubts + 1 if _is_sure(seen) else 0
        if doubts >= PROOFS or not (usual.is_hardly(seen) or usual.is_other(seen)):
            return replace(standing, doubts=None, usual=Usual.begun(seen))
        return replace(standing, doubts=doubts)


def _unseen(standing: Standing) -> Standing:
    """Return what is believed after a frame on which nothing is taken for the object."""
    if standing.doubts is None:
        # Where it comes back after an absence, and as what, nothing is usual.
        return replace(standing, usual=None)
    return replace(standing, doubts=0)


def _is_sure(seen: Seen) -> bool:
    return seen.visible and seen.iou > LEAST_IOU


@dataclass(eq=False)
class Beliefs:
    """
    What is believed of one object from frame to frame.

    :param rule: None: every result is taken for the object
    :ivar standings: after each frame that a correction may go back to, and the one before
    :ivar apart: results that no later frame reads: it is not proven that they are the object
    """

    rule: BeliefRule | None = None
    standings: dict[int, Standing] = field(default_factory=dict)
    apart: dict[int, Entry] = field(default_factory=dict)

    def judge(self, frame_index: int, lesson: Lesson, shots: tuple[int, int],
              tracked: dict[int, Entry]) -> bool:
        """
        Return whether a result is proven to be the object, and set it apart if not.

        :param shots: of the frame before and of this one, by their numbers
        :param tracked: what is remembered of tracked frames, this one among them
        """
        if self.rule is None:
            return True
        before = self.standings.get(frame_index - 1, Standing())
        standing = self.rule.next(before, lesson.seen, shots)
        self.standings[frame_index] = standing
        if not standing.is_proven:
            self.apart[frame_index] = without(
                tracked.pop(frame_index), 'maskmem_features', 'obj_ptr')
        return standing.is_proven

    def point_out(self, frame_index: int) -> None:
        """Take in that somebody pointed at the object on a frame."""
        self.apart.pop(frame_index, None)
        if self.rule is not None:
            self.standings[frame_index] = Standing()

    def after(self, frame_index: int) -> Standing:
        """Return what is believed after a frame."""
        return self.standings.get(frame_index, Standing())

    def fork(self) -> Beliefs:
        """Return an independent copy."""
        return Beliefs(self.rule, dict(self.standings), dict(self.apart))

    def adopt(self, frame_index: int, other: Beliefs) -> None:
        """Believe on a frame what is believed of another memory of the same object."""
        self.forget(frame_index)
        if frame_index in other.standings:
            self.standings[frame_index] = other.standings[frame_index]
        if frame_index in other.apart:
            self.apart[frame_index] = other.apart[frame_index]

    def forget(self, frame_index: int) -> None:
        """Forget one frame."""
        self.standings.pop(frame_index, None)
        self.apart.pop(frame_index, None)

    def rewind(self, frame_index: int) -> None:
        """Forget the frames after one."""
        for index in [index for index in self.standings if index > frame_index]:
            self.forget(index)

    def prune(self, oldest_index: int) -> None:
        """Forget what no frame from this one on asks for."""
        for index in [index for index in self.apart if index < oldest_index]:
            del self.apart[index]
        # What is believed on a frame follows from what was believed on the one before.
        for index in [index for index in self.standings if index < oldest_index - 1]:
            del self.standings[index]
