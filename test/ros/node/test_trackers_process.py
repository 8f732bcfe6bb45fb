# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `trackers` with the bundled model: three cameras, their masks, and its ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import signal
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
import pytest
from ros_graph import Graph
from sam2_tracker.core.types import Prompt
from sam2_tracker.ros.messages import prompt_to_msg, stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.msg import TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import Image
from tracker_runner import executable, TestCamera, TrackerProcess
from waiting import wait_until

DOMAIN_ID = 73
pytest.importorskip('torch')
NAMES = ('front', 'left', 'rear')
FRAMES = 12
PARAMETERS = {'frame_policy': 'every', 'device': 'cpu'}


class Stream:
    """A camera with its tracker's topics and services."""

    def __init__(self, graph: Graph, name: str, tracker: str = '') -> None:
        self.graph = graph
        self.tracker = tracker or f'/{name}/sam2_tracker'
        self.camera = TestCamera(graph, f'/{name}/image', frame_id=name)
        self.objects = graph.inbox(TrackedObjects, f'{self.tracker}/objects', 1000)
        self.masks = graph.inbox(Image, f'{self.tracker}/label_image', 1000)
        self.first = NAMES.index(name) * 5

    def begin(self) -> None:
        """Prompt the disc on the first picture, when masks come."""
        self.camera.wait_for_tracker()
        wait_until(lambda: self.graph.node.count_publishers(f'{self.tracker}/label_image'))
        stamp_ns = self.camera.publish(self.first)
        self.masks.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns)
        x, y = self.camera.centre(self.first)
        box = np.array([x - 24, y - 24, x + 24, y + 24], np.float32)
        reply = self.graph.call(AddPrompts, f'{self.tracker}/add_prompts', AddPrompts.Request(
            stamp=stamp_to_msg(stamp_ns), prompts=[prompt_to_msg(Prompt(box_xyxy=box))]))
        assert reply.success, reply.message

    def play(self) -> None:
        """Send all pictures, as fast as they can be sent."""
        for number in range(1, FRAMES):
            self.camera.publish(self.first + number)

    def found(self) -> dict[int, bytes]:
        """Return the label image of each picture behind the first, by its number."""
        begin_ns = self.camera.next_stamp_ns - FRAMES * self.camera.period_ns
        last_ns = self.camera.next_stamp_ns - self.camera.period_ns
        self.masks.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == last_ns)
        return {
            (stamp_from_msg(msg.header.stamp) - begin_ns) // self.camera.period_ns:
            bytes(msg.data) for msg in self.masks.messages
            if stamp_from_msg(msg.header.stamp) > begin_ns}

    def state(self) -> str:
        return self.graph.call(GetState, f'{self.tracker}/get_state').current_state.label

    def change(self, transition: int) -> bool:
        return self.graph.call(ChangeState, f'{self.tracker}/change_state', ChangeState.Request(
            transition=Transition(id=transition))).success


@pytest.fixture(scope='module', name='process')
def process_fixture(graph, tmp_path_factory) -> Iterator[TrackerProcess]:
    process = TrackerProcess(
        DOMAIN_ID, tmp_path_factory.mktemp('trackers') / 'log',
        {'cameras': f'[{", ".join(NAMES)}]', **PARAMETERS}, command=[executable('trackers')])
    yield process
    process.end()


@pytest.fixture(scope='module', name='streams')
def streams_fixture(process, graph) -> list[Stream]:
    made = [Stream(graph, name) for name in NAMES]
    for name in NAMES:
        process.wait_for(f'[{name}.sam2_tracker]: the tracker is active')
    return made


@pytest.fixture(scope='module', name='masks')
def masks_fixture(streams) -> list[dict[int, bytes]]:
    """Let all cameras send at the same time, and give the masks of each."""
    for stream in streams:
        stream.begin()
    for stream in streams:
        stream.play()
    return [stream.found() for stream in streams]


def test_every_camera_has_all_its_frames_and_follows_its_disc(streams, masks):
    for stream, found in zip(streams, masks, strict=True):
        assert sorted(found) == list(range(1, FRAMES))
        for number, data in found.items():
            labels = np.frombuffer(data, np.uint16).reshape(stream.camera.hw)
            disc = (stream.camera.picture(stream.first + number) == (230, 40, 30)).all(2)
            assert ((labels > 0) & disc).sum() / ((labels > 0) | disc).sum() > 0.6
        assert {each.header.frame_id for each in stream.objects.messages} == {
            stream.camera.frame_id}


def test_the_masks_are_those_of_a_tracker_alone_bit_for_bit(masks, graph, tmp_path):
    alone = TrackerProcess(DOMAIN_ID, tmp_path / 'log', PARAMETERS,
                           ['-r', '__ns:=/alone', '-r', 'image:=/rear/image'])
    try:
        alone.wait_until_active()
        stream = Stream(graph, 'rear', '/alone/sam2_tracker')
        stream.begin()
        stream.play()
        assert stream.found() == masks[NAMES.index('rear')]
    finally:
        alone.end()


def test_one_is_deactivated_and_cleaned_up_while_the_others_track(streams, masks):
    front, left, _ = streams
    assert left.change(Transition.TRANSITION_DEACTIVATE)
    assert left.change(Transition.TRANSITION_CLEANUP)
    assert [stream.state() for stream in streams] == ['active', 'unconfigured', 'active']
    stamp_ns = front.camera.publish(front.first)
    front.objects.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns)
    assert left.change(Transition.TRANSITION_CONFIGURE)
    assert left.change(Transition.TRANSITION_ACTIVATE)
    assert left.state() == 'active'


def test_what_is_said_of_the_model_is_said_once_and_by_its_node(process, streams):
    lines = [line for line in process.output.splitlines() if 'model nano is for demos' in line]
    assert len(lines) == 1 and '[trackers]' in lines[0]


def test_it_ends_cleanly_and_all_names_leave_the_graph(process, streams, masks, graph):
    process.assert_ends_cleanly(signal.SIGTERM)
    wait_until(lambda: not {'trackers', 'sam2_tracker'} & set(graph.node.get_node_names()), 2.0)


@pytest.mark.parametrize('parameters, expected', [
    ({}, 'names of one camera or more'),
    ({'cameras': '[front, front]'}, 'each once'),
    ({'cameras': '[front]', 'model': 'huge'}, "parameter 'model' is 'huge'"),
    ({'cameras': '[front]', 'frame_policy': 'some'}, "parameter 'frame_policy' is 'some'")])
def test_a_bad_start_is_one_sentence_and_code_2(tmp_path, parameters: dict[str, Any],
                                                expected: str):
    process = TrackerProcess(
        DOMAIN_ID, Path(tmp_path) / 'log', parameters, command=[executable('trackers')])
    assert process.process.wait(60) == 2
    lines = process.output.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('trackers: ') and expected in lines[0]


def test_parameters_of_other_nodes_are_no_slips_of_the_pen(process, streams):
    """Those of cameras reach the node `trackers`, and the list of cameras each of them."""
    assert 'unknown parameters' not in process.output
