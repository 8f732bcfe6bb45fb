# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Detections of a process of its own, over DDS, to a tracker with the bundled model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
import json
import math
from pathlib import Path
import subprocess
import sys

import cv2
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import PIL.Image
import pytest
from sam2_tracker.ros.inputs import prompt_topics
from sam2_tracker.ros.messages import (
    image_to_msg,
    label_image_from_msg,
    stamp_from_msg,
    stamp_to_msg,
)
from sam2_tracker_msgs.msg import Prompt, TrackedObject, TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tracker_runner import TestCamera, TrackerProcess
from waiting import wait_until

DOMAIN_ID = 92
FOLDER = Path(__file__).resolve().parents[1]
NAME = '/detected/sam2_tracker'
SETTINGS = {'device': 'cpu', 'frame_policy': 'every', 'detections.use': True,
            'detections.confirm_frames': 2}


class Detector:
    """A process that publishes what it is told, with the messages of vision_msgs."""

    def __init__(self, environment: dict[str, str], reliability: str = 'reliable',
                 topic: str = f'{NAME}/detections_in') -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(FOLDER / 'detector_stub.py'), topic, reliability],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**environment, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == 'heard\n'

    def say(self, stamp_ns: int, *found: tuple, frame_id: str = 'camera') -> None:
        assert self.process.stdin is not None
        line = {'stamp_ns': stamp_ns, 'frame_id': frame_id, 'found': found}
        self.process.stdin.write(f'{json.dumps(line)}\n')
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Scene:
    """A tracker, its camera with a disc that moves, and a detector."""

    def __init__(self, graph, environment: dict[str, str], folder: Path) -> None:
        self.graph = graph
        self.tracker = TrackerProcess(
            DOMAIN_ID, folder / 'tracker.log', SETTINGS, ['-r', '__ns:=/detected'], environment)
        self.camera = TestCamera(graph, '/detected/image')
        self.objects = graph.inbox(TrackedObjects, f'{NAME}/objects', 1000)
        self.diagnostics = graph.inbox(DiagnosticArray, '/diagnostics')
        self.tracker.wait_until_active()
        self.camera.wait_for_tracker()
        wait_until(lambda: graph.node.count_publishers(f'{NAME}/objects'))
        self.detector = Detector(environment)
        self.number = 0

    def disc(self, number: int) -> tuple:
        """Return what a detector would say of the disc on a picture."""
        x, y = self.camera.centre(number)
        radius = self.camera.hw[0] * 0.2
        return (x - radius, y - radius, x + radius, y + radius, 0.9, 'disc')

    def send(self) -> tuple[int, int]:
        """Publish the next picture; return its stamp and number."""
        number, self.number = self.number, self.number + 1
        return self.camera.publish(number), number

    def see(self, count: int = 1) -> list[tuple[int, int]]:
        """Publish pictures, one when the one before was tracked; return stamps and numbers."""
        sent = []
        for _ in range(count):
            sent.append(self.send())
            self.result(sent[-1][0])
        return sent

    def result(self, stamp_ns: int) -> TrackedObjects:
        return self.objects.wait_for(lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns)

    def until(self, condition: Callable[[TrackedObjects], bool]) -> TrackedObjects:
        """See pictures until a result is as wanted."""
        return wait_until(lambda: (result := self.result(self.see()[0][0])) and condition(
            result) and result)

    def figure(self, key: str) -> int:
        """Return a figure of the newest diagnostics."""
        values = self.diagnostics.messages[-1].status[0].values
        return int(next(each.value for each in values if each.key == key))

    def close(self) -> None:
        self.detector.close()
        self.tracker.end()


@pytest.fixture(scope='module')
def shared(graph, environment, tmp_path_factory) -> Iterator[Scene]:
    scene = Scene(graph, environment, tmp_path_factory.mktemp('detected'))
    yield scene
    scene.close()


@pytest.fixture
def scene(shared) -> Scene:
    """Give the scene with no object."""
    assert shared.graph.call(Trigger, f'{NAME}/reset').success
    return shared


def is_one_disc(result: TrackedObjects) -> bool:
    return [each.label for each in result.objects if not each.catching_up] == ['disc']


def overlap(item: TrackedObject, disc: tuple) -> float:
    """Return IoU of an object's box with what a detector would say."""
    box = item.box
    left, top = max(box.x_offset, disc[0]), max(box.y_offset, disc[1])
    right = min(box.x_offset + box.width, disc[2])
    bottom = min(box.y_offset + box.height, disc[3])
    both = max(0, right - left) * max(0, bottom - top)
    of_disc = (disc[2] - disc[0]) * (disc[3] - disc[1])
    return both / (box.width * box.height + of_disc - both)


def test_a_detector_that_is_late_makes_one_object_and_never_a_second(scene):
    seen = scene.see(8)
    for stamp_ns, number in seen[:6]:
        scene.detector.say(stamp_ns, scene.disc(number))
    scene.until(is_one_disc)
    # From now on always half a second behind.
    for stamp_ns, number in scene.see(6):
        scene.detector.say(stamp_ns - 5 * scene.camera.period_ns, scene.disc(number - 5))
    stamp_ns, number = scene.see()[0]
    result = scene.result(stamp_ns)
    assert is_one_disc(result)
    assert result.objects[0].state == TrackedObject.VISIBLE
    assert overlap(result.objects[0], scene.disc(number)) > 0.7
    assert f'detected on frame {seen[1][0] / 1e9:.1f}' in scene.tracker.output


def test_a_detector_that_is_early_is_waited_for(scene):
    ahead = scene.camera.next_stamp_ns
    for step in range(2):
        scene.detector.say(
            ahead + step * scene.camera.period_ns, scene.disc(scene.number + step))
    wait_until(lambda: scene.figure('detections waiting') == 2)
    scene.see(2)
    assert scene.until(is_one_disc).objects[0].state == TrackedObject.VISIBLE


def test_what_cannot_be_used_is_counted_and_the_tracker_goes_on(scene):
    before = scene.figure('detections refused')
    stamp_ns, number = scene.see()[0]
    good = scene.disc(number)
    nan = math.nan
    scene.detector.say(stamp_ns, (nan, 0, 9, 9, 0.9, 'disc'), (9, 9, 9, 20, 0.9, 'disc'),
                       (0, 0, 9, 9, nan, 'disc'), (500, 0, 600, 90, 0.9, 'disc'))
    scene.detector.say(stamp_ns, good, frame_id='lidar')
    scene.detector.say(stamp_ns - 10**12, good)
    scene.detector.say(0, good)
    wait_until(lambda: scene.figure('detections refused') == before + 7)
    scene.detector.say(stamp_ns, *[(*np.add(good[:4], step / 100), 0.6, 'disc')
                                   for step in range(3000)])
    wait_until(lambda: scene.figure('detections refused') == before + 7 + 2900)
    assert scene.result(scene.see()[0][0]).objects == []
    for words in ('is not four finite numbers', 'width and height must be positive',
                  'a score is nan', 'has not a pixel within', "frame_id 'lidar' is not 'camera'",
                  'a message has stamp 0', '3000 boxes in one picture'):
        assert scene.tracker.output.count(words) == 1, words
    assert 'Traceback' not in scene.tracker.output


def test_a_best_effort_detector_is_heard_too(scene, environment):
    other = Detector(environment, 'best_effort')
    used = scene.figure('detections used')

    def is_heard() -> bool:
        # The first may come before the tracker has found the detector; nobody sends them again.
        other.say(scene.see()[0][0])
        return scene.figure('detections used') > used

    wait_until(is_heard)
    other.close()


# At 320 pixels nano loses the small dog.
DOGS_SIZE = 384
LATE_FRAMES = 12
FRAMES = 26
NAMES = ('small dog', 'large dog', 'woman')


class RealRun:
    """A tracker of its own that sees real pictures, each when the one before was tracked."""

    def __init__(self, graph, environment, folder: Path, name: str, pictures, **settings) -> None:
        self.graph, self.name, self.pictures = graph, f'/{name}/sam2_tracker', pictures
        self.tracker = TrackerProcess(
            DOMAIN_ID, folder / 'tracker.log', {**SETTINGS, **settings},
            ['-r', f'__ns:=/{name}'], environment)
        self.objects = graph.inbox(TrackedObjects, f'{self.name}/objects', 1000)
        self.labels = graph.inbox(Image, f'{self.name}/label_image', 1000)
        self.camera = graph.publisher(Image, f'/{name}/image', 1000)
        self.tracker.wait_until_active()
        wait_until(self.camera.get_subscription_count)
        for topic in ('objects', 'label_image'):
            wait_until(lambda topic=topic: graph.node.count_publishers(f'{self.name}/{topic}'))

    @staticmethod
    def stamp_ns(number: int) -> int:
        return 1_700_000_000_000_000_000 + number * 1_000_000_000 // 24

    def see(self, number: int) -> TrackedObjects:
        stamp_ns = self.stamp_ns(number)
        header = Header(stamp=stamp_to_msg(stamp_ns), frame_id='camera')
        self.camera.publish(image_to_msg(self.pictures[number], 'rgb8', header))
        return self.objects.wait_for(
            lambda msg: stamp_from_msg(msg.header.stamp) == stamp_ns, timeout_s=180)

    def prompt_late(self, boxes, detector: Detector | None) -> TrackedObjects:
        """See all pictures, with boxes from a detector, or by a call; return the last result."""
        for number in range(FRAMES):
            result = self.see(number)
            late = number - LATE_FRAMES
            if detector is not None and late >= 0:
                detector.say(self.stamp_ns(late), *[
                    (x, y, x + width, y + height, 0.9, name)
                    for (x, y, width, height), name in zip(boxes[late], NAMES, strict=True)])
            elif late == 1:
                regions = [Prompt(label=name, box=RegionOfInterest(
                    x_offset=x, y_offset=y, width=width, height=height))
                    for (x, y, width, height), name in zip(boxes[1], NAMES, strict=True)]
                reply = self.graph.call(AddPrompts, f'{self.name}/add_prompts', AddPrompts.Request(
                    stamp=stamp_to_msg(self.stamp_ns(1)), prompts=regions))
                assert reply.success, reply.message
        return result

    def similarity(self, truth, frames, result: TrackedObjects) -> float:
        """Return mean J of the objects by their labels."""
        ids = {item.label: item.id for item in result.objects}
        overlaps = []
        for number in frames:
            shown = self.labels.wait_for(
                lambda msg, number=number: stamp_from_msg(msg.header.stamp)
                == self.stamp_ns(number))
            labels = label_image_from_msg(shown)
            for place, name in enumerate(NAMES, 1):
                mine, true = labels == ids[name], truth[number] == place
                overlaps.append(np.count_nonzero(mine & true) / np.count_nonzero(mine | true))
        return float(np.mean(overlaps))


def test_three_things_of_a_late_detector_are_tracked_as_well_as_by_prompts(
    graph, environment, data_dir, tmp_path
):
    folder = data_dir / 'dev' / 'davis2017'
    if not folder.is_dir():
        pytest.skip(f'{folder} is missing')
    pictures, truth = (
        [np.array(PIL.Image.open(path)) for path in sorted(
            (folder / kind / 'dogs-jump').iterdir())[:FRAMES]]
        for kind in ('JPEGImages', 'Annotations'))
    boxes = [[cv2.boundingRect((labels == place).astype(np.uint8)) for place in (1, 2, 3)]
             for labels in truth]
    figures = {}
    for way in ('detected', 'prompted'):
        (tmp_path / way).mkdir()
        with ExitStack() as stack:
            # Not the names of the other tests' tracker, which is there meanwhile.
            run = RealRun(graph, environment, tmp_path / way, f'{way}_dogs', pictures,
                          image_size=DOGS_SIZE)
            stack.callback(run.tracker.end)
            detector = Detector(environment, topic=f'{run.name}/detections_in')
            stack.callback(detector.close)
            result = run.prompt_late(boxes, detector if way == 'detected' else None)
            labels = sorted(item.label for item in result.objects)
            assert labels == sorted(NAMES), 'one twice, or none'
            assert not any(item.catching_up for item in result.objects)
            figures[way] = run.similarity(truth, range(FRAMES - 5, FRAMES), result)
            run.tracker.assert_ends_cleanly()
    assert abs(figures['detected'] - figures['prompted']) < 0.02, figures
    assert figures['detected'] > 0.3, figures


def test_where_vision_msgs_is_missing_configure_says_so(start, monkeypatch):
    monkeypatch.setattr(prompt_topics, 'installed_vision_msgs', None)
    rig = start('detections.use:=true', active=False)
    rig.node.trigger_configure()
    rig.wait_for_line("'detections.use' is true but vision_msgs is not installed", level=40)


def test_detections_are_not_listened_to_by_default(start):
    rig = start()
    assert rig.node.count_subscribers(f'{rig.prefix}/detections_in') == 0
