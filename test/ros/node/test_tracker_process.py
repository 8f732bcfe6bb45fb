# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The executable itself with the bundled model, two of them in two namespaces, over DDS."""

from __future__ import annotations

import io
import itertools
import signal

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import PIL.Image
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sam2_tracker.core.types import Prompt
from sam2_tracker.ros.messages import jpeg_to_msg, prompt_to_msg, stamp_from_msg, stamp_to_msg
from sam2_tracker_msgs.msg import TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts, ListObjects
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tracker_runner import TestCamera, TrackerProcess
from waiting import wait_until

DOMAIN_ID = 40
pytest.importorskip('torch')
N_FRAMES = 40
BEGIN_NS = 10 ** 18
# The first results may be there before the inbox.
RESULTS = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Live:
    """One tracker and its camera."""

    def __init__(self, graph, namespace, log, parameters) -> None:
        self.graph, self.namespace = graph, namespace
        self.tracker = TrackerProcess(
            DOMAIN_ID, log, parameters, ['-r', f'__ns:=/{namespace}'])
        self.camera = TestCamera(graph, f'/{namespace}/image')
        self.objects = graph.inbox(TrackedObjects, self.topic('objects'), RESULTS)

    def topic(self, name: str) -> str:
        return f'/{self.namespace}/sam2_tracker/{name}'

    def call(self, kind, name, **fields):
        return self.graph.call(kind, self.topic(name), kind.Request(**fields))

    def track(self, number: int) -> int:
        """Send a picture and wait for its result."""
        stamp_ns = self.camera.publish(number)
        self.objects.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns)
        return stamp_ns

    def stamps(self) -> list[int]:
        return [stamp_from_msg(msg.header.stamp) for msg in self.objects.messages]


@pytest.fixture(scope='module')
def both(graph, tmp_path_factory):
    logs = tmp_path_factory.mktemp('trackers')
    live = Live(graph, 'live', logs / 'live.log', {'frame_policy': 'latest'})
    bag = Live(graph, 'bag', logs / 'bag.log', {
        'frame_policy': 'every', 'image_transport': 'compressed'})
    yield live, bag
    for each in (live, bag):
        each.tracker.end()


@pytest.fixture(scope='module')
def live(both):
    both[0].tracker.wait_until_active()
    both[0].camera.wait_for_tracker()
    return both[0]


def disc(camera: TestCamera, number: int) -> np.ndarray:
    picture = camera.picture(number)
    return (picture == (230, 40, 30)).all(2)


def box_prompt(camera: TestCamera, number: int, label: str):
    rows, columns = np.nonzero(disc(camera, number))
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
    return prompt_to_msg(Prompt(label=label, box_xyxy=box))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.fixture(scope='module')
def prompted(live):
    """Give the answer to a box around the disc on the first picture."""
    stamp_ns = live.track(0)
    reply = live.call(AddPrompts, 'add_prompts', stamp=stamp_to_msg(stamp_ns),
                      prompts=[box_prompt(live.camera, 0, 'disc')], with_label_image=True)
    assert reply.success, reply.message
    return reply


def test_a_box_finds_the_disc(live, prompted):
    labels = np.frombuffer(prompted.label_image.data, np.uint16).reshape(live.camera.hw)
    assert prompted.objects[0].label == 'disc' and prompted.objects[0].score > 0.5
    assert iou(labels == prompted.objects[0].id, disc(live.camera, 0)) > 0.6


def test_the_published_mask_follows_the_disc(live, prompted):
    object_id = prompted.objects[0].id
    numbers = {live.track(1): 1}
    topic = live.topic(f'object_{object_id}/mask')
    wait_until(lambda: live.graph.node.count_publishers(topic))
    masks = live.graph.inbox(Image, topic)
    # Until the tracker knows of the subscription.
    wait_until(lambda: numbers.update({live.track(1): 1}) or masks.messages)
    numbers.update({live.track(number): number for number in range(2, 16)})
    masks.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == max(numbers))
    assert len(masks.messages) > 5
    assert {msg.header.frame_id for msg in masks.messages} == {'camera'}
    overlaps = [iou(np.frombuffer(msg.data, np.uint8).reshape(live.camera.hw) > 0,
                    disc(live.camera, numbers[stamp_from_msg(msg.header.stamp)]))
                for msg in masks.messages]
    assert min(overlaps) > 0.7, overlaps


def test_the_annotated_stream_keeps_the_cameras_colours(live, prompted):
    annotated = live.graph.inbox(Image, live.topic('annotated'))
    wait_until(lambda: live.track(20) and annotated.messages)
    picture = annotated.messages[0]
    assert picture.encoding == 'bgr8'
    bgr = np.frombuffer(picture.data, np.uint8).reshape(*live.camera.hw, 3)
    x, y = live.camera.centre(20)
    blue, _, red = bgr[int(y), int(x)].astype(int)
    assert red > blue + 50, 'the red disc is not red'


def test_the_figures_of_a_real_run_are_on_diagnostics(live, prompted):
    inbox = live.graph.inbox(DiagnosticArray, '/diagnostics')
    status = inbox.wait_for(lambda msg: msg.status[0].name.startswith('/live')).status[0]
    figures = {entry.key: entry.value for entry in status.values}
    assert figures['objects'] == '1' and figures['frames lost'] == '0'
    assert 0 < float(figures['stage encode p50 ms']) < float(figures['latency p95 ms'])


def publish_jpeg(publisher, camera: TestCamera, number: int, stamp_ns: int) -> None:
    stream = io.BytesIO()
    PIL.Image.fromarray(camera.picture(number)).save(stream, 'JPEG', quality=95)
    header = Header(stamp=stamp_to_msg(stamp_ns), frame_id='bag_camera')
    publisher.publish(jpeg_to_msg(stream.getvalue(), header))


def test_a_compressed_bag_faster_than_the_tracker_loses_nothing(both):
    bag = both[1]
    bag.tracker.wait_until_active()
    publisher = bag.graph.publisher(CompressedImage, '/bag/image/compressed', 1000)
    # Until both ends know of each other.
    early_ns = itertools.count(BEGIN_NS // 2, 40_000_000)
    wait_until(lambda: publish_jpeg(publisher, bag.camera, 0, next(early_ns))
               or bag.objects.messages)
    sent = [BEGIN_NS + number * 40_000_000 for number in range(N_FRAMES)]
    for number, stamp_ns in enumerate(sent):
        publish_jpeg(publisher, bag.camera, number, stamp_ns)
    bag.objects.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == sent[-1], timeout_s=120)
    assert [stamp_ns for stamp_ns in bag.stamps() if stamp_ns >= BEGIN_NS] == sent
    assert {msg.header.frame_id for msg in bag.objects.messages} == {'bag_camera'}
    assert both[0].call(ListObjects, 'list_objects').header.frame_id != 'bag_camera'


def test_an_inactive_tracker_with_a_real_model_ends_cleanly(both):
    bag = both[1]
    bag.tracker.wait_until_active()
    assert bag.call(ChangeState, 'change_state', transition=Transition(
        id=Transition.TRANSITION_DEACTIVATE)).success
    bag.tracker.assert_ends_cleanly(signal.SIGTERM)


def test_an_active_tracker_with_a_real_model_ends_cleanly(live):
    live.tracker.assert_ends_cleanly()
