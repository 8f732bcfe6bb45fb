# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Callbacks that await tickets go on, whatever the version of rclpy resumes them when."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
import threading
from typing import Any

import pytest
from rclpy.node import Node
from rclpy.task import Future
from ros_graph import graph_in
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.worker.requests import Ticket
from sam2_tracker.ros.node.executor import Spinner
from sam2_tracker.ros.services.replies import Replies
from waiting import wait_until

DOMAIN_ID = 59


class TaskOfNewerRclpy:
    """
    A task as rclpy 7.1.9 and 9.1.5 run it: what it awaits resumes it, once.

    :param at_suspension: called when it has asked to be resumed and is not suspended yet
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any],
                 at_suspension: Callable[[], object] = lambda: None) -> None:
        self.coroutine = coroutine
        self.at_suspension = at_suspension
        self.result: Any = None
        self._lock = threading.Lock()

    def __call__(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self.result is not None:
                return
            awaited = self.coroutine.send(None)
        except StopIteration as end:
            self.result = end.value
        else:
            assert isinstance(awaited, Future)
            awaited.add_done_callback(lambda _: self())
            self.at_suspension()
        finally:
            self._lock.release()


@pytest.fixture
def replies():
    with graph_in(DOMAIN_ID) as graph:
        node = Node('replying', context=graph.context)
        found = Replies(node)
        spinner = Spinner(node)
        yield found
        spinner.stop()
        node.destroy_node()


def answered(ticket: Ticket[str], value: str) -> None:
    assert ticket.commit()
    ticket.resolve(value)


def test_an_answer_resumes_what_awaits_it(replies):
    ticket: Ticket[str] = Ticket()
    task = TaskOfNewerRclpy(replies.outcome(ticket))
    task()
    assert task.result is None and not replies.drain(0.0)
    answered(ticket, 'a mask')
    wait_until(lambda: task.result == 'a mask')
    assert replies.drain(0.0)


def test_an_answer_that_comes_while_its_task_is_being_suspended_is_not_lost(replies):
    ticket: Ticket[str] = Ticket()
    results = []

    def at_suspension() -> None:
        answered(ticket, 'a mask')
        results.append(task.result)
    task = TaskOfNewerRclpy(replies.outcome(ticket), at_suspension)
    task()
    assert ticket.done() and results == [None]
    wait_until(lambda: task.result == 'a mask')


def test_resuming_once_too_often_does_no_harm(replies):
    tickets: list[Ticket[str]] = [Ticket(), Ticket()]

    async def both() -> str:
        return await replies.outcome(tickets[0]) + await replies.outcome(tickets[1])
    task = TaskOfNewerRclpy(both())
    task()
    answered(tickets[0], 'one, ')
    for _ in range(3):
        task()
    assert task.result is None
    answered(tickets[1], 'two')
    wait_until(lambda: task.result == 'one, two')


def test_an_answer_that_was_there_before_is_not_waited_for(replies):
    ticket: Ticket[str] = Ticket()
    answered(ticket, 'a mask')
    task = TaskOfNewerRclpy(replies.outcome(ticket))
    task()
    assert task.result == 'a mask'


def test_a_refusal_is_raised_where_it_is_awaited(replies):
    ticket: Ticket[str] = Ticket()

    async def refusal() -> str:
        try:
            return await replies.outcome(ticket)
        except PromptError as error:
            return f'refused: {error}'
    task = TaskOfNewerRclpy(refusal())
    task()
    ticket.fail(PromptError('no such object'))
    wait_until(lambda: task.result == 'refused: no such object')
    assert replies.drain(0.0)
