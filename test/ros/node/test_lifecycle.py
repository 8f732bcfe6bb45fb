# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Transitions by an external manager, failing ones, and calls in every state."""

from __future__ import annotations

import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_rig import click, NodeRig
import pytest
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from sam2_tracker.ros.messages import stamp_to_msg
from sam2_tracker.ros.node.tracker_node import TrackerNode
from sam2_tracker_msgs.srv import AddPrompts, ListObjects, RemoveObject
from std_srvs.srv import SetBool, Trigger
from waiting import TIMEOUT_S, wait_until

DOMAIN_ID = 34
SERVICES = {
    'add_prompts': AddPrompts, 'remove_object': RemoveObject, 'list_objects': ListObjects,
    'reset': Trigger, 'pause': SetBool, 'snapshot': Trigger}


@pytest.fixture(name='rig')
def rig_fixture(graph, request):
    rig = NodeRig(graph, namespace=f'ns{abs(hash(request.node.nodeid)) % 10 ** 8}', active=False)
    yield rig
    rig.close()


def change(rig, transition: str) -> bool:
    request = ChangeState.Request(transition=Transition(
        id=getattr(Transition, f'TRANSITION_{transition.upper()}')))
    return rig.graph.call(ChangeState, f'{rig.prefix}/change_state', request).success


def state(rig) -> str:
    return rig.graph.call(GetState, f'{rig.prefix}/get_state').current_state.label


def assert_all_refused(rig, reason: str) -> None:
    for name, kind in SERVICES.items():
        reply = rig.call(kind, name)
        assert not reply.success
        assert reason in reply.message, f'{name}: {reply.message}'


def test_every_service_says_why_while_unconfigured(rig):
    assert state(rig) == 'unconfigured'
    assert_all_refused(rig, 'the tracker is unconfigured: ros2 lifecycle set '
                            f'{rig.prefix} configure')


def test_another_node_of_the_same_full_name_is_warned_of_when_it_is_configured(rig):
    own = rig.node.get_name(), rig.node.get_namespace()

    def count() -> int:
        return rig.node.get_node_names_and_namespaces().count(own)

    others = [Node(own[0], namespace=f'{own[1]}/deeper', context=rig.graph.context),
              Node('another', namespace=own[1], context=rig.graph.context)]
    wait_until(lambda: (others[0].get_name(), others[0].get_namespace())
               in rig.node.get_node_names_and_namespaces())
    assert count() == 1 and change(rig, 'configure') and change(rig, 'cleanup')
    others.append(Node(own[0], namespace=own[1], context=rig.graph.context))
    wait_until(lambda: count() == 2, what='the other one to be found')
    assert change(rig, 'configure')
    rig.wait_for_line(f'another node {rig.prefix} is in the graph: requests reach both')
    assert len(rig.lines('is in the graph')) == 1
    for other in others:
        other.destroy_node()


def test_every_service_says_why_while_inactive(rig):
    assert change(rig, 'configure') and state(rig) == 'inactive'
    assert_all_refused(rig, f'the tracker is inactive: ros2 lifecycle set {rig.prefix} activate')


def test_every_service_and_the_state_answer_while_configuring(rig):
    rig.loader.may_load.clear()
    pending = rig.graph.call_async(
        ChangeState, f'{rig.prefix}/change_state',
        ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    wait_until(lambda: state(rig) == 'configuring')
    wait_until(lambda: 'configuring' in rig.call(Trigger, 'reset').message)
    assert_all_refused(rig, 'the tracker is configuring: the model is being loaded')
    assert not pending.done()
    rig.loader.may_load.set()
    wait_until(pending.done)
    assert pending.result().success and state(rig) == 'inactive'


def test_an_external_manager_takes_the_node_through_all_its_states(rig):
    for transition, then in (('configure', 'inactive'), ('activate', 'active'),
                             ('deactivate', 'inactive'), ('cleanup', 'unconfigured'),
                             ('configure', 'inactive'), ('activate', 'active'),
                             ('active_shutdown', 'finalized')):
        assert change(rig, transition), transition
        assert state(rig) == then
    assert_all_refused(rig, 'the tracker is finalized: it was shut down; start it anew')


def test_a_transition_that_does_not_fit_the_state_is_refused(rig):
    assert not change(rig, 'activate')
    assert state(rig) == 'unconfigured'


def test_a_failing_configure_leaves_the_reason_everywhere_and_can_be_retried(rig):
    inbox = rig.graph.inbox(DiagnosticArray, '/diagnostics')
    rig.loader.failure = 'checkpoint x.pt is not there: ros2 run sam2_tracker fetch_checkpoint x'
    assert not change(rig, 'configure')
    assert state(rig) == 'unconfigured'
    assert_all_refused(rig, rig.loader.failure)
    status = inbox.wait_for(lambda msg: any(
        rig.loader.failure in entry.message for entry in msg.status)).status[0]
    assert status.level == DiagnosticStatus.ERROR
    rig.loader.failure = ''
    assert change(rig, 'configure') and change(rig, 'activate')
    assert rig.call(ListObjects, 'list_objects').success


def test_objects_survive_deactivation(rig):
    rig.activate()
    rig.track()
    assert rig.call(AddPrompts, 'add_prompts', prompts=[click(label='cup')],
                    stamp=newest_stamp(rig)).success
    assert change(rig, 'deactivate') and change(rig, 'activate')
    wait_until(rig.camera.get_subscription_count)
    rig.track()
    listed = rig.call(ListObjects, 'list_objects')
    assert [(item.id, item.label) for item in listed.objects] == [(1, 'cup')]


def newest_stamp(rig):
    return stamp_to_msg(rig.stamp_ns(rig.sent - 1))


def test_cleanup_frees_the_model_and_ids_go_on(rig):
    rig.activate()
    rig.track()
    reply = rig.call(AddPrompts, 'add_prompts', prompts=[click()], stamp=newest_stamp(rig))
    assert [item.id for item in reply.objects] == [1]
    assert change(rig, 'deactivate') and change(rig, 'cleanup')
    assert rig.loader.released == 1
    assert not rig.graph.node.count_publishers(f'{rig.prefix}/object_1/mask')
    rig.activate()
    rig.track()
    assert rig.call(ListObjects, 'list_objects').objects == []
    reply = rig.call(AddPrompts, 'add_prompts', prompts=[click()], stamp=newest_stamp(rig))
    assert [item.id for item in reply.objects] == [2]


def test_nothing_is_subscribed_to_or_published_while_inactive(rig):
    assert change(rig, 'configure')
    assert not rig.camera.get_subscription_count()
    assert change(rig, 'activate')
    wait_until(rig.camera.get_subscription_count)
    assert change(rig, 'deactivate')
    wait_until(lambda: not rig.camera.get_subscription_count())


def set_parameter(rig, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return rig.graph.call(
        SetParameters, f'{rig.prefix}/set_parameters', request).results[0]


def test_at_configure_parameters_are_refused_once_configured(rig):
    assert set_parameter(rig, 'frame_policy', 'every').successful
    assert change(rig, 'configure')
    result = set_parameter(rig, 'frame_policy', 'latest')
    assert not result.successful
    assert 'can only be set while the node is unconfigured' in result.reason
    assert change(rig, 'cleanup')
    assert set_parameter(rig, 'frame_policy', 'latest').successful


def test_live_parameters_take_effect_while_active(rig):
    rig.activate()
    rig.track()
    assert set_parameter(rig, 'tracking.max_objects', 1).successful
    reply = rig.call(
        AddPrompts, 'add_prompts', prompts=[click(), click()], stamp=newest_stamp(rig))
    assert not reply.success and 'at most 1 in all (tracking.max_objects)' in reply.message


def test_activating_while_the_last_frame_is_still_under_way_is_refused_and_can_be_retried(rig):
    rig.activate()
    rig.track()
    assert rig.call(AddPrompts, 'add_prompts', prompts=[click()],
                    stamp=newest_stamp(rig)).success
    rig.predictor.arrived.clear()
    rig.predictor.gate.clear()
    rig.send()
    assert rig.predictor.arrived.wait(TIMEOUT_S)
    assert change(rig, 'deactivate')
    rig.wait_for_line('the frame under way takes longer than', Log.ERROR)
    assert not change(rig, 'activate') and state(rig) == 'inactive'
    assert_all_refused(rig, 'not done yet; try again in a moment')
    rig.predictor.gate.set()
    wait_until(lambda: change(rig, 'activate'))
    wait_until(rig.camera.get_subscription_count)
    rig.track()


def in_a_thread_until(rig, step, reached: str) -> threading.Thread:
    """Take a step, and go on when it has reached a state or is held up."""
    thread = threading.Thread(target=step)
    thread.start()
    deadline_s = time.monotonic() + 0.5
    while rig.node.state_label != reached and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return thread


class Interrupted(TrackerNode):
    """Something else happens just before a transition of this node begins."""

    before_configure = before_shutdown = None
    configured = None

    @property
    def state_label(self) -> str:
        return self._state_machine.current_state[1]

    def trigger_configure(self):
        between, self.before_configure = self.before_configure, None
        if between:
            between()
        self.configured = super().trigger_configure()
        return self.configured

    def trigger_shutdown(self):
        between, self.before_shutdown = self.before_shutdown, None
        if between:
            between()
        return super().trigger_shutdown()


@pytest.fixture(name='interrupted')
def interrupted_fixture(graph, request, monkeypatch):
    for place in ('node_rig', 'sam2_tracker.ros.node.trackers_node'):
        monkeypatch.setattr(f'{place}.TrackerNode', Interrupted)
    rig = NodeRig(graph, namespace=f'ns{abs(hash(request.node.nodeid)) % 10 ** 8}', active=False)
    rig.loader.may_load.clear()
    yield rig
    rig.leave()


def test_a_stop_that_comes_before_the_autostart_configures_ends_it_cleanly(interrupted):
    node, threads = interrupted.node, []
    node.before_shutdown = lambda: threads.append(
        in_a_thread_until(interrupted, node.autostart, 'configuring'))
    assert node.close(10)
    threads[0].join()
    assert node.state_label == 'finalized'


def test_a_stop_while_the_autostart_begins_to_configure_waits_for_it(interrupted):
    node, threads = interrupted.node, []
    node.before_configure = lambda: threads.append(
        in_a_thread_until(interrupted, lambda: node.close(10), 'finalized'))
    node.autostart()
    threads[0].join()
    # An error would mean that there was no such transition any more.
    assert node.configured == TransitionCallbackReturn.FAILURE
    assert node.state_label == 'finalized'


def test_a_stop_while_a_manager_begins_to_configure_waits_for_it(interrupted):
    node, threads = interrupted.node, []
    node.before_shutdown = lambda: threads.append(
        in_a_thread_until(interrupted, node.trigger_configure, 'configuring'))
    assert node.close(10)
    threads[0].join()
    assert node.state_label == 'finalized'
