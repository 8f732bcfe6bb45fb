# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says, and when."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_rig import click, NodeRig
import pytest
from ros_graph import TIMEOUT_S, wait_until
from std_srvs.srv import SetBool

from sam2_tracker.ros.messages import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.srv import AddPrompts

DOMAIN_ID = 38
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Watched(NodeRig):
    """The node with an inbox for its diagnostics."""

    def __init__(self, graph, *overrides, **options) -> None:
        self.inbox = graph.inbox(DiagnosticArray, '/diagnostics')
        super().__init__(graph, *overrides, **options)

    def arrays(self):
        """Return those of this node; each has one status."""
        return [array for array in list(self.inbox.messages)
                if array.status[0].hardware_id == self.prefix]

    def mine(self):
        return [array.status[0] for array in self.arrays()]

    def wait_for_status(self, wanted, timeout_s: float = TIMEOUT_S):
        """Return the first status from now on that is wanted, and its figures."""
        seen = len(self.mine())
        status = wait_until(
            lambda: next((each for each in self.mine()[seen:] if wanted(each, values(each))), 0),
            timeout_s, f'a status, last: {self.mine()[-1:]}')
        return status, values(status)


def values(status) -> dict[str, str]:
    return {entry.key: entry.value for entry in status.values}


@pytest.fixture(scope='module')
def shared(graph):
    rig = Watched(graph, 'frame_policy:=every', 'prompt.timeout_s:=5.0', namespace='shared')
    rig.track(3)
    reply = rig.call(AddPrompts, 'add_prompts', prompts=[click()],
                     stamp=stamp_to_msg(rig.stamp_ns(2)))
    assert reply.success
    rig.track(3)
    yield rig
    rig.close()


def test_the_name_is_the_nodes_full_name(shared):
    status, _ = shared.wait_for_status(lambda *_: True)
    assert status.name == '/shared/sam2_tracker: tracker'


@pytest.mark.parametrize('key', [
    'state', 'fps in', 'fps out', 'frames in', 'frames out', 'frames skipped', 'frames dropped',
    'frames lost', 'images refused', 'latency p50 ms', 'latency p95 ms', 'stage encode p50 ms',
    'stage track p95 ms', 'stage publish p50 ms', 'buffer frames', 'buffer waiting',
    'buffer disk MiB', 'device memory MiB', 'objects', 'objects catching up', 'paused'])
def test_every_figure_of_the_contract_is_there(shared, key):
    _, figures = shared.wait_for_status(lambda *_: True) if not shared.mine() else (
        None, values(shared.mine()[-1]))
    assert key in figures, figures


def test_the_figures_are_those_of_the_stream(shared):
    shared.send(stamp_ns=shared.stamp_ns(2))
    shared.track()
    _, figures = shared.wait_for_status(
        lambda _, each: (each['frames dropped'], each['frames out']) == ('1', '7'))
    assert (figures['objects'], figures['state']) == ('1', 'active')
    assert figures['frames lost'] == '0' and figures['buffer frames'] == '7'
    assert 0 < float(figures['latency p50 ms']) <= float(figures['latency p95 ms']) < 5000


def test_it_comes_once_a_second(shared):
    seen = len(shared.arrays())
    wait_until(lambda: len(shared.arrays()) >= seen + 4)
    first_s, *_, last_s = (stamp_from_msg(array.header.stamp) / 1e9
                           for array in shared.arrays()[seen:seen + 4])
    assert 1.5 < last_s - first_s < 12


def test_a_silent_camera_is_a_warning(shared):
    status, _ = shared.wait_for_status(lambda status, _: status.level == WARN)
    assert status.message == 'no images come in on /shared/image'


def test_a_pause_is_shown(shared):
    assert shared.call(SetBool, 'pause', data=True).success
    status, _ = shared.wait_for_status(lambda _, each: each['paused'] == 'true')
    assert (status.level, status.message) == (OK, 'paused')
    assert shared.call(SetBool, 'pause', data=False).success


def test_it_comes_without_a_running_clock_too(graph):
    rig = Watched(graph, 'use_sim_time:=true', namespace='simulated')
    rig.wait_for_status(lambda *_: True)
    rig.close()


def test_states_and_failures_are_shown(graph):
    rig = Watched(graph, namespace='failing', active=False)
    status, figures = rig.wait_for_status(lambda *_: True)
    assert (status.level, figures['state']) == (OK, 'unconfigured')
    rig.loader.failure = 'there is no such checkpoint'
    rig.node.trigger_configure()
    status, _ = rig.wait_for_status(lambda status, _: status.level == ERROR)
    assert 'there is no such checkpoint' in status.message
    rig.loader.failure = ''
    rig.node.trigger_configure()
    _, figures = rig.wait_for_status(lambda _, each: each['state'] == 'inactive')
    assert figures['frames in'] == '0'
    rig.close()


def test_a_frame_that_cannot_be_tracked_is_an_error_until_frames_go_through_again(graph):
    rig = Watched(graph, 'frame_policy:=every', namespace='broken')
    rig.track()
    assert rig.call(AddPrompts, 'add_prompts', prompts=[click()],
                    stamp=stamp_to_msg(rig.stamp_ns(0))).success
    rig.predictor.failures = [RuntimeError('CUDA out of memory') for _ in range(40)]
    rig.send()
    status, _ = rig.wait_for_status(lambda status, _: status.level == ERROR)
    assert 'out of memory' in status.message
    rig.predictor.failures.clear()
    rig.send()
    # After a while without frames that is a warning.
    rig.wait_for_status(lambda status, _: status.level != ERROR)
    rig.close()
