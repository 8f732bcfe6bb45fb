# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one model, in this process: whose parameters are whose, and who waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from ros_graph import Graph, HELD_S
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.ros.messages import image_to_msg, stamp_to_msg
from sam2_tracker.ros.node.executor import Spinner
from sam2_tracker.ros.node.trackers_node import TrackersNode
from sam2_tracker.ros.parameters import MODEL_PARAMETERS
from sam2_tracker_msgs.msg import TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts, ListObjects
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from waiting import TIMEOUT_S, wait_until

DOMAIN_ID = 72
NAMES = ('front', 'left', 'rear')
SUCCESS = TransitionCallbackReturn.SUCCESS
START_NS = 1_700_000_000_000_000_000


class Camera:
    """A camera's node, and a test's own end of its topics and services."""

    def __init__(self, graph: Graph, node: Any, name: str) -> None:
        self.graph, self.node, self.name = graph, node, name
        self.publisher = graph.publisher(Image, f'/{name}/image', 100)
        self.objects = graph.inbox(TrackedObjects, f'/{name}/sam2_tracker/objects', 1000)
        self.sent = 0

    def call(self, kind: type, name: str, **fields: Any) -> Any:
        return self.graph.call(kind, f'/{self.name}/sam2_tracker/{name}', kind.Request(**fields))

    def send(self, hw: tuple[int, int] = (48, 64)) -> None:
        pixels = np.zeros((*hw, 3), np.uint8)
        pixels[0, 0, 1] = self.sent % 256
        header = Header(stamp=stamp_to_msg(START_NS + self.sent * 10**8), frame_id=self.name)
        self.sent += 1
        self.publisher.publish(image_to_msg(pixels, 'rgb8', header))

    def track(self, count: int = 1) -> None:
        for _ in range(count):
            before = len(self.objects.messages)
            self.send()
            self.objects.wait_for_count(before + 1)

    def activate(self) -> None:
        assert self.node.trigger_configure() == SUCCESS
        assert self.node.trigger_activate() == SUCCESS
        wait_until(self.publisher.get_subscription_count)

    def prompt(self) -> None:
        from node_rig import click

        reply = self.call(AddPrompts, 'add_prompts', prompts=[click()])
        assert reply.success, reply.message


class Rig:
    """The node `trackers` on a fake model, and its cameras."""

    def __init__(self, graph: Graph, *overrides: str, namespace: str = '',
                 names: str = f'[{", ".join(NAMES)}]') -> None:
        from node_rig import FakeLoader

        self.loader = FakeLoader()
        arguments = ['--ros-args', '-p', f'cameras:={names}']
        for override in overrides:
            arguments += ['-p', override]
        if namespace:
            arguments += ['-r', f'__ns:={namespace}', '-r', '__node:=all']
        self.graph = graph
        self.owner = TrackersNode(self.loader, context=graph.context, cli_args=arguments,
                                  use_global_arguments=False)
        self.nodes = [self.owner, *self.owner.cameras]
        self.spinners = [Spinner(node) for node in self.nodes]
        self.cameras = [
            Camera(graph, node, name)
            for node, name in zip(self.owner.cameras, NAMES, strict=False)]

    def set(self, node: str, name: str, value: str) -> Any:  # noqa: A003
        typed = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
        return self.graph.call(SetParameters, f'{node}/set_parameters', SetParameters.Request(
            parameters=[Parameter(name=name, value=typed)])).results[0]

    def value(self, node: str, name: str) -> str:
        return self.graph.call(GetParameters, f'{node}/get_parameters', GetParameters.Request(
            names=[name])).values[0].string_value

    def close(self) -> None:
        self.loader.may_load.set()
        self.loader.predictor.gate.set()
        for node in self.owner.cameras:
            assert node.close(TIMEOUT_S)
        for spinner in self.spinners:
            spinner.stop()
        for node in self.nodes:
            node.destroy_node()


@pytest.fixture(name='made')
def made_fixture(graph) -> Iterator[Any]:
    rigs = []

    def make(*overrides: str, **options: Any) -> Rig:
        rigs.append(Rig(graph, *overrides, **options))
        return rigs[-1]
    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture(name='rig')
def rig_fixture(made) -> Rig:
    rig = made('frame_policy:=every')
    for camera in rig.cameras:
        camera.activate()
    return rig


@pytest.mark.parametrize(('names', 'said'), [
    ("''", 'empty'), ('front', "'front'"), ('[]', 'empty'),
    ('[front, front]', "['front', 'front']"), ('[1, 2]', '[1, 2]'),
    ('[front, 2nd]', "['front', '2nd']"), ("['a b']", "['a b']"), ("['']", "['']"),
    ("['a/b']", "['a/b']")])
def test_what_are_no_names_of_cameras_is_refused_with_an_example(graph, names, said):
    with pytest.raises(ConfigError) as refused:
        Rig(graph, names=names)
    assert str(refused.value) == (
        f"parameter 'cameras' is {said}: expected are names of one camera or more, each once and "
        'of letters, digits and _, as in -p cameras:="[front, left]"')


def test_the_first_camera_loads_the_model_and_the_last_one_frees_it(made):
    rig = made()
    front, left, rear = rig.cameras
    loaded = []
    load, rig.loader.load = rig.loader.load, lambda *given: loaded.append(1) or load(*given)
    for camera in (front, left):
        camera.activate()
    assert loaded == [1]
    front.node.trigger_deactivate()
    front.node.trigger_cleanup()
    left.track()
    rear.activate()
    assert loaded == [1]
    for camera in (left, rear):
        camera.node.trigger_deactivate()
        camera.node.trigger_cleanup()
    assert rig.owner._host.report().sharing is None
    front.activate()
    assert loaded == [1, 1]
    front.track()


def test_a_camera_that_is_configured_while_the_model_loads_for_another_waits_for_it(made, graph):
    rig = made()
    rig.loader.may_load.clear()
    done = [graph.call_async(ChangeState, f'/{name}/sam2_tracker/change_state',
                             ChangeState.Request(transition=Transition(
                                 id=Transition.TRANSITION_CONFIGURE))) for name in NAMES]
    wait_until(lambda: all(camera.node.readiness.state == 'configuring' for camera in rig.cameras))
    assert 'the model is being loaded' in rig.cameras[1].call(Trigger, 'reset').message
    rig.loader.may_load.set()
    wait_until(lambda: all(each.done() for each in done))
    assert all(each.result().success for each in done)


def test_a_model_that_cannot_be_loaded_is_said_on_each_camera_and_can_be_tried_again(made):
    rig = made()
    rig.loader.failure = 'no such file'
    for camera in rig.cameras:
        assert camera.node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert 'no such file' in camera.call(ListObjects, 'list_objects').message
    rig.loader.failure = ''
    rig.cameras[1].activate()
    rig.cameras[1].track()


def test_the_models_parameters_are_shown_on_cameras_and_set_on_their_own_node_only(made):
    rig = made('model:=sam2.1_hiera_tiny')
    assert rig.value('/trackers', 'model') == 'sam2.1_hiera_tiny'
    for name in NAMES:
        node = f'/{name}/sam2_tracker'
        assert rig.value(node, 'model') == 'sam2.1_hiera_tiny'
        refused = rig.set(node, 'model', 'nano')
        assert not refused.successful
        assert refused.reason == ("parameter 'model' is of the model that the cameras share: "
                                  'set it on /trackers')
        # A dump of all that it shows can be loaded.
        assert rig.set(node, 'model', 'sam2.1_hiera_tiny').successful
    assert rig.set('/trackers', 'model', 'sam2.1_hiera_small').successful
    for name, camera in zip(NAMES, rig.cameras, strict=True):
        assert rig.value(f'/{name}/sam2_tracker', 'model') == 'sam2.1_hiera_small'
        assert camera.node.parameters.config.model.name == 'sam2.1_hiera_small'


def test_the_models_parameters_are_fixed_while_a_camera_has_the_model(made):
    rig = made()
    rig.cameras[2].activate()
    for name in ('model', 'tracking.memory'):
        refused = rig.set('/trackers', name, 'distractor' if 'memory' in name else 'nano')
        assert not refused.successful and 'while every camera is unconfigured' in refused.reason
    rig.cameras[2].node.trigger_deactivate()
    rig.cameras[2].node.trigger_cleanup()
    assert rig.set('/trackers', 'tracking.memory', 'distractor').successful
    assert rig.value('/front/sam2_tracker', 'tracking.memory') == 'distractor'


def test_what_is_not_the_models_is_each_cameras_own(rig):
    typed = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=5)
    reply = rig.cameras[0].call(SetParameters, 'set_parameters', parameters=[
        Parameter(name='tracking.max_objects', value=typed)])
    assert reply.results[0].successful
    found = [camera.node.parameters.config.tracking.max_objects for camera in rig.cameras]
    assert found == [5, 32, 32]


def test_the_description_of_a_parameter_of_the_model_says_where_to_set_it(rig):
    described = rig.cameras[0].call(
        DescribeParameters, 'describe_parameters', names=list(MODEL_PARAMETERS)).descriptors
    assert len(described) == 11
    assert all('set it on /trackers' in each.description for each in described)


def test_a_camera_whose_own_override_is_another_model_is_refused_at_start(graph, tmp_path):
    path = tmp_path / 'own.yaml'
    path.write_text('/left/sam2_tracker:\n  ros__parameters:\n    model: sam2.1_hiera_large\n')
    with pytest.raises(ConfigError, match=(
            'is sam2.1_hiera_large for /left/sam2_tracker and nano for /trackers: the cameras '
            r'share one model, give it to /trackers or to /\*\* only')):
        TrackersNode(context=graph.context, use_global_arguments=False, cli_args=[
            '--ros-args', '--params-file', str(path), '-p', 'cameras:=[front, left]'])


def test_a_namespace_and_a_name_are_those_of_the_node_and_cameras_are_below(made):
    rig = made(namespace='/robot')
    assert [node.get_fully_qualified_name() for node in rig.nodes] == [
        '/robot/all', *(f'/robot/{name}/sam2_tracker' for name in NAMES)]


def test_objects_and_ids_are_each_cameras_own(rig):
    for camera in rig.cameras:
        camera.track(2)
        camera.prompt()
        camera.track(2)
    assert rig.cameras[0].call(Trigger, 'reset').success
    shown = [[each.id for each in camera.call(ListObjects, 'list_objects').objects]
             for camera in rig.cameras]
    assert shown == [[], [1], [1]]
    frames = {camera.objects.messages[-1].header.frame_id for camera in rig.cameras}
    assert frames == set(NAMES)


def test_diagnostics_say_who_has_the_model_and_what_each_had_of_it(rig, graph):
    inbox = graph.inbox(DiagnosticArray, '/diagnostics')
    for camera in rig.cameras:
        camera.track()
        camera.prompt()
        camera.track(3)

    def of_model(array: DiagnosticArray) -> Any:
        return next((each for each in array.status if each.name == '/trackers: model'), None)

    def figures(array: DiagnosticArray) -> dict[str, str]:
        return {entry.key: entry.value for entry in of_model(array).values}

    array = inbox.wait_for(lambda array: of_model(array) is not None and int(
        figures(array).get('rear turns', 0)) >= 9)
    assert of_model(array).message == 'model nano for 3 cameras'
    found = figures(array)
    assert found['cameras'] == '3' and found['model'] == 'nano'
    assert all(float(found[f'{name} wait p95 ms']) >= 0 for name in NAMES)
    assert all(0 <= int(found[f'{name} share %']) <= 100 for name in NAMES)
    names = {each.name for array in inbox.messages for each in array.status}
    wait_until(lambda: {f'/{name}/sam2_tracker: tracker' for name in NAMES} <= {
        each.name for array in inbox.messages for each in array.status}, what=str(names))


def test_a_callback_of_one_camera_that_takes_long_holds_up_no_other(rig, monkeypatch):
    """As with a picture that is so large that it takes a second to convert."""
    import threading

    from sam2_tracker.ros.inputs import image_input

    entered, may_go = threading.Event(), threading.Event()
    front, left, _ = rig.cameras
    convert = image_input.image_from_msg

    def slow(message: Image, *others: Any) -> Any:
        if message.header.frame_id == 'front':
            entered.set()
            assert may_go.wait(HELD_S)
        return convert(message, *others)

    monkeypatch.setattr(image_input, 'image_from_msg', slow)
    front.send((480, 640))
    assert entered.wait(TIMEOUT_S)
    try:
        left.track(5)
        assert left.call(ListObjects, 'list_objects').success
        assert front.objects.messages == []
    finally:
        may_go.set()
    front.objects.wait_for_count(1)


def test_a_camera_that_is_deactivated_in_the_middle_holds_up_no_other(rig):
    """Its frame is at work, and takes as long as the test likes; another waits for its turn."""
    front, left, _ = rig.cameras
    for camera in (front, left):
        camera.track()
        camera.prompt()
    for _ in range(3):
        assert front.node.trigger_deactivate() == SUCCESS
        left.track(2)
        assert front.node.trigger_activate() == SUCCESS
        wait_until(front.publisher.get_subscription_count)
        front.track(1)
    assert front.call(ListObjects, 'list_objects').objects[0].id == 1


def test_a_failure_of_the_model_is_the_fault_of_the_camera_whose_turn_it_was(rig):
    for camera in rig.cameras:
        camera.track()
        camera.prompt()
    front, left, rear = rig.cameras
    rig.loader.predictor.failures.append(RuntimeError('a kernel failed'))
    front.send()
    wait_until(lambda: front.node._system._engine.worker.report().fault)
    left.track(2)
    rear.track(2)
    assert 'a kernel failed' in front.node._system._engine.worker.report().fault
    assert not left.node._system._engine.worker.report().fault
    front.track(1)
    assert not front.node._system._engine.worker.report().fault
