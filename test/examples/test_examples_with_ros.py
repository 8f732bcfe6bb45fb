# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The examples that use rclpy: real processes, a real video, the bundled model."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

import cv2
from demo.fetch_clip import VIDEO
from demo.scene import box_iou, FIRST_FRAME, HAND_BOXES, LAST_FRAME
import numpy as np
import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401
from sam2_tracker.core.types import Box

DOMAIN_ID = 47
RATE_HZ = 5.0
# The detector has time to find somebody while there are images left, on a busy machine too.
DETECTED_HZ = 2.5
PATIENCE_S = 180.0
# Frames of a robot's view of the person whom it follows; later others come near.
PERSON_ALONE = 40
needs_video = pytest.mark.skipif(
    not VIDEO.is_file(), reason=f'{VIDEO} is missing: python -m demo.fetch_clip'
)


def box_of(mask: np.ndarray) -> Box:
    return Box(*cv2.boundingRect(mask.astype(np.uint8)))


def prompt_in(graph: Any, box: Box, preview_only: bool) -> Any:
    """Prompt the newest frame as soon as there is one."""
    from sam2_tracker_msgs.msg import Prompt
    from sam2_tracker_msgs.srv import AddPrompts
    from sensor_msgs.msg import RegionOfInterest
    from waiting import wait_until

    region = RegionOfInterest(
        x_offset=box.x, y_offset=box.y, width=box.width, height=box.height
    )
    request = AddPrompts.Request(prompts=[Prompt(box=region)], preview_only=preview_only)
    name = '/sam2_tracker/add_prompts'
    return wait_until(lambda: (reply := graph.call(AddPrompts, name, request)).success and reply)


@pytest.fixture
def play(graph: Any, start: Any) -> Any:
    """Start a tracker and a video that stands on its first frame; return what lets it go on."""
    from std_srvs.srv import Trigger

    settings = {'device': 'cpu', 'frame_policy': 'every', 'tracking.lost_after_s': 0.3}
    start('tracker', **settings).wait_until_active()
    start(
        'video_source', path=VIDEO, first_frame=FIRST_FRAME, last_frame=LAST_FRAME,
        rate=RATE_HZ, loop=True, hold_first=True, wait_for_subscriber=True,
    )
    return lambda: graph.call(Trigger, '/video_source/play')


def test_a_click_gives_the_mask_of_the_thing_pointed_at(
    graph: Any, start: Any, tmp_path: Path
) -> None:
    from tracker_runner import TestCamera
    from waiting import wait_until

    start('tracker', device='cpu').wait_until_active()
    camera = TestCamera(graph)
    camera.wait_for_tracker()
    camera.publish()
    x, y = camera.centre(0)
    prompt_in(graph, Box(int(x), int(y), 8, 8), preview_only=True)
    png = tmp_path / 'disc.png'
    click = start('click.py', f'{x:.0f}', f'{y:.0f}', '--label', 'disc', '--output', str(png))
    click.wait_for('object 1: ')
    wait_until(lambda: camera.publish() and click.process.poll() is not None, what='the mask')
    assert click.process.returncode == 0, click.output
    disc = (camera.picture(0) == (230, 40, 30)).all(axis=2)
    area, *box = (int(number) for number in re.findall(r'\d+', click.output)[1:6])
    assert box_iou(Box(*box), box_of(disc)) > 0.8
    assert area == pytest.approx(np.count_nonzero(disc), rel=0.2)
    mask = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(disc & (mask > 0)) > 0.8 * np.count_nonzero(disc | (mask > 0))


def test_a_click_without_a_tracker_says_so(start: Any) -> None:
    click = start('click.py', '1', '1')
    assert click.process.wait(60) == 1
    assert 'sam2_tracker/add_prompts is not there: is the tracker running?' in click.output


@needs_video
def test_a_follower_steers_after_the_man_and_says_when_he_is_lost_and_found_again(
    graph: Any, start: Any, play: Any
) -> None:
    from waiting import wait_until

    prompt_in(graph, HAND_BOXES[0]['man'], preview_only=False)
    follow = start('follow.py', '1')
    wait_until(lambda: graph.node.count_subscribers('/sam2_tracker/objects'))
    play()
    # The video begins again; how much of its first round the follower hears is a matter of when
    # the publishers find it.
    wait_until(lambda: follow.output.count('object 1 is lost: stop') == 2, PATIENCE_S)
    assert follow.output.count('object 1 is found: go') == 2
    second_round = follow.output.split('object 1 is found: go')[2]
    way = [float(offset) for offset in re.findall(r'steer ([+-][\d.]+)', second_round)]
    assert way[0] < -0.3 and way[-1] > 0.3, 'he walks through the picture from left to right'
    follow.assert_ends_cleanly()


def stamp_ns_of(msg: Any) -> int:
    stamp = msg.header.stamp
    return int(stamp.sec * 10**9 + stamp.nanosec)


def mean_overlap(images: Any, results: Any, truth: list[Path]) -> tuple[float, int]:
    """Return IoU of visible objects' boxes with those of the truth, and of how many."""
    from sam2_tracker_msgs.msg import TrackedObject

    # From the end: who finds the camera late gets all but its first images.
    boxes = {stamp_ns_of(image): box_of(cv2.imread(str(path), 0))
             for image, path in zip(reversed(images), reversed(truth), strict=False)}
    overlaps = []
    for result in results:
        for item in result.objects:
            is_compared = stamp_ns_of(result) in boxes and not item.catching_up
            if is_compared and item.state == TrackedObject.VISIBLE:
                box = Box(item.box.x_offset, item.box.y_offset, item.box.width, item.box.height)
                overlaps.append(box_iou(box, boxes[stamp_ns_of(result)]))
    return float(np.mean(overlaps)), len(overlaps)


def test_people_of_a_detector_node_become_objects_each_once(
    graph: Any, start: Any, data_dir: Path, environment: dict[str, str]
) -> None:
    from sam2_tracker_msgs.msg import TrackedObjects
    from sensor_msgs.msg import Image
    from waiting import wait_until

    clip = data_dir / 'train' / 'video' / 'sim-followme_run0'
    if not clip.is_dir():
        pytest.skip(f'{clip} is missing')
    settings = {'device': 'cpu', 'frame_policy': 'every', 'detections.use': True,
                'detections.min_score': 0.4}
    start('tracker', environment=environment, **settings).wait_until_active()
    images = graph.inbox(Image, '/image', 1000)
    results = graph.inbox(TrackedObjects, '/sam2_tracker/objects', 1000)
    detector = start('people_detector.py', environment=environment)
    wait_until(lambda: graph.node.count_subscribers('/image') == 3)
    wait_until(lambda: graph.node.count_publishers('/sam2_tracker/detections_in'))
    camera = start(
        'video_source', path=clip / 'video.mp4', last_frame=PERSON_ALONE - 1, rate=DETECTED_HZ
    )
    assert camera.process.wait(PATIENCE_S) == 0, camera.output
    last = images.messages[-1].header.stamp
    newest = results.wait_for(lambda result: result.header.stamp == last, timeout_s=PATIENCE_S)
    detector.assert_ends_cleanly()
    assert [(item.id, item.label) for item in newest.objects] == [(1, 'person')]
    truth = sorted(clip.rglob('*.png'))[:PERSON_ALONE]
    overlap, count = mean_overlap(images.messages, results.messages, truth)
    assert overlap > 0.5
    assert count > 10


def test_a_picture_in_which_no_person_has_room_does_not_end_the_people_detector(
    graph: Any, start: Any, environment: dict[str, str]
) -> None:
    from sensor_msgs.msg import Image
    from waiting import wait_until

    small = Image(width=60, height=60, encoding='bgr8', step=180, data=bytes(60 * 180))
    publisher = graph.publisher(Image, '/image', 10)
    detector = start('people_detector.py', environment=environment)
    wait_until(publisher.get_subscription_count, what=detector.output)
    sent = []

    def is_enough() -> bool:
        publisher.publish(small)
        sent.append(detector.process.poll())
        return len(sent) >= 200

    wait_until(is_enough)
    detector.assert_ends_cleanly()


def test_a_person_whom_a_detector_finds_is_tracked_and_is_not_prompted_twice(
    graph: Any, start: Any, data_dir: Path
) -> None:
    from sam2_tracker_msgs.msg import TrackedObjects
    from sensor_msgs.msg import Image
    from waiting import wait_until

    clip = data_dir / 'train' / 'video' / 'sim-followme_run0'
    if not clip.is_dir():
        pytest.skip(f'{clip} is missing')
    truth = sorted(clip.rglob('*.png'))[:PERSON_ALONE]
    start('tracker', device='cpu', frame_policy='every').wait_until_active()
    images = graph.inbox(Image, '/image', 1000)
    results = graph.inbox(TrackedObjects, '/sam2_tracker/objects', 1000)
    detector = start('boxes_from_detector.py')
    wait_until(lambda: graph.node.count_subscribers('/image') == 3)
    camera = start(
        'video_source', path=clip / 'video.mp4', last_frame=PERSON_ALONE - 1, rate=DETECTED_HZ
    )
    detector.wait_for('person 1 is tracked')
    assert camera.process.wait(PATIENCE_S) == 0, camera.output
    last = images.messages[-1].header.stamp
    results.wait_for(lambda result: result.header.stamp == last, timeout_s=PATIENCE_S)
    detector.assert_ends_cleanly()
    assert 'person 2' not in detector.output
    overlap, count = mean_overlap(images.messages, results.messages, truth)
    assert overlap > 0.5
    assert count > 10
