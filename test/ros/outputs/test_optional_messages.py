# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Topics whose messages need not be installed: a tracker and a listener that have them, over DDS.

`test/interfaces` has the messages, with the names, fields and types of the public packages.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import subprocess
import sys

from geometry_msgs.msg import Point
import numpy as np
import pytest
from sam2_tracker.render.palette import colour_rgb
from sam2_tracker_msgs.msg import Prompt, TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts
from std_srvs.srv import Trigger
from tracker_runner import TestCamera, TrackerProcess
from waiting import wait_until

DOMAIN_ID = 77
FOLDER = Path(__file__).resolve().parents[1]
NAME = '/optional/sam2_tracker'
TOPICS = {
    'annotations': ('foxglove_msgs', 'ImageAnnotations'),
    'detections': ('vision_msgs', 'Detection2DArray'),
    'label_info': ('vision_msgs', 'LabelInfo')}


class Listener:
    """A process that has the messages, and what it has heard."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        arguments = [part for topic, kind in TOPICS.items() for part in (f'{NAME}/{topic}', *kind)]
        with log.open('wb') as sink:
            self.process = subprocess.Popen(
                [sys.executable, str(FOLDER / 'listener.py'), *arguments], stdout=sink,
                env={**environment, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})

    def heard(self, topic: str) -> list[dict]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines(keepends=True)
                 if line.endswith('\n')]
        return [content for name, content in lines if name == f'{NAME}/{topic}']


class Scene:
    """A tracker on a model without a network, its camera, and the listener."""

    def __init__(self, graph, environment: dict[str, str], folder: Path) -> None:
        self.graph = graph
        self.listener = Listener(environment, folder / 'listener.jsonl')
        self.tracker = TrackerProcess(
            DOMAIN_ID, folder / 'tracker.log', {'frame_policy': 'every'},
            ['-r', '__ns:=/optional'], environment,
            command=[sys.executable, str(FOLDER / 'fake_tracker.py')])
        self.camera = TestCamera(graph, '/optional/image')
        self.objects = graph.inbox(TrackedObjects, f'{NAME}/objects')
        self.tracker.wait_until_active()
        self.camera.wait_for_tracker()
        # Nothing is made for subscribers that the tracker has not found yet.
        wait_until(lambda: self.see() and all(
            self.listener.heard(topic) for topic in TOPICS), what='the listener')

    def prompt(self, *labels: str):
        prompts = [Prompt(label=label, points=[Point(x=20.0, y=30.0 + number)], point_labels=[1])
                   for number, label in enumerate(labels)]
        reply = self.graph.call(AddPrompts, f'{NAME}/add_prompts',
                                AddPrompts.Request(prompts=prompts))
        assert reply.success, reply.message

    def see(self) -> TrackedObjects:
        """Send a picture and return its result."""
        stamp_ns = self.camera.publish()
        stamp = (stamp_ns // 10**9, stamp_ns % 10**9)
        return self.objects.wait_for(
            lambda msg: (msg.header.stamp.sec, msg.header.stamp.nanosec) == stamp)

    def about(self, topic: str, result: TrackedObjects) -> dict:
        """Wait for what was published on a topic about the frame of a result."""
        def stamp_of(content: dict) -> dict:
            return content['header']['stamp'] if 'header' in content else content['timestamp']

        stamp = {'sec': result.header.stamp.sec, 'nanosec': result.header.stamp.nanosec}
        return wait_until(lambda: next(
            (each for each in self.listener.heard(topic) if stamp_of(each) == stamp), None),
            what=f'{topic} of a frame')

    def close(self) -> None:
        self.listener.process.kill()
        self.listener.process.wait()
        self.tracker.end()


@pytest.fixture(scope='module')
def scene(graph, environment, tmp_path_factory) -> Iterator[Scene]:
    scene = Scene(graph, environment, tmp_path_factory.mktemp('optional'))
    yield scene
    scene.close()


@pytest.fixture
def two(scene) -> TrackedObjects:
    """Track two objects and return the result of a frame."""
    assert scene.graph.call(Trigger, f'{NAME}/reset').success
    scene.see()
    scene.prompt('cup', '')
    return scene.see()


def test_outlines_are_around_the_masks_in_the_objects_colours(scene, two):
    annotations = scene.about('annotations', two)
    assert len(annotations['points']) == 2 and annotations['circles'] == []
    for outline, item in zip(annotations['points'], two.objects, strict=True):
        box = item.box
        xs, ys = ([point[axis] for point in outline['points']] for axis in 'xy')
        assert (min(xs), min(ys)) == (box.x_offset + 0.5, box.y_offset + 0.5)
        assert (max(xs), max(ys)) == (box.x_offset + box.width - 0.5,
                                      box.y_offset + box.height - 0.5)
        assert outline['type'] == 2 and outline['thickness'] > 0, 'not a closed line'
        colour = [outline['outline_color'][part] for part in 'rgb']
        assert np.allclose(colour, np.array(colour_rgb(item.id)) / 255)
        assert 0 < outline['fill_color']['a'] < outline['outline_color']['a'] == 1


def test_labels_say_id_name_and_score_and_lie_within_the_picture(scene, two):
    annotations = scene.about('annotations', two)
    first, second = two.objects
    assert [text['text'] for text in annotations['texts']] == [
        f'{first.id} cup {first.score:.2f}', f'{second.id} {second.score:.2f}']
    height, width = scene.camera.hw
    for text in annotations['texts']:
        assert 0 <= text['position']['x'] < width
        assert text['font_size'] <= text['position']['y'] <= height


def test_every_part_has_the_stamp_of_the_picture(scene, two):
    annotations = scene.about('annotations', two)
    stamp = {'sec': two.header.stamp.sec, 'nanosec': two.header.stamp.nanosec}
    parts = [*annotations['points'], *annotations['texts']]
    assert all(part['timestamp'] == stamp for part in (annotations, *parts))


def test_without_objects_what_was_drawn_is_taken_away(scene, two):
    assert scene.graph.call(Trigger, f'{NAME}/reset').success
    annotations = scene.about('annotations', scene.see())
    assert annotations['points'] == annotations['texts'] == []


def test_detections_are_the_visible_objects(scene, two):
    detections = scene.about('detections', two)
    assert detections['header']['frame_id'] == 'camera'
    for found, item in zip(detections['detections'], two.objects, strict=True):
        hypothesis = found['results'][0]['hypothesis']
        assert (found['id'], hypothesis['class_id']) == (str(item.id), item.label or str(item.id))
        assert hypothesis['score'] == pytest.approx(item.score)
        box, centre = found['bbox'], found['bbox']['center']['position']
        assert (box['size_x'], box['size_y']) == (item.box.width, item.box.height)
        assert (centre['x'], centre['y']) == (item.box.x_offset + item.box.width / 2,
                                              item.box.y_offset + item.box.height / 2)


def test_label_info_names_the_ids(scene, two):
    names = wait_until(lambda: next((
        each['class_map'] for each in scene.listener.heard('label_info')
        if [entry['class_id'] for entry in each['class_map']] == [
            item.id for item in two.objects]), None))
    assert [entry['class_name'] for entry in names] == ['cup', str(two.objects[1].id)]


def test_where_the_messages_are_not_installed_the_topics_are_not_there(start):
    try:
        import foxglove_msgs  # noqa: F401
    except ImportError:
        rig = start()
        names = {name for name, _ in rig.graph.node.get_topic_names_and_types()}
        assert f'{rig.prefix}/objects' in names
        assert f'{rig.prefix}/annotations' not in names
    else:
        assert 'foxglove_msgs' not in os.environ.get('PYTHONPATH', ''), 'the overlay leaked'
