# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The image subscription: transport, reliability, refusals said once, and any image survived."""

from __future__ import annotations

import array
import io
import itertools
import time

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import PIL.Image
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import graph_in
from sam2_tracker.core.config import FramePolicy, InputConfig
from sam2_tracker.core.frames.stored_frame import Arrival, EncodedImage, Outcome, RawImage
from sam2_tracker.ros.inputs.image_input import fitting_reliability, ImageInput
from sam2_tracker.ros.messages import image_to_msg, stamp_to_msg
from sam2_tracker.ros.qos import image_topic
from sam2_tracker_msgs.msg import TrackedObjects
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from waiting import wait_until

DOMAIN_ID = 33
RELIABLE = ReliabilityPolicy.RELIABLE
BEST_EFFORT = ReliabilityPolicy.BEST_EFFORT
NAMES = (f'camera_{number}' for number in itertools.count())


class Log:

    def __init__(self):
        self.lines: list[tuple[str, str]] = []

    def info(self, text):
        self.lines.append(('info', text))

    def warning(self, text):
        self.lines.append(('warn', text))

    def error(self, text):
        self.lines.append(('error', text))

    def of(self, level):
        return [text for known, text in self.lines if known == level]


class Camera:
    """An ImageInput on a topic of its own, with what it handed over."""

    def __init__(self, graph, **config):
        self.log = Log()
        self.images = []
        self.arrival = Arrival(Outcome.STORED)
        topic = next(NAMES)
        self.node = graph.node.__class__(
            topic, context=graph.context, cli_args=['--ros-args', '-r', f'image:=/{topic}'])
        self.node.get_logger = lambda: self.log
        graph.executor.add_node(self.node)
        self.graph, self.topic = graph, f'/{topic}'
        self.config = InputConfig(**config)
        self.input = None

    def open(self):  # noqa: A003
        self.input = ImageInput(self.node, self.config, self.append, lambda: 65535)
        return self

    def append(self, image, header, received_ns, arrival_stamp_ns):
        self.images.append((image, header, received_ns, arrival_stamp_ns))
        return self.arrival

    def close(self):
        if self.input is not None:
            self.input.close()
        self.graph.executor.remove_node(self.node)
        self.node.destroy_node()


@pytest.fixture(name='camera')
def camera_fixture(graph):
    cameras = []

    def make(**config):
        cameras.append(Camera(graph, **config))
        return cameras[-1]
    yield make
    for camera in cameras:
        camera.close()


def picture(stamp_ns: int = 5_000_000_007, frame_id: str = 'cam') -> Image:
    msg = image_to_msg(np.full((6, 8, 3), (200, 10, 20), np.uint8), 'rgb8', Image().header)
    msg.header.stamp = stamp_to_msg(stamp_ns)
    msg.header.frame_id = frame_id
    return msg


def qos(reliability):
    return QoSProfile(depth=10, reliability=reliability)


@pytest.mark.parametrize('asked, offered, expected', [
    ('auto', [], RELIABLE),
    ('auto', [RELIABLE, RELIABLE], RELIABLE),
    ('auto', [RELIABLE, BEST_EFFORT], BEST_EFFORT),
    ('auto', [BEST_EFFORT], BEST_EFFORT),
    ('reliable', [BEST_EFFORT], RELIABLE),
    ('best_effort', [RELIABLE], BEST_EFFORT)])
def test_the_reliability_fits_the_publishers_found(asked, offered, expected):
    assert fitting_reliability(asked, offered) == expected


@pytest.mark.parametrize('resolved, transport, expected', [
    ('/image', 'raw', '/image'),
    ('/robot/camera', 'compressed', '/robot/camera/compressed'),
    ('/robot/camera/compressed', 'compressed', '/robot/camera/compressed')])
def test_the_compressed_topic_is_named_after_the_image(resolved, transport, expected):
    assert image_topic(resolved, transport) == expected


def test_a_raw_image_is_handed_over_with_its_header(graph, camera):
    here = camera().open()
    publisher = graph.publisher(Image, here.topic)
    wait_until(publisher.get_subscription_count)
    before_ns = time.monotonic_ns()
    publisher.publish(picture())
    image, header, received_ns, arrival_stamp_ns = wait_until(lambda: here.images)[0]
    assert isinstance(image, RawImage) and (image.image_rgb == (200, 10, 20)).all()
    assert (header.stamp_ns, header.frame_id) == (5_000_000_007, 'cam')
    assert before_ns < received_ns < time.monotonic_ns()
    assert abs(arrival_stamp_ns - time.time_ns()) < 60e9


def compressed(kind: str) -> CompressedImage:
    stream = io.BytesIO()
    PIL.Image.fromarray(np.full((6, 8, 3), (200, 10, 20), np.uint8)).save(stream, kind)
    msg = CompressedImage(format=kind.lower(), data=array.array('B', stream.getvalue()))
    msg.header.stamp = stamp_to_msg(77)
    return msg


def test_compressed_images_come_in_on_their_own_topic(graph, camera):
    here = camera(transport='compressed').open()
    publisher = graph.publisher(CompressedImage, f'{here.topic}/compressed')
    wait_until(publisher.get_subscription_count)
    jpeg = compressed('JPEG')
    publisher.publish(jpeg)
    publisher.publish(compressed('PNG'))
    wait_until(lambda: len(here.images) == 2)
    assert here.images[0][0] == EncodedImage(bytes(jpeg.data))
    assert (here.images[1][0].image_rgb == (200, 10, 20)).all()


def test_compressed_images_come_in_under_a_name_without_their_ending_too(graph, camera):
    here = camera(transport='compressed').open()
    assert here.input.topic == f'{here.topic}/compressed'
    publisher = graph.publisher(CompressedImage, here.topic, qos(BEST_EFFORT))
    wait_until(publisher.get_subscription_count)
    assert here.input.topic == here.topic and here.input.has_publisher()
    publisher.publish(compressed('JPEG'))
    wait_until(lambda: here.images)
    assert here.log.of('info')[-1] == f'subscribing to {here.topic} (best effort, depth 2)'


@pytest.mark.parametrize('transport, other, published, cure', [
    ('raw', CompressedImage, '', 'set image_transport to compressed or remap image'),
    ('compressed', Image, '', 'set image_transport to raw or remap image'),
    ('raw', PointCloud2, '', 'remap image'),
    ('compressed', PointCloud2, '/compressed', 'remap image')])
def test_a_camera_of_another_type_is_named_with_what_would_be_right(
        graph, camera, transport, other, published, cure):
    with graph_in(DOMAIN_ID) as stranger:
        here = camera(transport=transport).open()
        topic = f'{here.topic}{published}'
        stranger.publisher(other, topic)
        wait_until(lambda: graph.node.count_publishers(topic))
        kind = 'CompressedImage' if transport == 'compressed' else 'Image'
        assert wait_until(lambda: 'published as' in (said := here.input.trouble()) and said) == (
            f'{topic} is published as sensor_msgs/msg/{other.__name__}, not '
            f'sensor_msgs/msg/{kind}: {cure}')
        assert not here.input.has_publisher()


def test_a_camera_that_publishes_only_compressed_images_is_named_with_what_would_be_right(
        graph, camera):
    here = camera().open()
    graph.publisher(CompressedImage, f'{here.topic}/compressed')
    wait_until(lambda: graph.node.count_publishers(f'{here.topic}/compressed'))
    assert wait_until(lambda: 'but' in (said := here.input.trouble()) and said) == (
        f'nobody publishes {here.topic}, but {here.topic}/compressed is published: set '
        'image_transport to compressed or remap image')


def test_what_trackers_publish_is_no_camera_that_could_have_been_meant(graph, camera):
    here = camera().open()
    own = f'{here.topic}/sam2_tracker'
    for kind, topic in ((TrackedObjects, f'{own}/objects'), (Image, f'{own}/label_image'),
                        (Image, f'{here.topic}/right_one')):
        graph.publisher(kind, topic)
        wait_until(lambda topic=topic: graph.node.count_publishers(topic))
    said = wait_until(lambda: 'right_one' in (said := here.input.trouble()) and said)
    assert 'label_image' not in said


@pytest.mark.parametrize('policy, depth', [(FramePolicy.LATEST, 2), (FramePolicy.EVERY, 1000)])
def test_the_queue_is_short_when_live_and_long_when_nothing_may_be_lost(
        graph, camera, policy, depth):
    here = camera(frame_policy=policy).open()
    [found] = wait_until(lambda: graph.node.get_subscriptions_info_by_topic(here.topic))
    assert found.qos_profile.reliability == RELIABLE
    assert here.log.of('info') == [f'subscribing to {here.topic} (reliable, depth {depth})']


def test_a_best_effort_camera_that_appears_later_is_heard(graph, camera):
    here = camera(frame_policy=FramePolicy.EVERY).open()
    assert not here.log.of('warn')
    publisher = graph.publisher(Image, here.topic, qos(BEST_EFFORT))
    wait_until(publisher.get_subscription_count)
    publisher.publish(picture())
    wait_until(lambda: here.images)
    assert 'best effort: frames can be lost, which frame_policy every' in here.log.of('warn')[0]


def test_a_best_effort_camera_is_no_reason_to_warn_when_live(graph, camera):
    here = camera()
    publisher = graph.publisher(Image, here.topic, qos(BEST_EFFORT))
    wait_until(lambda: here.node.count_publishers(here.topic))
    here.open()
    wait_until(publisher.get_subscription_count)
    assert 'best effort, depth 2' in here.log.of('info')[0] and not here.log.of('warn')


def test_a_reliability_that_was_asked_for_is_kept(graph, camera):
    here = camera(reliability='best_effort').open()
    publisher = graph.publisher(Image, here.topic, qos(RELIABLE))
    wait_until(publisher.get_subscription_count)
    assert 'best effort' in here.log.of('info')[0]


def test_a_publisher_that_cannot_be_heard_is_said(graph, camera):
    here = camera(reliability='reliable').open()
    graph.publisher(Image, here.topic, qos(BEST_EFFORT))
    wait_until(lambda: here.log.of('warn'))
    assert 'none of its images will come' in here.log.of('warn')[0]


class LostMessages:
    total_count_change = 3


@pytest.mark.parametrize('policy, n_errors', [(FramePolicy.LATEST, 0), (FramePolicy.EVERY, 1)])
def test_lost_messages_are_counted_and_an_error_under_every(camera, policy, n_errors):
    here = camera(frame_policy=policy).open()
    here.input._subscription.on_message_lost(LostMessages())
    assert here.input.lost_messages == 3
    assert len(here.log.of('error')) == n_errors


def test_each_kind_of_refusal_is_said_once(camera):
    here = camera().open()
    for height in (1, 2, 3):
        broken = picture()
        broken.height = height
        here.input.on_image(broken)
    odd = picture()
    odd.encoding = '32FC1'
    here.input.on_image(odd)
    here.input.on_image(odd)
    refusals = here.log.of('warn')
    assert len(refusals) == 2 and not here.images
    assert refusals[0].startswith(f'an image of {here.topic} is refused: ')
    assert 'image has 144 bytes: step 24 and height 1' in refusals[0]
    assert "encoding '32FC1' is not accepted: use one of rgb8, bgr8" in refusals[1]


def test_stamp_zero_is_said_once_and_the_header_is_untouched(camera):
    here = camera().open()
    here.input.on_image(picture(stamp_ns=0))
    here.input.on_image(picture(stamp_ns=0))
    assert [header.stamp_ns for _, header, _, _ in here.images] == [0, 0]
    assert here.log.of('warn') == [
        'images have stamp 0: they are looked up by their receive time']


@pytest.mark.parametrize('outcome, level, sentence', [
    (Outcome.LOST, 'error', 'frame lost: the disk is full'),
    (Outcome.DROPPED, 'warn', 'frame dropped: the disk is full')])
def test_losses_are_errors_and_drops_are_warnings(camera, outcome, level, sentence):
    here = camera().open()
    here.arrival = Arrival(outcome, 'the disk is full')
    for _ in range(10):
        here.input.on_image(picture())
    assert here.log.of(level) == [sentence]


def test_trouble_with_the_disk_is_an_error(camera):
    here = camera().open()
    here.arrival = Arrival(Outcome.STORED, trouble='cannot write')
    here.input.on_image(picture())
    assert here.log.of('error') == ['cannot write']


@pytest.fixture(scope='module')
def fuzzed(graph):
    camera = Camera(graph).open()
    yield camera
    camera.close()


@settings(max_examples=150)
@given(encoding=st.sampled_from(['rgb8', 'mono16', 'nv12', 'yuyv', 'bayer_grbg8', '32FC1', '\0']),
       shape=st.tuples(*[st.integers(0, 2 ** 32 - 1)] * 3), small=st.booleans(),
       data=st.binary(max_size=64), sec=st.integers(-2 ** 31, 2 ** 31 - 1),
       nanosec=st.integers(0, 2 ** 32 - 1), frame_id=st.text(max_size=8))
def test_any_image_message_is_taken_or_refused(
        fuzzed, encoding, shape, small, data, sec, nanosec, frame_id):
    taken = len(fuzzed.images)
    fuzzed.input._refused.clear()
    height, width, step = (value % 5 for value in shape) if small else shape
    msg = Image(encoding=encoding, height=height, width=width, step=step, data=data)
    msg.header.stamp.sec, msg.header.stamp.nanosec = sec, nanosec
    msg.header.frame_id = frame_id
    fuzzed.log.lines.clear()
    fuzzed.input.on_image(msg)
    assert len(fuzzed.images) == taken + 1 or len(fuzzed.log.of('warn')) == 1
