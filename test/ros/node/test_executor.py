# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Which thread runs which callback, and what a callback that fails or hangs does to the others."""

from __future__ import annotations

import threading

import pytest
from rcl_interfaces.msg import Log
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from ros_graph import graph_in, HELD_S
from sam2_tracker.ros.node import executor
from sam2_tracker.ros.node.executor import Spinner
from std_msgs.msg import String
from std_srvs.srv import Trigger
from waiting import wait_until

DOMAIN_ID = 58
# Generous: a busy machine makes every callback slow.
QUICK_S = 20.0
SLOW_S = 0.5


class Spun:
    """A node with a topic and a service, and what is to happen in them."""

    def __init__(self, graph) -> None:
        self.graph = graph
        self.node = Node('spun', context=graph.context)
        self.gate = threading.Event()
        self.gate.set()
        self.heard: list[tuple[str, str]] = []
        self.node.create_subscription(String, '~/heard', self.on_message, 10,
                                      callback_group=MutuallyExclusiveCallbackGroup())
        self.node.create_service(Trigger, '~/asked', self.on_request,
                                 callback_group=MutuallyExclusiveCallbackGroup())
        self.asked_in = ''
        self.clock_in = ''
        self.node.create_subscription(String, '~/clock', self.on_clock, 10,
                                      callback_group=MutuallyExclusiveCallbackGroup())
        self.publisher = graph.publisher(String, '/spun/heard')
        self.clock = graph.publisher(String, '/spun/clock')
        self.rosout = graph.inbox(Log, '/rosout', 100)
        self.spinner = Spinner(self.node)
        wait_until(self.publisher.get_subscription_count)
        wait_until(self.clock.get_subscription_count)

    def on_message(self, message: String) -> None:
        if message.data == 'wrong':
            raise ValueError('what was heard is wrong')
        if message.data == 'slow':
            threading.Event().wait(1.5 * SLOW_S)
        if message.data == 'hang':
            self.gate.wait(HELD_S)
        self.heard.append((message.data, threading.current_thread().name.split('_')[0]))

    def on_clock(self, _: String) -> None:
        self.clock_in = threading.current_thread().name

    def on_request(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.asked_in = threading.current_thread().name
        self.gate.wait(HELD_S)
        return response

    def say(self, word: str) -> tuple[str, str]:
        """Publish a word; return it and the thread that heard it."""
        before = len(self.heard)
        self.publisher.publish(String(data=word))
        wait_until(lambda: len(self.heard) > before, what=f'hearing {word}')
        return self.heard[-1]

    def ask(self):
        return self.graph.call_async(Trigger, '/spun/asked')

    def wake_until(self, condition):
        """Wake it again and again: one that comes while a callback is being suspended is lost."""
        return wait_until(lambda: self.node.executor.wake() or condition())

    def failures(self) -> list[str]:
        """Return what was said so far of callbacks that failed."""
        return [line.msg for line in self.rosout.messages if 'a callback failed' in line.msg]


@pytest.fixture
def spun(monkeypatch):
    monkeypatch.setattr(executor, 'QUICK_S', QUICK_S)
    with graph_in(DOMAIN_ID) as graph:
        found = Spun(graph)
        yield found
        found.gate.set()
        found.spinner.stop()
        found.node.destroy_node()


def test_messages_are_taken_by_the_thread_that_spins(spun):
    assert [spun.say('one'), spun.say('two')] == [('one', 'spin'), ('two', 'spin')]


def test_messages_do_not_wait_for_a_service_that_takes_long(spun):
    spun.gate.clear()
    reply = spun.ask()
    wait_until(lambda: spun.asked_in.startswith('callback'))
    assert spun.say('meanwhile') == ('meanwhile', 'spin')
    assert not reply.done()
    spun.gate.set()
    wait_until(reply.done)


def test_nothing_waits_for_messages_that_take_long(spun, monkeypatch):
    monkeypatch.setattr(executor, 'QUICK_S', SLOW_S)
    assert spun.say('slow') == ('slow', 'spin')
    spun.clock.publish(String())
    wait_until(lambda: spun.clock_in)
    assert spun.clock_in == 'spin', 'the others are not slow'
    spun.gate.clear()
    spun.publisher.publish(String(data='hang'))
    reply = spun.ask()
    wait_until(lambda: spun.asked_in)
    assert spun.heard == [('slow', 'spin')]
    spun.gate.set()
    wait_until(reply.done)
    wait_until(lambda: len(spun.heard) == 2)
    assert spun.heard[1] == ('hang', 'callback')
    # It is the callback before that decides.
    wait_until(lambda: spun.say('again') == ('again', 'spin'))


def test_what_a_callback_raises_is_said_and_the_next_one_runs(spun):
    spun.publisher.publish(String(data='wrong'))
    [line] = wait_until(spun.failures)
    assert 'ValueError: what was heard is wrong' in line
    assert spun.say('right') == ('right', 'spin')


def test_what_a_callback_raises_after_it_awaited_something_is_said_once(spun):
    gates, reached = [Future(), Future()], []

    async def ask(_, response):
        for gate in gates:
            reached.append(gate)
            await gate
        raise ValueError('what was awaited is wrong')
    spun.node.create_service(Trigger, '~/awaiting', ask)
    spun.graph.call_async(Trigger, '/spun/awaiting')
    for count, gate in enumerate(gates, 1):
        spun.wake_until(lambda count=count: len(reached) == count)
        spun.say('right')
        gate.set_result(None)
    [line] = spun.wake_until(spun.failures)
    assert 'ValueError: what was awaited is wrong' in line
    assert spun.say('right') == ('right', 'spin')
    assert len(spun.failures()) == 1


def test_what_newer_versions_of_rclpy_resume_elsewhere_is_reported_too():
    errors = []
    with graph_in(DOMAIN_ID) as graph:
        newer = executor.InlineExecutor(errors.append, context=graph.context)
        task = type('Task', (Future,), {'__call__': lambda self: None})()
        newer._run(task)
        newer._run(task)
        assert not errors
        task.set_exception(ValueError('wrong'))
        newer._run(task)
        newer.shutdown(1.0)
        newer.finish(1.0)
    assert [str(error) for error in errors] == ['wrong']


def test_entities_may_go_while_it_spins(spun):
    for number in range(50):
        spun.node.destroy_subscription(
            spun.node.create_subscription(String, f'~/other_{number}', lambda _: None, 10))
        spun.node.destroy_publisher(spun.node.create_publisher(String, f'~/mine_{number}', 10))
    assert spun.say('still') == ('still', 'spin')
    assert not spun.failures()


def test_a_reply_under_way_is_sent_before_the_end(spun, monkeypatch):
    monkeypatch.setattr(executor, 'STOP_TIMEOUT_S', 15.0)
    spun.gate.clear()
    reply = spun.ask()
    wait_until(lambda: spun.asked_in)
    opener = threading.Timer(0.25, spun.gate.set)
    opener.start()
    spun.spinner.stop()
    spun.node.destroy_node()
    wait_until(reply.done, what='the reply')
    opener.join()


def test_newer_versions_of_rclpy_can_spin_it_too():
    heard = []
    with graph_in(DOMAIN_ID) as graph:
        node = Node('newer', context=graph.context)
        node.create_subscription(String, '~/heard', lambda message: heard.append(message.data), 10)
        newer = executor.InlineExecutor(lambda error: heard.append(error), context=graph.context)
        newer.add_node(node)
        publisher = graph.publisher(String, '/newer/heard')
        wait_until(publisher.get_subscription_count)
        publisher.publish(String(data='word'))
        # As `spin` does since rclpy 7.1.9 and 9.1.5.
        wait_until(lambda: newer._spin_once_impl(0.1) or heard)
        newer.shutdown(1.0)
        newer.finish(1.0)
        node.destroy_node()
    assert heard == ['word']
