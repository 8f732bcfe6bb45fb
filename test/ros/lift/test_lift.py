# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `lift` in a process of its own: what it publishes, and what it says it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
import os
import signal
import subprocess
import time

from depth_scenes import plate, Scene, sphere
from geometry_msgs.msg import Point
from lift_rig import CAMERA, camera_info, depth_msg, DOMAIN_ID, Rig, seen
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_graph import graph_in
from sam2_tracker.core.lifting.camera import Camera
from sam2_tracker.core.lifting.objects import LIFT_SPECS
from sam2_tracker.ros.messages import stamp_to_msg
from sam2_tracker.ros.qos import LATCHED, OUTPUT
from sam2_tracker_msgs.msg import Prompt, TrackedObject
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tracker_runner import executable, TestCamera, TrackerProcess
from waiting import wait_until

TEST_CAMERA = CAMERA.scaled_to((160, 120))
CENTRE = np.array([0.1, -0.1, 1.5])


@pytest.fixture(scope='module')
def rigs(graph, environment, tmp_path_factory) -> Iterator[Callable[..., Rig]]:
    with ExitStack() as stack:
        def start(tracker: str, *arguments: str, latched: CameraInfo | None = None,
                  is_shown: bool = True, **profiles: QoSProfile) -> Rig:
            rig = Rig(graph, environment, tmp_path_factory.mktemp('lift'), tracker, *arguments,
                      **profiles)
            stack.callback(rig.close)
            if latched is not None:
                rig.info.publish(latched)
            rig.wait_until_it_listens()
            if is_shown:
                rig.wait_until_it_is_heard()
            return rig
        yield start


@pytest.fixture(scope='module')
def rig(rigs) -> Rig:
    return rigs('/stands_in')


@pytest.fixture
def ball() -> Scene:
    return sphere(CENTRE, 0.25, CAMERA)


def assert_is_the_ball(detection: dict, points: np.ndarray) -> None:
    """Points on it within the millimetre that 16UC1 has, centroid within 1 % of the distance."""
    assert np.abs(np.linalg.norm(points['xyz'] - CENTRE, axis=1) - 0.25).max() < 0.001
    position = detection['results'][0]['pose']['pose']['position']
    distance = np.linalg.norm(CENTRE)
    true = CENTRE * (1 - 0.25 * (2 + 0.25 / distance) / 3 / distance)
    assert np.linalg.norm(np.array([position[axis] for axis in 'xyz']) - true) < 0.01 * distance


@pytest.mark.parametrize(('encoding', 'order', 'padding'), [
    ('16UC1', '<', 0), ('16UC1', '>', 6), ('32FC1', '<', 0), ('32FC1', '>', 0),
    ('32FC1', '<', 12)])
def test_an_object_is_found_in_space_whatever_form_the_depth_has(
        rig, ball, encoding, order, padding):
    ball.depth_m[::7, ::5] = 0.0
    ball.depth_m[::11, ::3] = np.nan
    stamp_ns = rig.show(*seen(ball), depth_msg(ball.depth_m, encoding, order, padding),
                        camera_info(CAMERA))
    found = rig.detections(stamp_ns)
    detection, = found['detections']
    points = rig.cloud(stamp_ns)
    assert set(points['id']) == {7}
    assert_is_the_ball(detection, points)
    hypothesis = detection['results'][0]['hypothesis']
    assert (detection['id'], hypothesis['class_id'], hypothesis['score']) == ('7', 'ball', 0.875)
    assert found['header']['frame_id'] == detection['header']['frame_id'] == 'camera'
    centre, size = detection['bbox']['center'], detection['bbox']['size']
    assert centre['orientation'] == {'x': 0.0, 'y': 0.0, 'z': 0.0, 'w': 1.0}
    for axis, name in enumerate('xyz'):
        values = points['xyz'][:, axis]
        assert abs(centre['position'][name] - (values.min() + values.max()) / 2) < 0.01
        assert 0.9 * np.ptp(values) < size[name] <= np.ptp(values) + 1e-5


def test_only_visible_objects_with_depth_are_there(rig, ball):
    labels, objects = seen(ball)
    other = plate((-0.4, 0.2, 2.0), (0, 0, -1), 0.1, CAMERA)
    labels = labels + other.labels(9)
    ball.depth_m[ball.mask] = 0.0
    depth = np.minimum(ball.depth_m, other.depth_m)
    objects += [TrackedObject(id=9, state=TrackedObject.VISIBLE, score=0.5),
                TrackedObject(id=8, state=TrackedObject.OCCLUDED, score=0.25)]
    stamp_ns = rig.show(labels, objects, depth_msg(depth), camera_info(CAMERA))
    detection, = rig.detections(stamp_ns)['detections']
    assert (detection['id'], detection['results'][0]['hypothesis']['class_id']) == ('9', '9')
    assert detection['results'][0]['pose']['pose']['position']['z'] == pytest.approx(2.0, 1e-4)
    assert set(rig.cloud(stamp_ns)['id']) == {9}
    assert rig.detections(rig.show(np.zeros_like(labels), [], depth_msg(depth),
                                   camera_info(CAMERA)))['detections'] == []


def test_depth_of_another_resolution_than_the_picture_will_do(rig, ball):
    large = sphere(CENTRE, 0.25, CAMERA.scaled_to((480, 360)))
    # CameraInfo is that of the picture, the depth is smaller, as some drivers have it.
    stamp_ns = rig.show(*seen(large), depth_msg(ball.depth_m), camera_info(large.camera))
    detection, = rig.detections(stamp_ns)['detections']
    assert_is_the_ball(detection, rig.cloud(stamp_ns))


def test_binned_and_cut_out_pictures_have_their_own_centre(rig, ball):
    info = camera_info(Camera((800, 600), (600.0, 600.0), (399.5, 299.5)))
    info.binning_x = info.binning_y = 2
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 80, 60, 640, 480
    stamp_ns = rig.show(*seen(ball), depth_msg(ball.depth_m), info)
    detection, = rig.detections(stamp_ns)['detections']
    assert_is_the_ball(detection, rig.cloud(stamp_ns))


def test_distortion_counts_unless_the_picture_is_rectified(rig, rigs):
    camera = Camera((320, 240), (220.0, 220.0), (160.0, 120.0), 'plumb_bob',
                    (-0.3, 0.1, 0.001, -0.001, 0.0))
    scene = sphere(CENTRE, 0.25, camera)
    stamp_ns = rig.show(*seen(scene), depth_msg(scene.depth_m), camera_info(camera))
    detection, = rig.detections(stamp_ns)['detections']
    assert_is_the_ball(detection, rig.cloud(stamp_ns))
    scene = sphere(CENTRE, 0.25, CAMERA)
    info = camera_info(camera)
    info.p = camera_info(CAMERA).p
    rectified = rigs('/rectified', '-p', 'rectified:=true')
    stamp_ns = rectified.show(*seen(scene), depth_msg(scene.depth_m), info)
    detection, = rectified.detections(stamp_ns)['detections']
    assert_is_the_ball(detection, rectified.cloud(stamp_ns))


def test_the_nearest_depth_within_the_tolerance_is_taken(rig, ball):
    depth, info = depth_msg(ball.depth_m), camera_info(CAMERA)
    stamp_ns = rig.show(*seen(ball), depth, info, depth_off_ns=-30_000_000)
    assert len(rig.detections(stamp_ns)['detections']) == 1
    assert rig.cloud(stamp_ns)['xyz'].shape[0] > 100


def test_what_has_no_partner_is_counted_and_said(rigs, ball):
    rig = rigs('/alone', is_shown=False)
    depth = depth_msg(ball.depth_m)
    rig.show(*seen(ball), depth, None)
    rig.wait_for_line('1 label images found no camera info: nothing comes on /alone_lift/camera')
    rig.show(*seen(ball), depth, camera_info(CAMERA), depth_off_ns=60_000_000)
    rig.wait_for_line('1 label images found no depth within 0.05 s: the nearest on '
                      '/alone_lift/depth is 0.060 s away')


def test_a_calibration_of_another_type_is_said(rigs, ball):
    rig = rigs('/typed', is_shown=False)
    with graph_in(DOMAIN_ID) as stranger:
        stranger.publisher(Image, '/typed_lift/camera_info')
        said = ('label images found no camera info: /typed_lift/camera_info is published as '
                'sensor_msgs/msg/Image, not sensor_msgs/msg/CameraInfo')

        def is_said() -> bool:
            # Each is said at most every 10 s: the first may come before lift has found both.
            rig.show(*seen(ball), depth_msg(ball.depth_m), None)
            time.sleep(0.5)
            return said in rig.log

        wait_until(is_said, what=said)


def test_two_frames_are_refused_with_what_would_be_right(rigs, ball):
    rig = rigs('/refusing')
    info = camera_info(CAMERA)
    rig.show(*seen(ball), depth_msg(ball.depth_m, frame_id='depth_frame'), info)
    rig.wait_for_line('refused: depth is in frame depth_frame, the picture in camera: depth that '
                      'is aligned')
    rig.values({'refused': 1})
    rig.show(*seen(ball), depth_msg(ball.depth_m[:100]), info)
    rig.wait_for_line('refused: depth is 320x100, the camera 320x240: both have to show the same')
    rig.show(*seen(ball), depth_msg(ball.depth_m), CameraInfo())
    rig.wait_for_line('refused: camera of 0x0 pixels with focal lengths 0 and 0 is not calibr')
    rig.values({'refused': 3})
    for height in (101, 102, 103):
        rig.show(*seen(ball), depth_msg(ball.depth_m[:height]), info)
        rig.values({'refused': 3 + height - 100})
    assert rig.log.count('depth is 320x1') == 1
    stamp_ns = rig.show(*seen(ball), depth_msg(ball.depth_m), info)
    assert len(rig.detections(stamp_ns)['detections']) == 1
    rig.values({'refused': 6, 'objects': 1, 'objects with too little depth': 0})


def test_a_calibration_latched_once_and_best_effort_depth_are_heard(rigs, ball):
    rig = rigs('/latched', latched=camera_info(CAMERA), info_qos=LATCHED, depth_qos=QoSProfile(
        depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    stamp_ns = rig.show(*seen(ball), depth_msg(ball.depth_m, '16UC1'), None)
    assert len(rig.detections(stamp_ns)['detections']) == 1


@pytest.mark.parametrize(('parameter', 'sentence'), [
    ('edge_px:=-1', "lift: parameter 'edge_px' is -1: an integer from 0 to 50"),
    ('stamp_tolerance_s:=6', "lift: parameter 'stamp_tolerance_s' is 6: it is at most keep_s")])
def test_a_wrong_parameter_is_one_sentence_and_code_2(parameter, sentence):
    done = subprocess.run(
        [executable('lift'), '--ros-args', '-p', parameter], capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)


def test_help_has_every_parameter_and_an_example():
    output = subprocess.check_output([executable('lift'), '--help'], text=True, timeout=60)
    assert 'ros2 run sam2_tracker lift --ros-args -r depth:=' in output
    assert all(f'  {spec.name}' in output for spec in LIFT_SPECS)


def test_nothing_is_subscribed_to_while_nobody_listens_and_without_vision_msgs_it_says_so(
        graph, tmp_path):
    try:
        import vision_msgs.msg  # noqa: F401
        pytest.skip('vision_msgs is installed')
    except ImportError:
        pass
    labels = graph.publisher(Image, '/lazy/label_image', OUTPUT)
    log = tmp_path / 'log'
    with log.open('wb') as sink:
        process = subprocess.Popen(
            [executable('lift'), '--ros-args', '-r', '__node:=lazy_lift', '-p', 'tracker:=/lazy'],
            stdout=sink, stderr=subprocess.STDOUT,
            env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    try:
        wait_until(lambda: 'install it (apt install ros-$ROS_DISTRO-vision-msgs)' in (
            log.read_text()), what='the sentence')
        wait_until(lambda: graph.node.count_publishers('/lazy_lift/points'))
        names = {name for name, _ in graph.node.get_topic_names_and_types()}
        assert '/lazy_lift/detections' not in names
        assert labels.get_subscription_count() == 0
        points = graph.inbox(PointCloud2, '/lazy_lift/points')
        wait_until(labels.get_subscription_count, what='a subscription')
        points.close()
        wait_until(lambda: labels.get_subscription_count() == 0, what='no subscription')
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0, log.read_text()


def show_plate(rig: Rig, camera: TestCamera, number: int) -> tuple[np.ndarray, int]:
    """Publish a picture of the disc and the depth of such a plate; its middle, and the stamp."""
    x, y = (int(each) for each in camera.centre(number))
    true = np.array([*TEST_CAMERA.rays()[y, x], 1.0]) * 1.2
    scene = plate(true, (0, 0, -1), 0.24, TEST_CAMERA)
    stamp_ns = camera.publish(number)
    for msg, publisher in ((depth_msg(scene.depth_m, '16UC1'), rig.depth),
                           (camera_info(TEST_CAMERA), rig.info)):
        msg.header.stamp = stamp_to_msg(stamp_ns)
        publisher.publish(msg)
    return true, stamp_ns


def test_what_the_real_tracker_tracks_is_where_it_is(graph, environment, rigs, tmp_path):
    """A disc in the pictures of a camera, with depth of a thing of that shape before a wall."""
    tracker = TrackerProcess(
        DOMAIN_ID, tmp_path / 'tracker.log', {'device': 'cpu', 'frame_policy': 'every'},
        ['-r', '__ns:=/real'], environment)
    try:
        camera = TestCamera(graph, '/real/image')
        tracker.wait_until_active()
        camera.wait_for_tracker()
        camera.publish(0)
        x, y = camera.centre(0)
        reply = graph.call(AddPrompts, '/real/sam2_tracker/add_prompts', AddPrompts.Request(
            prompts=[Prompt(label='disc', points=[Point(x=x, y=y)], point_labels=[1])]))
        assert reply.success, reply.message
        rig = rigs('/real/sam2_tracker')
        shown = []

        def is_found() -> bool:
            """Tell whether the tracker has found who wants label images, which it makes then."""
            shown.append(show_plate(rig, camera, 1)[1])
            time.sleep(0.5)
            return any(map(rig.heard, shown))

        wait_until(is_found, what=f'detections; lift says: {rig.log}')
        for number in range(2, 5):
            true, stamp_ns = show_plate(rig, camera, number)
            detection, = rig.detections(stamp_ns)['detections']
            assert detection['results'][0]['hypothesis']['class_id'] == 'disc'
            position = detection['results'][0]['pose']['pose']['position']
            assert position['z'] == pytest.approx(1.2, 1e-3)
            off_m = np.linalg.norm([position[axis] for axis in 'xyz'] - true)
            assert off_m < 0.01 * np.linalg.norm(true)
    finally:
        tracker.end()
