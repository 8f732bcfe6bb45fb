# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every output topic: type, header, content, and that nobody's output is not computed."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
from outputs_rig import HEADER_STAMP, HEIGHT, tracked_frame, WIDTH
import pytest
from sam2_tracker.core.config import AnnotateConfig
from sam2_tracker.core.result_topics import is_result_topic, NODE
from sam2_tracker.core.types import ObjectState, TrackedFrame, TrackedObject, Wanted
from sam2_tracker.ros.outputs import publishers, topics
from sam2_tracker.ros.qos import LATCHED
from sam2_tracker_msgs.msg import TrackedObjects
from sensor_msgs.msg import CompressedImage, Image
from waiting import wait_until

DOMAIN_ID = 32


def stamp_of(msg):
    return (msg.header.stamp.sec, msg.header.stamp.nanosec)


def assert_source_header(msg):
    assert stamp_of(msg) == HEADER_STAMP and msg.header.frame_id == 'camera_optical'


def test_objects_are_published_with_the_source_header_and_every_field(outputs):
    inbox = outputs.inbox(TrackedObjects, 'objects')
    outputs.outputs.put(tracked_frame(3))
    msg = inbox.wait_for()
    assert_source_header(msg)
    [item] = msg.objects
    assert (item.id, item.label, item.state, item.score, item.area) == (
        3, 'thing 3', 1, 0.875, 600)
    assert (item.box.x_offset, item.box.y_offset, item.box.width, item.box.height) == (
        20, 10, 30, 20)
    assert (item.centroid.x, item.centroid.y, item.catching_up) == (34.5, 19.5, False)


def test_objects_are_latched_for_late_subscribers(outputs):
    outputs.outputs.put(tracked_frame(1))
    outputs.outputs.put(tracked_frame(1, 2))
    wait_until(lambda: len([stage for stage, _ in outputs.stages if stage == 'publish']) == 2)
    inbox = outputs.graph.inbox(TrackedObjects, f'{outputs.prefix}/objects', LATCHED)
    assert [item.id for item in inbox.wait_for().objects] == [1, 2]
    assert len(inbox.messages) == 1


def test_an_empty_result_is_published_too(outputs):
    inbox = outputs.inbox(TrackedObjects, 'objects')
    outputs.outputs.put(tracked_frame())
    assert inbox.wait_for().objects == []


def test_the_label_image_is_mono16_with_ids_as_values(outputs):
    inbox = outputs.inbox(Image, 'label_image')
    outputs.outputs.put(tracked_frame(300))
    msg = inbox.wait_for()
    assert_source_header(msg)
    labels = np.frombuffer(msg.data, np.uint16).reshape(HEIGHT, WIDTH)
    assert msg.encoding == 'mono16' and set(np.unique(labels)) == {0, 300}
    assert labels[15, 30] == 300 and labels[5, 5] == 0


def test_every_topic_is_one_that_copies_of_topics_keep_clear_of(outputs):
    outputs.outputs.put(tracked_frame(4, 70))
    wait_until(lambda: outputs.publishes('object_70/mask'))
    found = outputs.node.get_publisher_names_and_types_by_node(outputs.node.get_name(), '/')
    below = [name.removeprefix(f'{outputs.prefix}/') for name, _ in found
             if name.startswith(f'{outputs.prefix}/')]
    assert {'objects', 'annotated/compressed', 'object_70/mask'} < set(below)
    assert [name for name in below if not is_result_topic(f'{NODE}/{name}')] == []


def test_each_object_has_a_mask_topic_of_its_own(outputs):
    outputs.outputs.put(tracked_frame(4, 5))
    wait_until(lambda: outputs.publishes('object_5/mask'))
    inbox = outputs.inbox(Image, 'object_4/mask')
    outputs.outputs.put(tracked_frame(4, 5))
    msg = inbox.wait_for()
    assert_source_header(msg)
    mask = np.frombuffer(msg.data, np.uint8).reshape(HEIGHT, WIDTH)
    assert msg.encoding == 'mono8' and mask.sum() == 255 * 600 and mask[15, 30] == 255


def test_a_mask_topic_goes_with_its_object(outputs):
    outputs.outputs.put(tracked_frame(6, 7))
    wait_until(lambda: outputs.publishes('object_6/mask') and outputs.publishes('object_7/mask'))
    outputs.outputs.put(tracked_frame(7))
    wait_until(lambda: not outputs.publishes('object_6/mask'))
    outputs.outputs.forget(7)
    wait_until(lambda: not outputs.publishes('object_7/mask'))


def test_the_annotated_stream_is_bgr8_with_colour_on_the_object(outputs):
    inbox = outputs.inbox(Image, 'annotated')
    outputs.outputs.put(tracked_frame(1))
    msg = inbox.wait_for()
    assert_source_header(msg)
    picture = np.frombuffer(msg.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    assert msg.encoding == 'bgr8'
    assert np.ptp(picture[20, 35].astype(int)) > 10, 'the object is not coloured'


def test_the_annotated_stream_follows_live_parameters(outputs):
    inbox = outputs.inbox(Image, 'annotated')
    outputs.config = AnnotateConfig(mask=False, box=False, label=False)
    outputs.outputs.put(tracked_frame(1))
    assert set(inbox.wait_for().data) == {90}
    outputs.config = AnnotateConfig(box=False, label=False)
    outputs.outputs.put(tracked_frame(1))
    assert set(inbox.wait_for(after=1).data) != {90}


def test_the_compressed_annotated_stream_is_a_jpeg(outputs):
    inbox = outputs.inbox(CompressedImage, 'annotated/compressed')
    outputs.outputs.put(tracked_frame(1))
    msg = inbox.wait_for()
    assert_source_header(msg)
    assert msg.format == 'jpeg'
    assert cv2.imdecode(np.frombuffer(msg.data, np.uint8), 1).shape == (HEIGHT, WIDTH, 3)


def test_nothing_costly_is_wanted_without_subscribers(outputs):
    assert outputs.outputs.wanted() == Wanted(label_image=False, masks=False)


@pytest.mark.parametrize('topic, kind, wanted', [
    ('label_image', Image, Wanted(label_image=True, masks=False)),
    ('object_1/mask', Image, Wanted(label_image=False, masks=True)),
    ('annotated', Image, Wanted(label_image=False, masks=True)),
    ('annotated/compressed', CompressedImage, Wanted(label_image=False, masks=True))])
def test_an_output_is_wanted_while_somebody_subscribes(outputs, topic, kind, wanted):
    outputs.outputs.put(tracked_frame(1))
    wait_until(lambda: outputs.publishes('object_1/mask'))
    inbox = outputs.inbox(kind, topic)
    wait_until(lambda: outputs.outputs.wanted() == wanted)
    inbox.close()
    wait_until(lambda: outputs.outputs.wanted() == Wanted(label_image=False, masks=False))


def test_results_without_masks_are_published_to_late_mask_subscribers_without_harm(outputs):
    inbox = outputs.inbox(Image, 'annotated')
    outputs.outputs.put(tracked_frame(1, masks=False, label_image=False))
    assert inbox.wait_for().encoding == 'bgr8'


def test_no_result_is_lost_when_publishing_is_slower_than_tracking(outputs):
    inbox = outputs.inbox(TrackedObjects, 'objects', 1000)
    annotated = outputs.inbox(Image, 'annotated')
    for _ in range(100):
        outputs.outputs.put(tracked_frame(1))
    assert len(inbox.wait_for_count(100)) == 100
    annotated.close()


def test_a_result_that_cannot_be_published_does_not_end_the_stream(outputs):
    inbox = outputs.inbox(TrackedObjects, 'objects')
    broken = TrackedFrame(tracked_frame().frame, (TrackedObject(
        1, '', ObjectState.VISIBLE, 0.5, area_px='many'),))
    outputs.outputs.put(broken)
    outputs.outputs.put(tracked_frame(2))
    assert inbox.wait_for(lambda msg: msg.objects).objects[0].id == 2


def test_the_stages_of_publishing_are_measured(outputs):
    frame = tracked_frame(1)
    object.__setattr__(frame.frame, 'received_ns', 1)
    outputs.outputs.put(frame)
    wait_until(lambda: len(outputs.stages) == 2)
    stages = dict(outputs.stages)
    assert 0 < stages['publish'] < 5 < stages['total']


class Shaped:
    """Stands for a message: only the fields that vision_msgs defines can be set."""

    fields: tuple[str, ...] = ()

    def __init__(self, **values):
        for name in self.fields:
            setattr(self, name, None)
        for name, value in values.items():
            assert name in self.fields, f'{type(self).__name__} has no field {name}'
            setattr(self, name, value)


def vision_module():
    """Build what vision_msgs 4 has of the types used."""
    def shape(name, *fields, **parts):
        def init(self, **values):
            Shaped.__init__(self, **values)
            for part, kind in parts.items():
                if getattr(self, part) is None:
                    setattr(self, part, kind())
        return type(name, (Shaped,), {'fields': (*fields, *parts), '__init__': init,
                                      '__slots__': (*fields, *parts)})
    point = shape('Point2D', 'x', 'y')
    pose = shape('Pose2D', 'theta', position=point)
    box = shape('BoundingBox2D', 'size_x', 'size_y', center=pose)
    hypothesis = shape('ObjectHypothesis', 'class_id', 'score')
    return SimpleNamespace(
        ObjectHypothesisWithPose=shape('ObjectHypothesisWithPose', 'pose', hypothesis=hypothesis),
        Detection2D=shape('Detection2D', 'header', 'results', 'id', bbox=box),
        Detection2DArray=shape('Detection2DArray', 'header', 'detections'),
        VisionClass=shape('VisionClass', 'class_id', 'class_name'),
        LabelInfo=shape('LabelInfo', 'header', 'class_map', 'threshold'))


def test_detections_are_the_visible_objects_with_their_id():
    hidden = TrackedObject(9, 'gone', ObjectState.OCCLUDED, 0.25)
    objects = (*tracked_frame(3).objects, hidden)
    [found] = topics.detections_to_msg(vision_module(), objects, 'header').detections
    assert (found.id, found.results[0].hypothesis.class_id) == ('3', 'thing 3')
    assert found.results[0].hypothesis.score == 0.875
    box = found.bbox
    assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y) == (
        35.0, 20.0, 30.0, 20.0)


def test_label_info_names_the_values_of_the_label_image():
    info = topics.label_info_to_msg(
        vision_module(), (*tracked_frame(3).objects, TrackedObject(4, '', ObjectState.LOST, 0.0)),
        'header')
    assert [(entry.class_id, entry.class_name) for entry in info.class_map] == [
        (3, 'thing 3'), (4, '4')]
    assert info.threshold == 0.5


class Counted:
    """A node that remembers the publishers it made."""

    def __init__(self):
        self.made = []

    def create_publisher(self, _, name, *__, **___):
        self.made.append(name)
        return name


def test_nothing_is_lost_on_the_way_to_subscribers_of_any_topic(monkeypatch):
    node = Counted()
    monkeypatch.setattr(publishers, 'detection_outputs',
                        lambda node: topics.detection_outputs(node, vision_module()))
    outputs = publishers.outputs_of(node, AnnotateConfig)
    waited_for = [name for output in outputs for name in output.publishers()]
    assert '~/detections' in waited_for
    assert sorted(waited_for) == sorted(node.made)


def test_detections_are_left_out_where_vision_msgs_is_not_installed(outputs):
    assert topics.detection_outputs(outputs.node, None) == ()
    if topics.installed_vision_msgs is None:
        names = [name for name, _ in outputs.node.get_topic_names_and_types()]
        assert f'{outputs.prefix}/detections' not in names
