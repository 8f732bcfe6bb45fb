# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says, and when."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point
from node_rig import ask, click, NodeRig
import pytest
from rcl_interfaces.msg import Log
from ros_graph import graph_in
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.protocols import GraphCounts
from sam2_tracker.ros.messages import stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool
from waiting import TIMEOUT_S, wait_until

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
    rig.loader.predictor.graph_counts = GraphCounts(recorded=9)
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
    'buffer disk MiB', 'oldest buffered stamp', 'oldest refinable stamp', 'device memory MiB',
    'objects', 'objects catching up', 'cuts', 'paused',
    'graphs recorded', 'graphs replayed', 'graphs evicted', 'graphs eager'])
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


def test_the_oldest_stamps_say_how_far_back_prompts_are_taken(graph):
    rig = Watched(graph, 'frame_policy:=every', 'buffer.max_frames:=8',
                  'tracking.look_back_frames:=4', namespace='reach')
    _, figures = rig.wait_for_status(lambda _, each: each['state'] == 'active')
    assert (figures['oldest buffered stamp'], figures['oldest refinable stamp']) == ('', '')
    rig.track()
    assert rig.call(AddPrompts, 'add_prompts', prompts=[click()]).success
    rig.track(11)
    _, figures = rig.wait_for_status(lambda _, each: each['frames out'] == '12')
    oldest, refinable = (figures[f'oldest {what} stamp'] for what in ('buffered', 'refinable'))
    assert [oldest, refinable] == [format_stamp(rig.stamp_ns(number)) for number in (4, 7)]
    for number, object_id, is_taken in ((3, 0, False), (4, 0, True), (6, 1, False), (7, 1, True)):
        reply = ask(rig, click(object_id), stamp_ns=rig.stamp_ns(number), preview_only=True)
        assert (reply.success and reply.stamp == stamp_to_msg(rig.stamp_ns(number))) is is_taken
    rig.close()


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


@pytest.fixture(name='watch')
def watch_fixture(graph):
    rigs = []

    def watch(namespace: str, *overrides: str) -> Watched:
        rigs.append(Watched(graph, *overrides, namespace=namespace))
        return rigs[-1]
    yield watch
    for rig in rigs:
        rig.close()


def test_a_worker_that_is_stuck_is_a_warning_and_a_line_until_results_come_again(watch):
    rig = watch('stuck', 'frame_policy:=every')
    rig.track()
    assert ask(rig, click()).success
    rig.track(3)
    rig.predictor.gate.clear()
    status, _ = rig.wait_for_status(lambda status, _: rig.send() and status.level == WARN)
    assert status.message.startswith('no result for ')
    assert status.message.endswith(
        'although images come in: the worker is stuck in the tracking of a frame')
    rig.wait_for_line('the worker is stuck in the tracking of a frame')
    rig.predictor.gate.set()
    rig.wait_for_status(lambda status, _: rig.send() and status.level == OK)
    rig.wait_for_line('results come again', Log.INFO)
    assert len(rig.lines('no result for ')) == 1


def test_a_worker_that_died_is_an_error_and_goes_on_with_its_objects(watch):
    rig = watch('dying', 'frame_policy:=every')
    rig.track()
    object_id = ask(rig, click(label='cup')).objects[0].id
    rig.predictor.failures = [SystemExit(3)]
    rig.send()
    status, _ = rig.wait_for_status(lambda status, _: status.level == ERROR)
    assert status.message.startswith('the worker died: unexpected SystemExit')
    rig.wait_for_line('the worker died: unexpected SystemExit', Log.ERROR)
    rig.wait_for_line('the worker is started again, with its 1 object')
    result = rig.result(rig.track())
    assert [(each.id, each.label) for each in result.objects] == [(object_id, 'cup')]
    rig.wait_for_status(lambda status, _: rig.send() and status.level == OK)


def test_a_topic_that_nobody_publishes_is_named_on_diagnostics_in_the_log_and_to_prompts(watch):
    rig = watch('alone')
    rig.graph.node.destroy_publisher(rig.camera)
    named = 'nobody publishes /alone/image: start the camera or remap image'
    status, _ = rig.wait_for_status(lambda status, _: named in status.message)
    assert status.level == WARN
    rig.wait_for_line(named)
    reply = ask(rig, click())
    assert not reply.success
    assert reply.message.startswith(f'no frame is buffered yet; {named}')


def test_topics_that_could_have_been_meant_are_named(watch):
    rig = watch('beside')
    rig.graph.node.destroy_publisher(rig.camera)
    other = rig.graph.publisher(Image, '/beside/image_raw', 1)
    rig.wait_for_status(lambda status, _: '/beside/image_raw' in status.message)
    rig.graph.node.destroy_publisher(other)


def test_a_camera_or_a_click_of_another_type_is_said_with_what_would_be_right(watch):
    rig = watch('typed', 'prompt.clicked_point:=true')
    rig.track()
    with graph_in(DOMAIN_ID) as stranger:
        stranger.publisher(Point, f'{rig.prefix}/clicked_point')
        said = (f'{rig.prefix}/clicked_point is published as geometry_msgs/msg/Point, not '
                'geometry_msgs/msg/PointStamped: none of it is heard')
        rig.wait_for_status(lambda status, _: rig.send() and status.message == said)
        rig.wait_for_line(said)
    rig.wait_for_line(f'{rig.prefix}/clicked_point can be heard', Log.INFO)
    rig.graph.node.destroy_publisher(rig.camera)
    with graph_in(DOMAIN_ID) as stranger:
        stranger.publisher(CompressedImage, '/typed/image')
        said = ('/typed/image is published as sensor_msgs/msg/CompressedImage, not '
                'sensor_msgs/msg/Image: set image_transport to compressed or remap image')
        rig.wait_for_status(lambda status, _: status.message == said)


def test_refused_images_are_counted_and_named_on_diagnostics_in_the_log_and_to_prompts(watch):
    rig = watch('odd')

    def send() -> bool:
        rig.camera.publish(Image(encoding='8UC3', width=4, height=1, step=12, data=bytes(12)))
        return True

    named = "images of /odd/image are refused: image encoding '8UC3' is not accepted: use one of"
    status, figures = rig.wait_for_status(lambda status, _: send() and named in status.message)
    assert status.level == WARN and int(figures['images refused']) > 0
    line = rig.wait_for_line("an image of /odd/image is refused: image encoding '8UC3'")
    assert rig.lines('8UC3') == [line]
    send()
    reply = wait_until(lambda: send() and named in (said := ask(rig, click())).message and said)
    assert not reply.success and reply.message.startswith('no frame is buffered yet; ')


def test_a_disk_that_refuses_frames_is_a_warning_until_it_takes_them_again(watch, tmp_path):
    frames = tmp_path / 'frames'
    rig = watch('full', 'frame_policy:=every', f'buffer.directory:={frames}')
    rig.track(2)
    session = next(path.parent for path in frames.rglob('*.jpeg'))
    aside = tmp_path / 'aside'
    session.rename(aside)
    # Where the session's folder was there can be none now.
    session.write_text('in the way')
    status, _ = rig.wait_for_status(lambda status, _: rig.send() and status.level == WARN)
    assert 'cannot be written' in status.message and 'meanwhile they stay in memory' in (
        status.message)
    rig.wait_for_line('meanwhile they stay in memory', Log.ERROR)
    session.unlink()
    aside.rename(session)
    rig.wait_for_status(lambda status, _: rig.send() and status.level == OK)
