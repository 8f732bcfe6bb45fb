# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""`video_source`: which frames it publishes, when each is due, and what it refuses."""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sam2_tracker.core.frames import jpeg
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.ros.camera.video_source_node import (
    MAX_LATE_NS,
    Pacer,
    Section,
    timed_frames,
)
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
from tracker_runner import wait_until_it_handles_signals
from waiting import TIMEOUT_S, wait_until

DOMAIN_ID = 71
ROOT = Path(__file__).parents[3]
HW = (48, 64)


def picture(number: int) -> np.ndarray:
    """Make a red BGR picture whose brightness tells its number."""
    image = np.zeros((*HW, 3), np.uint8)
    image[..., 2] = 40 + 10 * number
    return image


def number_of(red: np.ndarray) -> int:
    return round((float(red.mean()) - 40) / 10)


def stamp_ns(msg: Image | CompressedImage) -> int:
    return msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec


def assert_steady(messages: list[Image | CompressedImage], period_ns: int) -> None:
    steps_ns = np.diff([stamp_ns(msg) for msg in messages])
    # Where the source was held up it has moved its clock.
    moved = steps_ns > period_ns + MAX_LATE_NS
    assert set(steps_ns[~moved]) == {period_ns}, steps_ns


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('video') / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, HW[::-1])
    for number in range(8):
        writer.write(picture(number))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f'{number}.jpg'), picture(number))
    return tmp_path


class Receiver:
    """A node of the test's own that collects images."""

    def __init__(self) -> None:
        self.messages: list[Image | CompressedImage] = []
        self.context = Context()
        rclpy.init(context=self.context, domain_id=DOMAIN_ID)
        self.node = Node('receiver', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def subscribe(self, kind: type, topic: str) -> None:
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self.node.create_subscription(kind, topic, self.messages.append, qos)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.messages) >= count, what=f'{count} messages')

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def start() -> Iterator:
    """Start the executable with parameters; whatever is left running is killed."""
    processes = []

    def run(*remaps: str, **parameters: object) -> subprocess.Popen:
        arguments = [
            part for name, value in parameters.items() for part in ('-p', f'{name}:={value}')
        ]
        arguments += [part for remap in remaps for part in ('-r', remap)]
        process = subprocess.Popen(
            [sys.executable, '-m', 'sam2_tracker.ros.camera.video_source', '--ros-args',
             *arguments],
            cwd=ROOT,
            env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_a_video_is_published_whole_in_rgb_with_steady_stamps(start, receiver, video):
    receiver.subscribe(Image, 'camera/image')
    process = start('image:=camera/image', path=video, wait_for_subscriber='true', frame_id='lens')
    receiver.wait_for(8)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert '8 frames in' in output
    assert (f'publishing {video} on /camera/image (sensor_msgs/Image, 20 frames a second, '
            'reliable)') in output
    assert {(msg.encoding, msg.header.frame_id) for msg in receiver.messages} == {('rgb8', 'lens')}
    assert [
        number_of(np.frombuffer(msg.data, np.uint8).reshape(*HW, 3)[..., 0])
        for msg in receiver.messages
    ] == list(range(8))
    assert_steady(receiver.messages, 50_000_000)
    assert abs(time.time_ns() - stamp_ns(receiver.messages[-1])) < 60e9


def test_parameters_that_it_does_not_have_are_named(start, video):
    process = start(path=video, speed=2)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert 'unknown parameters are ignored: speed' in output


def test_a_damaged_video_is_played_past_the_damage_and_told_by_words_and_exit_code(
        start, receiver, video, tmp_path):
    content = bytearray(video.read_bytes())
    chunk = content.index(b'movi')
    for _ in range(3):
        chunk = content.index(b'00dc', chunk) + 4
    size = int.from_bytes(content[chunk:chunk + 4], 'little')
    content[chunk + 4:chunk + 4 + size] = bytes(size)
    path = tmp_path / 'damaged.avi'
    path.write_bytes(content)
    receiver.subscribe(Image, 'image')
    process = start(path=path, wait_for_subscriber='true')
    receiver.wait_for(7)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 6, output
    assert '7 frames in' in output
    sentence = 'is damaged: 1 damaged packet (the first at 0.100 s), 7 frames of the 8 that'
    assert f'video_source: not every frame was published: {path} {sentence}' in output


def test_jpegs_of_a_folder_go_out_as_they_are(start, receiver, folder):
    receiver.subscribe(CompressedImage, 'image/compressed')
    process = start(path=folder, wait_for_subscriber='true', image_transport='compressed', rate=50)
    receiver.wait_for(3)
    assert process.wait(30) == 0
    assert [bytes(msg.data) for msg in receiver.messages] == [
        (folder / f'{number}.jpg').read_bytes() for number in (1, 2, 10)
    ]
    assert {msg.format for msg in receiver.messages} == {'jpeg'}
    assert_steady(receiver.messages, 20_000_000)


def test_a_video_can_be_published_as_jpegs_and_in_part(start, receiver, video):
    receiver.subscribe(CompressedImage, 'lens/image/compressed')
    process = start(
        'image:=lens/image',
        path=video,
        wait_for_subscriber='true',
        first_frame=2,
        last_frame=4,
        image_transport='compressed',
    )
    receiver.wait_for(3)
    assert process.wait(30) == 0
    assert [number_of(jpeg.decode(bytes(msg.data))[..., 0]) for msg in receiver.messages] == [
        2,
        3,
        4,
    ]


def test_a_looping_source_goes_on_with_ascending_stamps_until_interrupted(start, receiver, folder):
    receiver.subscribe(Image, 'image')
    process = start(path=folder, loop='true', rate=40)
    receiver.wait_for(10)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert 'Traceback' not in output
    assert_steady(receiver.messages, 25_000_000)


def test_a_held_source_goes_on_when_it_is_told_to(start, receiver, video):
    process = start(path=video, hold_first='true')
    for said in ('publishing ', 'waiting for a subscriber of /image'):
        assert said in process.stdout.readline()
    receiver.subscribe(Image, 'image')
    client = receiver.node.create_client(Trigger, 'video_source/play')
    receiver.wait_for(1)
    assert client.wait_for_service(TIMEOUT_S)
    time.sleep(0.6)
    assert len(receiver.messages) == 1
    reply = client.call_async(Trigger.Request())
    receiver.wait_for(8)
    wait_until(reply.done)
    assert reply.result().success
    assert process.wait(30) == 0
    first, second, *_ = receiver.messages
    assert stamp_ns(second) - stamp_ns(first) > MAX_LATE_NS, 'stamps stay near the clock'
    assert_steady(receiver.messages[1:], 50_000_000)
    assert ('holding the first frame; the rest is for: ros2 service call /video_source/play '
            'std_srvs/srv/Trigger') in process.stdout.read()


def test_a_source_that_is_told_to_play_does_not_hold_a_frame_that_nobody_hears(
        start, receiver, video):
    process = start(path=video, hold_first='true')
    client = receiver.node.create_client(Trigger, 'video_source/play')
    assert client.wait_for_service(TIMEOUT_S)
    client.call_async(Trigger.Request())
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and '8 frames in ' in output


def test_an_interrupt_while_waiting_for_a_subscriber_ends_it(start, video):
    process = start('image:=nobody', path=video, wait_for_subscriber='true')
    assert f'publishing {video} on /nobody' in process.stdout.readline()
    assert 'waiting for a subscriber of /nobody' in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, '')


def test_an_interrupt_while_it_starts_ends_it(start, video):
    process = start(path=video, loop='true')
    wait_until_it_handles_signals(process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert 'Traceback' not in output


def test_the_reliability_offered_can_be_chosen(start, receiver, folder):
    start(path=folder, loop='true', reliability='best_effort')
    found = wait_until(lambda: receiver.node.get_publishers_info_by_topic('image'))
    assert found[0].qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize(
    ('parameters', 'code', 'sentence'),
    [
        ({}, 2, "parameter 'path' is '': a video file, a folder or a number is expected"),
        ({'path': '~no-one/a.mp4'}, 1, '~no-one/a.mp4 cannot be read: Could not determine'),
        ({'path': 'gone.mp4'}, 1, "'gone.mp4' is not there: give a video file, a folder of JPEGs"),
        ({'path': '.', 'rate': -1}, 2, "parameter 'rate' is -1.0: a double from 0.0 to 1000.0"),
        ({'path': 'test', 'first_frame': 5, 'last_frame': 2}, 1, 'test has no pictures'),
        ({'path': 99}, 1, 'webcam 99 cannot be opened'),
    ],
)
def test_what_cannot_be_played_is_one_sentence(start, parameters, code, sentence):
    process = start(**parameters)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    assert f'video_source: {sentence}' in output
    assert 'Traceback' not in output


def test_a_last_frame_before_the_first_is_refused(start, folder):
    output, _ = (process := start(path=folder, first_frame=2, last_frame=1)).communicate(
        timeout=30
    )
    assert process.returncode == 2
    assert "parameter 'last_frame' is 1: it is before first_frame 2" in output


def test_a_damaged_picture_ends_it_with_its_name(start, folder):
    (folder / '10.jpg').write_bytes(b'no picture')
    output, _ = (process := start(path=folder)).communicate(timeout=30)
    assert process.returncode == 1
    assert '10.jpg (frame 2): ' in output and 'Traceback' not in output


def test_arguments_that_ros_refuses_are_one_sentence():
    done = subprocess.run(
        [sys.executable, '-m', 'sam2_tracker.ros.camera.video_source', '--ros-args', '-p', 'path'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith('video_source: ') and "'-p path'" in line
    assert 'Traceback' not in done.stderr


def test_help_has_an_example_and_every_parameter():
    output = subprocess.run(
        [sys.executable, '-m', 'sam2_tracker.ros.camera.video_source', '--help'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert 'ros2 run sam2_tracker video_source --ros-args -p path:=clip.mp4' in output
    for name in ('path', 'rate', 'loop', 'image_transport', 'frame_id', 'reliability'):
        assert re.search(rf'^  {name} ', output, re.MULTILINE), name


class Frames:
    """A source of three frames at uneven times."""

    rate_hz = 10.0

    def frames(self, first: int = 0):
        for time_ns in (0, 100, 250)[first:]:
            yield SourceFrame(time_ns, time_ns, '', np.zeros((4, 4, 3), np.uint8))


def times(section: Section, count: int) -> list[int]:
    timed = timed_frames(Frames(), section)
    return [time_ns for time_ns, _ in (next(timed) for _ in range(count))]


def test_the_recording_s_own_times_are_kept_and_go_on_in_a_loop():
    period = 100_000_000
    assert times(Section(loop=True), 5) == [0, 100, 250, 250 + period, 350 + period]
    assert [time_ns for time_ns, _ in timed_frames(Frames(), Section(first=1))] == [0, 150]


def test_a_rate_replaces_the_recording_s_own_times():
    assert times(Section(rate_hz=1000.0, loop=True), 4) == [0, 10**6, 2 * 10**6, 3 * 10**6]


def test_a_loop_over_nothing_ends():
    assert list(timed_frames(Frames(), Section(loop=True, first=9))) == []


def test_frames_wait_for_their_time_and_a_slow_source_moves_the_clock():
    now_ns = 5_000_000_000
    pacer = Pacer(lambda: now_ns, stamp_ns=1000)
    assert pacer.schedule(0) == (0.0, 1000)
    assert pacer.schedule(100_000_000) == (0.1, 100_001_000)
    now_ns += 300_000_000
    assert pacer.schedule(200_000_000) == (0.0, 200_001_000), 'a little late: caught up with'
    now_ns += 2_000_000_000
    assert pacer.schedule(300_000_000) == (0.0, 2_300_001_000), 'much too late: a new start'
    assert pacer.schedule(400_000_000) == (0.1, 2_400_001_000)
