# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
The prompts that an object was given, and what has to be done again when some are taken back.

Masks are then those of a run that never had them. So what came after is not kept but done again:
frames are tracked again, and the prompts on them given again in their order, from the last state
that none of it had touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sam2_tracker.core.types import Frame, Prompt

# Of one object. More within the look-back are those of a program: the oldest cannot be taken back.
MOST_GIVEN = 256


@dataclass(frozen=True, eq=False)
class GivenPrompt:
    """
    A prompt as it was given: all that it takes to give it again.

    :param place: the number of the prompted frame in the object's own sequence
    :param picture: the picture that stands in there, None if none does
    :param in_one_go: nothing was tracked between the prompt before it and this one
    :param carried: the mask of before a change of size, which nobody can take back
    """

    place: int
    prompt: Prompt
    clear_previous: bool = False
    picture: Frame | None = None
    in_one_go: bool = False
    carried: bool = False


@dataclass(frozen=True, eq=False)
class Redoing:
    """
    What an object does again when its prompts on a frame are taken back.

    :param kept: the prompts that stay, oldest first
    :param again: how many of them, the newest, are given again
    :param forgotten: the places whose prompts are forgotten for that
    :param start: the first frame that is tracked again
    """

    kept: tuple[GivenPrompt, ...]
    again: int
    forgotten: frozenset[int]
    start: int

    @property
    def agenda(self) -> tuple[tuple[GivenPrompt, ...], ...]:
        """Return what is given again; with each, what was given in one go with it."""
        groups: list[tuple[GivenPrompt, ...]] = []
        for each in self.kept[len(self.kept) - self.again:]:
            if groups and each.in_one_go:
                groups[-1] += (each,)
            else:
                groups.append((each,))
        return tuple(groups)


def taken_back(
    given: Sequence[GivenPrompt], place: int, unfinished: Redoing | None = None
) -> Redoing | None:
    """
    Return what is to be done without an object's prompts on a frame, None if there are none.

    What went before the first one that is given again lies before all that is tracked again: so
    its memory can be had by forgetting.

    :param given: oldest first
    :param unfinished: an earlier taking back that has not caught up; its frames and prompts are
        done again too
    """
    positions = [at for at, each in enumerate(given) if each.place == place and not each.carried]
    if not positions:
        return None
    first, start = positions[0], place
    if unfinished is not None:
        first, start = min(first, len(given) - unfinished.again), min(start, unfinished.start)
    while True:
        while first > 0 and given[first].in_one_go:
            first -= 1
        start = min([start, *(each.place for each in given[first:])])
        later = [at for at, each in enumerate(given[:first]) if each.place >= start]
        if not later:
            break
        first = later[0]
    again = _without(given[first:], place)
    return Redoing(
        (*given[:first], *again), len(again), frozenset(each.place for each in given[first:]),
        start)


def _without(given: Sequence[GivenPrompt], place: int) -> list[GivenPrompt]:
    kept: list[GivenPrompt] = []
    is_headless = False
    for each in given:
        is_headless = is_headless and each.in_one_go
        if each.place == place and not each.carried:
            is_headless = is_headless or not each.in_one_go
        else:
            kept.append(replace(each, in_one_go=each.in_one_go and not is_headless))
            is_headless = False
    return kept


def pruned(given: tuple[GivenPrompt, ...], oldest_index: int) -> tuple[GivenPrompt, ...]:
    """
    Drop the oldest prompts that can neither be taken back nor have to be given again.

    Those given in one go stay together.

    :param oldest_index: the oldest frame that a refinement may go back to
    """
    while given:
        length = 1
        while length < len(given) and given[length].in_one_go:
            length += 1
        is_old = all(each.place < oldest_index for each in given[:length])
        if not is_old and (len(given) <= MOST_GIVEN or length == len(given)):
            break
        given = given[length:]
    return given
