# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Errors that nobody foresaw: the node goes on, and says where they were."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
import weakref

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import GetState
from node_rig import FakeLoader, NodeRig
import pytest
from rcl_interfaces.msg import Log
from rclpy.lifecycle import TransitionCallbackReturn
from sam2_tracker.core.config import CoreConfig
from sam2_tracker.core.log import silent
from sam2_tracker.core.types import IdAllocator, Wanted
from sam2_tracker.ros.node.engine import Engine, EngineHooks
from sam2_tracker.ros.node.executor import THROTTLE_S
from sam2_tracker.ros.outputs import topics

DOMAIN_ID = 44


@pytest.fixture(name='rig')
def rig_fixture(graph, request):
    rig = NodeRig(graph, namespace=f'ns{abs(hash(request.node.nodeid)) % 10 ** 8}', active=False)
    yield rig
    rig.close()


def test_a_callback_that_fails_is_logged_with_its_place_and_the_node_goes_on(rig):
    def on_fault() -> None:
        raise KeyError('nobody expected this')

    begun_s = time.monotonic()
    rig.node.create_timer(0.02, on_fault)
    line = rig.wait_for_line('a callback failed', Log.ERROR)
    assert 'nobody expected this' in line and 'in on_fault' in line
    time.sleep(0.5)
    count = len(rig.lines('a callback failed'))
    assert count <= 2 + (time.monotonic() - begun_s) / THROTTLE_S, 'the log is flooded'
    assert rig.graph.call(GetState, f'{rig.prefix}/get_state').current_state.label


def test_a_transition_that_fails_unexpectedly_is_logged_with_its_place(rig, monkeypatch):
    def load(*_):
        raise KeyError('no such layer')

    monkeypatch.setattr(rig.loader, 'load', load)
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    line = rig.wait_for_line('configuring failed', Log.ERROR)
    assert "KeyError: 'no such layer'" in line and 'in load' in line


def test_a_configure_that_fails_frees_what_it_had_loaded(rig, monkeypatch):
    class Model:
        """Stands for gigabytes on the GPU."""

    models, was_free = [], []

    def load(*_):
        model = Model()
        models.append(weakref.ref(model))
        raise RuntimeError('CUDA out of memory')

    monkeypatch.setattr(rig.loader, 'load', load)
    monkeypatch.setattr(rig.loader, 'release', lambda: was_free.append(models[0]() is None))
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert was_free == [True]


def test_figures_of_an_engine_that_was_just_closed_can_still_be_read():
    """Diagnostics may hold it while a stop or a cleanup frees it."""
    hooks = EngineHooks(IdAllocator(), lambda _: None, Wanted, silent, threading.Event())
    engine = Engine(CoreConfig(), None, hooks, FakeLoader())
    engine.close()
    assert engine.worker.report().statistics.frames_in == 0
    assert engine.buffer_statistics().received == 0


def test_results_that_cannot_be_published_are_an_error_until_one_can(rig, monkeypatch):
    inbox = rig.graph.inbox(DiagnosticArray, '/diagnostics')

    def message_of(is_wanted: Callable[[bytes], bool]) -> str:
        # Messages of before do not count.
        array = inbox.wait_for(
            lambda array: any(is_wanted(status.level) and status.hardware_id == rig.prefix
                              for status in array.status), len(inbox.messages))
        return next(status.message for status in array.status
                    if status.hardware_id == rig.prefix)

    def convert(*_):
        raise KeyError('no such field')

    rig.activate()
    rig.track()
    with monkeypatch.context() as patch:
        patch.setattr(topics, 'tracked_objects_to_msg', convert)
        rig.send()
        line = rig.wait_for_line('a result could not be published', Log.ERROR)
        assert 'in convert' in line
        assert 'no such field' in message_of(lambda level: level == DiagnosticStatus.ERROR)
    rig.track()
    # After a while without frames that is a warning.
    assert 'no such field' not in message_of(lambda level: level != DiagnosticStatus.ERROR)
