# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
One thread that does the work of several callers, in turns.

Next is the caller that the thread has worked for least: under overload each gets the same share of
time, and one that wants less than its share hardly waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
import threading
import time
from typing import Any, cast, Generic, TypeVar

from sam2_tracker.core.errors import WithdrawnError

# How long a caller's next call is waited for that follows on the one before at once: its thread
# needs a moment to take the answer. Otherwise another would go first however much it has had.
FOLLOW_UP_S = 0.002
# What a caller may catch up at most for the time in which it wanted nothing.
CREDIT_S = 0.5
# How far one may get ahead of the others to end what it has begun, as of frames that are all half
# done each is late; or, where the rest is done together, for the others to begin theirs.
LEAD_S = 0.25
# Waits kept per caller, for their median and tail.
SAMPLES = 300

Item = TypeVar('Item')
Result = TypeVar('Result')
T = TypeVar('T')


@dataclass(frozen=True)
class TurnCounts:
    """
    What one caller had so far.

    :param calls: done for it
    :param worked_s: the thread's time; of a call that was done with others', its part
    :param waits_s: of its newest calls, how long each waited for its turn, ascending
    """

    calls: int
    worked_s: float
    waits_s: tuple[float, ...]


@dataclass(eq=False)
class _Call(Generic[Item, Result]):
    """
    Something to be done.

    :param work: does it; None where `item` is to be done together with others'
    :param weight: its part of what is done together
    :param has_sequel: whether the caller calls again as soon as it has the answer
    """

    work: Callable[[], Any] | None
    item: Item | None
    weight: int
    has_sequel: bool
    submitted_s: float
    answer: Future[Any] = field(default_factory=Future)


class Caller(Generic[Item, Result]):
    """One of those who take turns, as `Turns.caller` makes it; its calls come from any thread."""

    def __init__(self, turns: Turns[Item, Result]) -> None:
        self._turns = turns
        self.queue: deque[_Call[Item, Result]] = deque()
        # The time it had, or has given up by wanting nothing.
        self.spent_s = 0.0
        self.sequel_until_s = 0.0
        self.calls = 0
        self.worked_s = 0.0
        self.waits_s: deque[float] = deque(maxlen=SAMPLES)

    def call(self, work: Callable[[], T], has_sequel: bool = False) -> T:
        """
        Have something done when it is this caller's turn; what it raises is raised here.

        :param has_sequel: this caller will call again as soon as it has the answer
        :raises WithdrawnError: the turns are over
        """
        return cast('T', self._turns.submit(self, work, None, 1, has_sequel))

    def call_together(self, item: Item, weight: int, has_sequel: bool = False) -> Result:
        """
        Have something done together with what others have asked for in this way.

        :param weight: how much it is, beside what the others give
        """
        return cast('Result', self._turns.submit(self, None, item, weight, has_sequel))

    def leave(self) -> None:
        """Take no more turns; what waits is refused."""
        self._turns.remove(self)


class Turns(Generic[Item, Result]):
    """
    Does what callers ask for in a thread of its own, one thing after the other.

    What one asks for is done in the order in which it asks. What fails is the caller's alone: the
    thread goes on.

    :param together: does several items in one go, one result for each; if it raises, each is
        given to it alone. None if nothing is done in this way: `call_together` is for the others
    :param name: of the thread
    :param clock: seconds that only go forward
    """

    def __init__(self, together: Callable[[Sequence[Item]], Sequence[Result]] | None = None,
                 name: str = 'model', clock: Callable[[], float] = time.monotonic) -> None:
        self.joint_runs = self.joint_failures = 0
        self._together = together
        self._clock = clock
        self._changed = threading.Condition()
        self._callers: list[Caller[Item, Result]] = []
        self._newest: Caller[Item, Result] | None = None
        # How far those are who have had most: what a caller that was idle is measured by.
        self._level_s = 0.0
        self._closed_because = ''
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def caller(self) -> Caller[Item, Result]:
        """Let another one take turns."""
        caller = Caller(self)
        with self._changed:
            self._callers.append(caller)
        return caller

    def counts(self, caller: Caller[Item, Result]) -> TurnCounts:
        """Return what a caller had so far; from any thread."""
        with self._changed:
            return TurnCounts(caller.calls, caller.worked_s, tuple(sorted(caller.waits_s)))

    def submit(self, caller: Caller[Item, Result], work: Callable[[], Any] | None,
               item: Item | None, weight: int, has_sequel: bool) -> Any:
        """Queue a call and wait for its answer; see `Caller`."""
        with self._changed:
            if caller not in self._callers:
                raise WithdrawnError(self._closed_because or 'the turns of this camera are over')
            if not caller.queue:
                caller.spent_s = max(caller.spent_s, self._level_s - CREDIT_S)
            call = _Call[Item, Result](work, item, weight, has_sequel, self._clock())
            caller.queue.append(call)
            self._changed.notify_all()
        return call.answer.result()

    def remove(self, caller: Caller[Item, Result], because: str = '') -> None:
        """Take a caller out of the round, and refuse what it waits for."""
        with self._changed:
            if caller in self._callers:
                self._callers.remove(caller)
            waiting, caller.queue = list(caller.queue), deque()
            self._changed.notify_all()
        for call in waiting:
            call.answer.set_exception(
                WithdrawnError(because or 'the turns of this camera are over'))

    def close(self, reason: str, timeout_s: float) -> bool:
        """
        Refuse what waits and end the thread after what is under way.

        :param reason: a sentence for those who are refused
        :returns: False if that outlasts the timeout; the thread ends as soon as it is done
        """
        self._end(reason)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _end(self, reason: str) -> None:
        with self._changed:
            self._closed_because = self._closed_because or reason
            callers = list(self._callers)
            self._changed.notify_all()
        for caller in callers:
            self.remove(caller, self._closed_because)

    def _run(self) -> None:
        try:
            # Nothing of a turn is held here while the next is waited for.
            while self._take_turn():
                pass
        finally:
            # Nobody may wait for a thread that is gone, whatever ended it.
            self._end('the thread of the model has ended: clean up all cameras, and configure '
                      'them again')

    def _take_turn(self) -> bool:
        with self._changed:
            while not self._closed_because:
                due, wait_s = self._due()
                if due:
                    break
                self._changed.wait(wait_s)
            else:
                return False
        calls = [call for _, call in due]
        begun_s = self._clock()
        outcomes = self._outcomes(calls)
        try:
            self._account(due, begun_s)
        finally:
            for call, (error, result) in zip(calls, outcomes, strict=True):
                if error is None:
                    call.answer.set_result(result)
                else:
                    call.answer.set_exception(error)
        return True

    def _due(self) -> tuple[list[tuple[Caller[Item, Result], _Call[Item, Result]]], float | None]:
        """Return what is to be done now, or how long there is to wait for it, None for long."""
        ready = [each for each in self._callers if each.queue]
        if not ready:
            return [], None
        now_s = self._clock()
        first = min(ready, key=lambda each: (self._rank_s(each), each.queue[0].submitted_s))
        joined = first.queue[0].work is None
        awaited = [each.sequel_until_s for each in self._callers
                   if not each.queue and each.sequel_until_s > now_s
                   and (joined or self._rank_s(each) < self._rank_s(first))]
        if awaited:
            return [], min(awaited) - now_s
        chosen = [first, *(each for each in ready if each is not first
                           and joined and each.queue[0].work is None)]
        return [(each, each.queue.popleft()) for each in chosen], 0.0

    def _rank_s(self, caller: Caller[Item, Result]) -> float:
        # What is done together is begun by all before one goes on with it.
        if self._together is not None:
            waits = caller.queue and caller.queue[0].work is None
            return caller.spent_s + (LEAD_S if waits else 0.0)
        return caller.spent_s - (LEAD_S if caller is self._newest else 0.0)

    def _outcomes(self, calls: Sequence[_Call[Item, Result]]
                  ) -> list[tuple[BaseException | None, Any]]:
        if len(calls) > 1 and self._together is not None:
            self.joint_runs += 1
            try:
                return [(None, each) for each in self._together(_items(calls))]
            except Exception:  # noqa: BLE001 - whose fault it is shows when each is done alone
                self.joint_failures += 1
        return [self._outcome(call) for call in calls]

    def _outcome(self, call: _Call[Item, Result]) -> tuple[BaseException | None, Any]:
        try:
            if call.work is not None:
                return None, call.work()
            assert self._together is not None
            return None, self._together(_items([call]))[0]
        except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
            return error, None

    def _account(self, due: Sequence[tuple[Caller[Item, Result], _Call[Item, Result]]],
                 begun_s: float) -> None:
        with self._changed:
            now_s = self._clock()
            whole = sum(call.weight for _, call in due)
            for caller, call in due:
                took_s = (now_s - begun_s) * call.weight / whole
                self._level_s = max(self._level_s, caller.spent_s)
                caller.spent_s += took_s
                caller.worked_s += took_s
                caller.calls += 1
                caller.waits_s.append(begun_s - call.submitted_s)
                caller.sequel_until_s = now_s + FOLLOW_UP_S if call.has_sequel else 0.0
                self._newest = caller if call.has_sequel else None


def _items(calls: Sequence[_Call[Item, Result]]) -> list[Item]:
    return [cast('Item', call.item) for call in calls]
