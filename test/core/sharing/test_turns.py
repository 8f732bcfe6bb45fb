# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is, and what becomes of what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
import threading

import pytest
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.sharing.turns import Caller, LEAD_S, Turns

PATIENCE_S = 60.0
CALL_S = 0.1


class Clock:
    """Time that passes only while something is done."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._passed = threading.Condition()

    def __call__(self) -> float:
        return self.now_s

    def work(self, seconds: float = CALL_S) -> None:
        with self._passed:
            self.now_s += seconds
            self._passed.notify_all()
            # The others' threads have a moment to go on.
            self._passed.wait(0.001)

    def wait_until(self, now_s: float) -> None:
        with self._passed:
            assert self._passed.wait_for(lambda: self.now_s >= now_s, PATIENCE_S)


class Together:
    """Doubles numbers in one go, but not where there is a negative one; remembers each go."""

    def __init__(self) -> None:
        self.goes: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.goes.append(list(items))
        if min(items) < 0:
            raise ValueError(f'{min(items)} is negative')
        return [2 * item for item in items]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turns(clock: Clock) -> Iterator[Turns[int, int]]:
    made = Turns[int, int](clock=clock)
    yield made
    assert made.close('the test is over', PATIENCE_S)


@pytest.fixture
def together() -> Together:
    return Together()


@pytest.fixture
def joint(together: Together) -> Iterator[Turns[int, int]]:
    # A thread that is slow to follow up is waited for all the same.
    made = Turns[int, int](together, clock=Clock())
    yield made
    assert made.close('the test is over', PATIENCE_S)


class Holding:
    """Keeps the thread busy until it is let go."""

    def __init__(self, turns: Turns[int, int], pool: ThreadPoolExecutor) -> None:
        self._free, begun = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            assert self._free.wait(PATIENCE_S)

        self._turns, self._caller = turns, turns.caller()
        self.done: Future[None] = pool.submit(self._caller.call, hold)
        assert begun.wait(PATIENCE_S)

    def until_waiting(self, *callers: Caller[int, int]) -> None:
        while not all(caller.queue for caller in callers):
            pass

    def let_go(self) -> None:
        self._free.set()
        self.done.result(PATIENCE_S)
        self._caller.leave()


def frames(caller: Caller[int, int], clock: Clock, calls: int, end_s: float) -> int:
    """Do frames of so many calls each, as a camera does under overload; return how many."""
    count = 0
    while clock.now_s < end_s:
        for number in range(calls):
            caller.call(clock.work, has_sequel=number < calls - 1)
        count += 1
    return count


def test_a_caller_gets_the_answer_and_one_thread_does_all(turns, pool):
    names = {pool.submit(turns.caller().call, lambda: threading.current_thread().name)
             for _ in range(8)}
    assert {each.result(PATIENCE_S) for each in names} == {'model'}


def test_under_overload_each_gets_the_same_time_however_long_its_frames_take(turns, pool, clock):
    """One camera has ten objects, two have one."""
    callers = [turns.caller() for _ in range(3)]
    done = [pool.submit(frames, caller, clock, calls, 60.0)
            for caller, calls in zip(callers, (12, 3, 3), strict=True)]
    many, *few = [each.result(PATIENCE_S) for each in done]
    for caller in callers:
        assert 17.0 < turns.counts(caller).worked_s < 23.0
    assert min(few) > 3 * many > 0


def test_who_wants_less_than_its_share_waits_for_one_call_at_most(turns, pool, clock):
    busy = [pool.submit(frames, turns.caller(), clock, 12, 60.0) for _ in range(2)]
    caller = turns.caller()
    for second in range(1, 50):
        clock.wait_until(second)
        caller.call(clock.work)
    for each in busy:
        each.result(PATIENCE_S)
    waits_s = turns.counts(caller).waits_s
    assert len(waits_s) == 49
    assert waits_s[-1] < 1.5 * CALL_S


def test_who_was_idle_has_not_saved_up_the_time(turns, pool, clock):
    """It may catch up half a second, and no more."""
    early, late = turns.caller(), turns.caller()
    frames(early, clock, 3, 30.0)
    before_s = turns.counts(early).worked_s
    both = [pool.submit(frames, caller, clock, 3, 40.0) for caller in (early, late)]
    for each in both:
        each.result(PATIENCE_S)
    assert turns.counts(early).worked_s - before_s > 3.5
    assert turns.counts(late).worked_s > 3.5


def test_a_frame_that_was_begun_is_ended_before_another_is(turns, pool):
    order: list[str] = []
    holding = Holding(turns, pool)

    def frame(name: str, caller: Caller[int, int]) -> None:
        for number in range(3):
            caller.call(lambda: order.append(name), has_sequel=number < 2)

    callers = [turns.caller() for _ in range(3)]
    done = [pool.submit(frame, name, caller)
            for name, caller in zip('abc', callers, strict=True)]
    holding.until_waiting(*callers)
    holding.let_go()
    for each in done:
        each.result(PATIENCE_S)
    assert [order[at:at + 3].count(order[at]) for at in (0, 3, 6)] == [3, 3, 3]


@pytest.mark.parametrize('error', [ValueError('broken'), SystemExit(3), MemoryError()])
def test_what_fails_is_raised_where_it_was_asked_for_and_nowhere_else(turns, pool, error):
    def fail() -> None:
        raise error

    failing, well = turns.caller(), turns.caller()
    done = pool.submit(lambda: [well.call(lambda: 1) for _ in range(50)])
    for _ in range(10):
        with pytest.raises(type(error)):
            failing.call(fail)
    assert done.result(PATIENCE_S) == [1] * 50
    assert failing.call(lambda: 'goes on') == 'goes on'


def test_who_leaves_is_refused_what_it_waits_for_and_the_others_go_on(turns, pool):
    holding = Holding(turns, pool)
    leaving, staying = turns.caller(), turns.caller()
    refused, done = pool.submit(leaving.call, int), pool.submit(staying.call, int)
    holding.until_waiting(leaving, staying)
    leaving.leave()
    with pytest.raises(TrackerError, match='the turns of this camera are over'):
        refused.result(PATIENCE_S)
    holding.let_go()
    assert done.result(PATIENCE_S) == 0
    with pytest.raises(TrackerError, match='the turns of this camera are over'):
        leaving.call(int)


def test_after_the_end_everything_is_refused_with_the_reason(pool):
    turns = Turns[int, int]()
    holding, caller = Holding(turns, pool), turns.caller()
    waiting = pool.submit(caller.call, int)
    holding.until_waiting(caller)
    assert not turns.close('the model was freed', 0.01)
    with pytest.raises(TrackerError, match='the model was freed'):
        waiting.result(PATIENCE_S)
    with pytest.raises(TrackerError, match='the model was freed'):
        caller.call(int)
    holding.let_go()
    assert turns.close('the test is over', PATIENCE_S)


def test_nobody_waits_for_a_thread_that_has_died(pool, monkeypatch):
    monkeypatch.setattr(threading, 'excepthook', lambda _: None)
    clock = Clock()
    turns = Turns[int, int](clock=clock)
    holding, caller = Holding(turns, pool), turns.caller()
    waiting = pool.submit(caller.call, int)
    holding.until_waiting(caller)
    # Not a call's error but one of the turns themselves.
    monkeypatch.setattr(turns, '_account', lambda *_: 1 / 0)
    holding.let_go()
    with pytest.raises(TrackerError, match='thread of the model has ended'):
        waiting.result(PATIENCE_S)
    with pytest.raises(TrackerError, match='thread of the model has ended'):
        caller.call(int)


def ask_all(turns: Turns[int, int], pool: ThreadPoolExecutor, items: Sequence[int],
            before: Callable[[Caller[int, int]], object] = lambda _: None) -> list[Future[int]]:
    """Let each of several callers ask for something to be done with the others'."""
    holding = Holding(turns, pool)
    callers = [turns.caller() for _ in items]

    def ask(caller: Caller[int, int], item: int) -> int:
        before(caller)
        return caller.call_together(item, 1)

    answers = [pool.submit(ask, *each) for each in zip(callers, items, strict=True)]
    holding.until_waiting(*callers)
    holding.let_go()
    return answers


def test_what_several_ask_for_together_is_done_in_one_go(joint, together, pool):
    answers = ask_all(joint, pool, (1, 2, 3))
    assert [each.result(PATIENCE_S) for each in answers] == [2, 4, 6]
    assert [sorted(each) for each in together.goes] == [[1, 2, 3]]
    assert (joint.joint_runs, joint.joint_failures) == (1, 0)


def test_those_who_have_just_begun_are_waited_for(joint, together, pool):
    """Each begins with something of its own, after which all go on together."""
    answers = ask_all(joint, pool, (1, 2, 3),
                      lambda caller: caller.call(int, has_sequel=True))
    assert [each.result(PATIENCE_S) for each in answers] == [2, 4, 6]
    assert [sorted(each) for each in together.goes] == [[1, 2, 3]]


@pytest.mark.parametrize('behind_s,goes', [(LEAD_S / 2, [[1, 2]]), (LEAD_S * 2, [[1], [2]])])
def test_who_had_less_waits_for_the_others_to_begin_within_reason(together, pool, behind_s, goes):
    clock = Clock()
    turns = Turns[int, int](together, clock=clock)
    less, more = turns.caller(), turns.caller()
    more.call(lambda: clock.work(behind_s))
    holding = Holding(turns, pool)

    def ask(caller: Caller[int, int], item: int) -> int:
        caller.call(lambda: clock.work(0.001), has_sequel=True)
        return caller.call_together(item, 1)

    answers = [pool.submit(ask, less, 1), pool.submit(ask, more, 2)]
    holding.until_waiting(less, more)
    holding.let_go()
    assert [each.result(PATIENCE_S) for each in answers] == [2, 4]
    assert [sorted(each) for each in together.goes] == goes
    assert turns.close('the test is over', PATIENCE_S)


def test_what_fails_together_is_done_one_by_one(joint, together, pool):
    answers = ask_all(joint, pool, (1, -2, 3))
    assert [answers[at].result(PATIENCE_S) for at in (0, 2)] == [2, 6]
    with pytest.raises(ValueError, match='-2 is negative'):
        answers[1].result(PATIENCE_S)
    assert len(together.goes[0]) == 3
    assert sorted(together.goes[1:]) == [[-2], [1], [3]]
    assert (joint.joint_runs, joint.joint_failures) == (1, 1)


def test_a_joint_turn_is_paid_for_by_what_each_had_of_it(pool):
    clock = Clock()

    def take(items: Sequence[int]) -> list[int]:
        clock.work(1.0)
        return list(items)

    turns = Turns[int, int](take, clock=clock)
    holding, callers = Holding(turns, pool), [turns.caller(), turns.caller()]
    done = [pool.submit(caller.call_together, 0, weight)
            for caller, weight in zip(callers, (3, 1), strict=True)]
    holding.until_waiting(*callers)
    holding.let_go()
    for each in done:
        each.result(PATIENCE_S)
    assert [turns.counts(caller).worked_s for caller in callers] == [0.75, 0.25]
    assert turns.close('the test is over', PATIENCE_S)
