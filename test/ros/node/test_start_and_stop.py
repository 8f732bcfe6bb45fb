# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Real processes: bad starts in one sentence, clean ends in every state, what a crash leaves."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from geometry_msgs.msg import Point
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest
from ros_graph import graph_in
from sam2_tracker.ros.node import tracker_process
from sam2_tracker_msgs.msg import Prompt, TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts
from std_srvs.srv import Trigger
from tracker_runner import executable, TestCamera, TrackerProcess
from waiting import wait_until

DOMAIN_ID = 37
ROOT = Path(__file__).resolve().parents[3]
FAKE = (sys.executable, str(ROOT / 'test' / 'ros' / 'fake_tracker.py'))
# LAST_RESORT_S and what a busy machine adds; what must not be waited for takes far longer.
PATIENCE_S = 12.0
# Without leaving, a participant is believed for its lease of 20 s.
GONE_WITHIN_S = 1.0
# Longer than any thread of a busy machine stands still.
SURELY_S = 5.0


@pytest.fixture
def graph():
    # A new one for each: those of processes that were killed are remembered for a while.
    with graph_in(DOMAIN_ID) as joined:
        yield joined


@pytest.fixture(name='start')
def start_fixture(tmp_path):
    started = []

    def start(parameters=None, environment=None, **options) -> TrackerProcess:
        started.append(TrackerProcess(
            DOMAIN_ID, tmp_path / f'{len(started)}.log', parameters, environment={
                'TMPDIR': str(tmp_path), **(environment or {})}, command=FAKE, **options))
        return started[-1]
    yield start
    for tracker in started:
        tracker.end()
        sys.stdout.write(tracker.output)


def change(graph, transition: int) -> None:
    assert graph.call(ChangeState, '/sam2_tracker/change_state', ChangeState.Request(
        transition=Transition(id=transition))).success


def state(graph) -> str:
    return graph.call(GetState, '/sam2_tracker/get_state').current_state.label


def stop_and_time(tracker, number=signal.SIGINT) -> float:
    begun_s = time.monotonic()
    tracker.assert_ends_cleanly(number)
    return time.monotonic() - begun_s


# --- clean ends ---------------------------------------------------------------------------------


def test_it_gives_up_before_ros2_launch_does():
    # That follows SIGINT up with SIGTERM after 5 s.
    assert tracker_process.STOP_TIMEOUT_S < tracker_process.LAST_RESORT_S < 5.0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda sig: sig.name)
def test_a_signal_while_active_ends_it_cleanly(start, graph, number):
    tracker = start()
    tracker.wait_until_active()
    camera = TestCamera(graph)
    camera.wait_for_tracker()
    results = graph.inbox(TrackedObjects, '/sam2_tracker/objects')
    wait_until(lambda: camera.publish() and results.messages)
    assert stop_and_time(tracker, number) < PATIENCE_S
    assert not list(tracker.log.parent.glob('sam2_tracker*')), 'frames were left behind'


def test_a_signal_while_unconfigured_ends_it_cleanly(start, graph):
    tracker = start({'autostart': False})
    assert state(graph) == 'unconfigured'
    assert stop_and_time(tracker) < PATIENCE_S


def test_a_signal_while_inactive_ends_it_cleanly(start, graph):
    tracker = start({'autostart': False})
    change(graph, Transition.TRANSITION_CONFIGURE)
    assert state(graph) == 'inactive'
    assert stop_and_time(tracker) < PATIENCE_S


@pytest.mark.parametrize('autostart', [False, True], ids=['unconfigured', 'active'])
def test_its_name_has_left_the_graph_a_second_after_a_clean_end(start, graph, autostart):
    tracker = start({'autostart': autostart})
    wait_until(lambda: 'sam2_tracker' in graph.node.get_node_names())
    wait_until(lambda: state(graph) == ('active' if autostart else 'unconfigured'))
    tracker.assert_ends_cleanly()
    wait_until(lambda: 'sam2_tracker' not in graph.node.get_node_names(), GONE_WITHIN_S,
               'the name of a node that has ended is gone')


def test_a_signal_while_finalized_ends_it_cleanly(start, graph):
    tracker = start({'autostart': False})
    change(graph, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert state(graph) == 'finalized'
    assert stop_and_time(tracker) < PATIENCE_S


@pytest.mark.parametrize('load_s', ['2', '60'], ids=['that ends', 'that does not end in time'])
def test_a_signal_during_a_configure_ends_it_cleanly(start, load_s):
    tracker = start(environment={'FAKE_LOAD_S': load_s})
    tracker.wait_for('the model is being loaded')
    assert stop_and_time(tracker) < PATIENCE_S
    assert 'failed' not in tracker.output


def test_a_signal_during_a_configure_by_a_manager_ends_it_cleanly(start, graph):
    tracker = start({'autostart': False}, {'FAKE_LOAD_S': '2'})
    graph.call_async(ChangeState, '/sam2_tracker/change_state', ChangeState.Request(
        transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    tracker.wait_for('the model is being loaded')
    assert stop_and_time(tracker) < PATIENCE_S


def test_a_signal_after_a_failed_configure_ends_it_cleanly(start, graph, tmp_path):
    tracker = start({'prompts_file': tmp_path / 'missing.yaml'})
    tracker.wait_for('configuring failed')
    assert stop_and_time(tracker) < PATIENCE_S


def busy(graph, tracker) -> TestCamera:
    """Have it track one object, so that every frame is encoded."""
    tracker.wait_until_active()
    camera = TestCamera(graph)
    camera.wait_for_tracker()
    results = graph.inbox(TrackedObjects, '/sam2_tracker/objects')
    wait_until(lambda: camera.publish() and results.messages)
    reply = graph.call(AddPrompts, '/sam2_tracker/add_prompts', AddPrompts.Request(
        prompts=[Prompt(points=[Point(x=50.0, y=50.0)], point_labels=[1])]))
    assert reply.success, reply.message
    return camera


def test_a_signal_while_a_frame_is_under_way_ends_it_cleanly(start, graph):
    tracker = start(environment={'FAKE_STEP_S': '1'})
    busy(graph, tracker).publish()
    assert stop_and_time(tracker) < PATIENCE_S


@pytest.fixture(name='held')
def held_fixture(start, graph, tmp_path):
    """Start a tracker with a frame under way that never ends."""
    hold = tmp_path / 'hold'
    tracker = start({'prompt.timeout_s': 60}, {'FAKE_HOLD': str(hold)})
    camera = busy(graph, tracker)
    hold.touch()
    wait_until(lambda: camera.publish() and Path(f'{hold}.entered').exists())
    return tracker


def test_a_frame_that_takes_too_long_does_not_keep_it_from_ending(held):
    assert stop_and_time(held) < PATIENCE_S


def test_a_request_that_waits_when_it_stops_is_answered(held, graph):
    waiting = graph.call_async(Trigger, '/sam2_tracker/reset')
    time.sleep(SURELY_S)
    assert not waiting.done()
    held.send(signal.SIGINT)
    wait_until(waiting.done, what='a reply to the waiting request')
    assert not waiting.result().success and 'stopped' in waiting.result().message
    assert stop_and_time(held) < PATIENCE_S


def test_several_signals_do_no_harm(start, graph):
    tracker = start()
    tracker.wait_until_active()
    for _ in range(3):
        tracker.send(signal.SIGINT)
    tracker.assert_ends_cleanly()


def test_frames_that_a_killed_run_left_are_removed_by_the_next_start(start, graph):
    tracker = start()
    tracker.wait_until_active()
    camera = TestCamera(graph)
    camera.wait_for_tracker()
    results = graph.inbox(TrackedObjects, '/sam2_tracker/objects')
    wait_until(lambda: camera.publish() and len(results.messages) > 3)
    folder = tracker.log.parent
    left = set(folder.rglob('*.jpeg'))
    assert left
    tracker.process.kill()
    tracker.process.wait()
    again = start()
    again.wait_until_active()
    assert not left & set(folder.rglob('*.jpeg'))
    again.assert_ends_cleanly()
    assert not list(folder.rglob('*.jpeg'))


def test_the_frames_of_a_run_that_is_alive_are_left_alone(start, graph, tmp_path):
    shared = tmp_path / 'frames'
    first = start({'buffer.directory': shared})
    first.wait_until_active()
    camera = TestCamera(graph)
    camera.wait_for_tracker()
    results = graph.inbox(TrackedObjects, '/sam2_tracker/objects')
    wait_until(lambda: camera.publish() and len(results.messages) > 3)
    frames = set(shared.rglob('*.jpeg'))
    second = start({'buffer.directory': shared}, ros_arguments=['-r', '__ns:=/other'])
    second.wait_until_active()
    assert frames <= set(shared.rglob('*.jpeg'))
    second.assert_ends_cleanly()
    assert frames <= set(shared.rglob('*.jpeg'))
    first.assert_ends_cleanly()


# --- bad starts ---------------------------------------------------------------------------------


def run(*arguments: str, environment: dict[str, str] | None = None, command=None):
    return subprocess.run(
        [*(command or [executable()]), *arguments], capture_output=True, text=True, timeout=60,
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), **(environment or {})}, check=False)


@pytest.mark.parametrize('override, sentence', [
    ('buffer.jpeg_quality:=0',
     "tracker: parameter 'buffer.jpeg_quality' is 0: an integer from 1 to 100 is expected"),
    ('prompt.timeout_s:=soon',
     "tracker: parameter 'prompt.timeout_s' is 'soon': a double from 0.1 to 3600.0 is expected")])
def test_a_bad_parameter_is_one_sentence_and_exit_code_2(override, sentence):
    ended = run('--ros-args', '-p', override)
    assert ended.returncode == 2
    assert ended.stderr.strip() == sentence and not ended.stdout


def test_a_bad_value_in_a_parameter_file_is_one_sentence_and_exit_code_2(tmp_path):
    path = tmp_path / 'tracker.yaml'
    path.write_text((ROOT / 'config' / 'tracker.yaml').read_text().replace(
        "frame_policy: 'latest'", "frame_policy: 'newest'"))
    ended = run('--ros-args', '--params-file', str(path))
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        "tracker: parameter 'frame_policy' is 'newest': one of latest, every is expected")


def test_a_parameter_file_that_is_missing_is_exit_code_2(tmp_path):
    ended = run('--ros-args', '--params-file', str(tmp_path / 'missing.yaml'))
    assert ended.returncode == 2
    assert 'missing.yaml' in ended.stderr and 'Traceback' not in ended.stderr


def test_a_parameter_file_for_other_nodes_only_is_exit_code_2(tmp_path):
    path = tmp_path / 'others.yaml'
    path.write_text('/tracker: {ros__parameters: {frame_policy: every}}')
    ended = run('--ros-args', '--params-file', str(path), '-r', '__ns:=/arm')
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        f'tracker: parameter file {path} has no entry for /arm/sam2_tracker: it has /tracker; '
        '/arm/sam2_tracker or /** would be right')


def test_an_argument_that_is_none_is_refused_with_the_usage():
    ended = run('--image', '/camera')
    assert ended.returncode == 2
    assert 'usage: tracker' in ended.stderr and 'Traceback' not in ended.stderr


def test_help_has_an_example_that_can_be_pasted():
    ended = run('--help')
    assert ended.returncode == 0
    assert 'ros2 run sam2_tracker tracker --ros-args -r image:=' in ended.stdout
    assert 'ros2 service call /sam2_tracker/add_prompts' in ended.stdout


def test_missing_messages_are_one_sentence_with_the_fix():
    overlay = os.pathsep.join(
        path for path in os.environ['PYTHONPATH'].split(os.pathsep)
        if not (Path(path) / 'sam2_tracker_msgs' / '__init__.py').exists())
    ended = run(environment={'PYTHONPATH': os.pathsep.join([str(ROOT), overlay])},
                command=[sys.executable, '-m', 'sam2_tracker.ros.node.tracker_main'])
    assert ended.returncode == 1 and not ended.stdout
    assert ended.stderr.startswith('tracker: the package sam2_tracker_msgs cannot be imported')
    assert 'ln -s sam2_tracker/sam2_tracker_msgs src/sam2_tracker_msgs' in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_the_parameter_file_of_the_package_starts_it(start):
    tracker = start(ros_arguments=['--params-file', str(ROOT / 'config' / 'tracker.yaml')])
    tracker.wait_until_active()
    tracker.assert_ends_cleanly()
