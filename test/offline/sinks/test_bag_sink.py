# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The output bag holds what the live node would have published."""

from __future__ import annotations

from pathlib import Path
import shutil

from bag_making import BagKind, FIRST_NS, raw_messages, STEP_NS, STORE, text, write_bag, write_mcap
import numpy as np
import pytest
from results import HW, result
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader, StoragePlugin
from sam2_tracker.core.errors import ConfigError, StorageError
from sam2_tracker.offline.sinks.bag import BagContent, MessageFactory, ResultBag
from sam2_tracker.offline.sources import bag as bag_types

TOPICS = [
    '/sam2_tracker/label_image',
    '/sam2_tracker/object_1/mask',
    '/sam2_tracker/object_2/mask',
    '/sam2_tracker/objects',
]
VISION = {
    'Point2D': 'float64 x\nfloat64 y',
    'Pose2D': 'vision_msgs/Point2D position\nfloat64 theta',
    'BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'ObjectHypothesis': 'string class_id\nfloat64 score',
    'ObjectHypothesisWithPose': 'ObjectHypothesis hypothesis\n'
    'geometry_msgs/PoseWithCovariance pose',
    'Detection2D': 'std_msgs/Header header\nObjectHypothesisWithPose[] results\n'
    'BoundingBox2D bbox\nstring id',
    'Detection2DArray': 'std_msgs/Header header\nDetection2D[] detections',
    'VisionClass': 'uint16 class_id\nstring class_name',
    'LabelInfo': 'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold',
}


def write_results(folder: Path, content: BagContent | None = None) -> Path:
    sink = ResultBag(folder, content or BagContent())
    for number in range(5):
        sink.write(result(number))
    sink.finish()
    return folder


def read_all(bag: Path) -> dict[str, list]:
    found: dict[str, list] = {}
    with AnyReader([bag]) as reader:
        for connection, recorded_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((recorded_ns, message))
    return found


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_every_frame_has_its_objects_label_image_and_masks(tmp_path: Path, storage: str):
    found = read_all(write_results(tmp_path / 'out', BagContent(storage)))
    assert sorted(found) == TOPICS
    for topic in TOPICS:
        times = [recorded_ns for recorded_ns, _ in found[topic]]
        assert times == [FIRST_NS + number * STEP_NS + 5 for number in range(5)]
        for number, (_, message) in enumerate(found[topic]):
            stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            assert stamp_ns == FIRST_NS + number * STEP_NS
            assert message.header.frame_id == 'camera'


def test_the_pixels_are_those_of_the_result(tmp_path: Path):
    found = read_all(write_results(tmp_path / 'out'))
    label = found['/sam2_tracker/label_image'][2][1]
    mask = found['/sam2_tracker/object_1/mask'][2][1]
    assert (label.encoding, label.step, label.height) == ('mono16', 2 * HW[1], HW[0])
    assert (mask.encoding, mask.step, mask.height) == ('mono8', HW[1], HW[0])
    tracked = result(2).tracked
    assert np.array_equal(label.data.view('<u2').reshape(HW), tracked.label_image)
    assert np.array_equal(mask.data.reshape(HW), tracked.masks[0] * 255)


def test_the_numbers_are_those_of_the_result(tmp_path: Path):
    found = read_all(write_results(tmp_path / 'out'))
    seen, hidden = (found['/sam2_tracker/objects'][number][1].objects[0] for number in (2, 3))
    assert (seen.id, seen.label, seen.state, seen.score, seen.area) == (1, 'cup', 1, 0.875, 144)
    assert (seen.box.x_offset, seen.box.y_offset, seen.box.width, seen.box.height) == (
        8,
        10,
        12,
        12,
    )
    assert (seen.centroid.x, seen.centroid.y) == (13.5, 15.5)
    assert (hidden.state, hidden.score, hidden.area, hidden.box.width) == (2, 0.125, 0, 0)


def test_the_objects_topic_is_latched_as_the_live_one(tmp_path: Path):
    with Reader(write_results(tmp_path / 'out')) as reader:
        durability = {
            connection.topic: connection.ext.offered_qos_profiles[0].durability
            for connection in reader.connections
        }
    assert durability['/sam2_tracker/objects'] is QosDurability.TRANSIENT_LOCAL
    assert durability['/sam2_tracker/label_image'] is QosDurability.VOLATILE


def test_ros_reads_the_messages_that_the_live_node_sends(needs_ros: None):
    from rclpy.serialization import deserialize_message
    from sam2_tracker.ros.messages import (
        header_to_msg,
        label_image_to_msg,
        mask_to_msg,
        tracked_objects_to_msg,
    )

    factory = MessageFactory(bag_types.make_typestore())
    for number in (2, 3):
        tracked, header = result(number).tracked, result(number).tracked.frame.header
        live_header = header_to_msg(header)
        pairs = [
            (
                factory.objects(header, tracked.objects),
                tracked_objects_to_msg(header, tracked.objects),
            ),
            (
                factory.label_image(header, tracked.label_image),
                label_image_to_msg(tracked.label_image, live_header),
            ),
            (factory.mask(header, tracked.masks[0]), mask_to_msg(tracked.masks[0], live_header)),
        ]
        for ours, live in pairs:
            assert deserialize_message(factory.serialise(ours), type(live)) == live


def test_the_types_have_the_hashes_that_ros_gives_them(needs_ros: None):
    import json

    from ament_index_python import get_package_share_directory

    types = bag_types.make_typestore()
    share = Path(get_package_share_directory('sam2_tracker_msgs'))
    for name in bag_types.OWN_TYPES:
        described = json.loads((share / 'msg' / f'{name}.json').read_text())
        hashes = {one['type_name']: one['hash_string'] for one in described['type_hashes']}
        full_name = f'sam2_tracker_msgs/msg/{name}'
        assert types.hash_rihs01(full_name) == hashes[full_name]


def test_the_reader_of_mcap_itself_opens_the_bag(tmp_path: Path):
    reading = pytest.importorskip('mcap.reader', reason='mcap is not installed')
    bag = write_results(tmp_path / 'out')
    with (bag / 'out.mcap').open('rb') as stream:
        reader = reading.make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        counted = [
            message.log_time
            for _, channel, message in reader.iter_messages()
            if channel.topic == '/sam2_tracker/objects'
        ]
    assert sorted(channel.topic for channel in summary.channels.values()) == TOPICS
    assert counted == [FIRST_NS + number * STEP_NS + 5 for number in range(5)]


def test_two_runs_write_the_same_bytes(tmp_path: Path):
    bags = [write_results(tmp_path / parent / 'out') for parent in ('one', 'two')]
    for name in ('out.mcap', 'metadata.yaml'):
        assert (bags[0] / name).read_bytes() == (bags[1] / name).read_bytes()


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_the_sources_own_topics_are_copied_along_unchanged(tmp_path: Path, storage: StoragePlugin):
    messages = raw_messages(5)
    messages.append(('/chatter', FIRST_NS + 2 * STEP_NS, text('hello')))
    messages.append(('/chatter', FIRST_NS + 99 * STEP_NS, text('good bye')))
    source = write_bag(tmp_path / 'in', messages, BagKind(storage))
    found = read_all(write_results(tmp_path / 'out', BagContent(copied_from=source)))
    assert sorted(found) == ['/camera/image', '/chatter', *TOPICS]
    assert [(recorded_ns, message.data) for recorded_ns, message in found['/chatter']] == [
        (FIRST_NS + 2 * STEP_NS, 'hello'),
        (FIRST_NS + 99 * STEP_NS, 'good bye'),
    ]
    original = read_all(source)['/camera/image']
    for (time_ns, copied), (original_ns, sent) in zip(
        found['/camera/image'], original, strict=True
    ):
        assert time_ns == original_ns
        assert np.array_equal(copied.data, sent.data)


def test_a_topic_of_a_type_that_nobody_defines_is_left_out_and_named(tmp_path: Path):
    source = write_bag(
        tmp_path / 'in',
        [*raw_messages(2), ('/odd', FIRST_NS, text('x'))],
        BagKind(StoragePlugin.SQLITE3),
    )
    forget_definitions(source)
    lines: list[str] = []
    sink = ResultBag(
        tmp_path / 'out', BagContent(copied_from=source), lambda _, line: lines.append(line)
    )
    sink.write(result(0))
    sink.finish()
    assert '/odd (odd_msgs/msg/Odd): not copied' in lines[0]
    assert '/camera/image' in read_all(tmp_path / 'out')


def forget_definitions(bag: Path) -> None:
    """Make of a bag one as old distributions wrote them, with a type of the user's own."""
    import sqlite3

    connection = sqlite3.connect(bag / f'{bag.name}.db3')
    connection.execute('DELETE FROM message_definitions')
    connection.execute(
        "UPDATE topics SET type='odd_msgs/msg/Odd', type_description_hash='' WHERE name='/odd'"
    )
    connection.commit()
    connection.close()
    metadata = (bag / 'metadata.yaml').read_text()
    digest = STORE.hash_rihs01('std_msgs/msg/String')
    (bag / 'metadata.yaml').write_text(
        metadata.replace('std_msgs/msg/String', 'odd_msgs/msg/Odd').replace(digest, "''")
    )


def test_a_source_that_has_our_topics_is_not_copied_along(tmp_path: Path):
    source = write_results(tmp_path / 'in')
    with pytest.raises(StorageError, match='/sam2_tracker/objects already'):
        ResultBag(tmp_path / 'out', BagContent(copied_from=source))


@pytest.mark.parametrize(
    'name',
    ['objects', 'label_image', 'object_1/mask', 'object_12/mask', 'annotated',
     'annotated/compressed', 'detections', 'label_info'],
)  # fmt: skip
def test_no_topic_of_an_earlier_run_is_mixed_with_those_of_this_one(tmp_path: Path, name: str):
    topic = f'/sam2_tracker/{name}'
    source = write_bag(tmp_path / 'in', [*raw_messages(2), (topic, FIRST_NS, text('old'))])
    with pytest.raises(StorageError, match=f'has the topic {topic} already'):
        ResultBag(tmp_path / 'out', BagContent(copied_from=source))


def test_another_topic_under_our_name_is_copied(tmp_path: Path):
    source = write_bag(tmp_path / 'in', [('/sam2_tracker/notes', FIRST_NS, text('mine'))])
    found = read_all(write_results(tmp_path / 'out', BagContent(copied_from=source)))
    assert len(found['/sam2_tracker/notes']) == 1


def test_a_topic_with_two_channels_is_copied_whole_as_one(tmp_path: Path):
    source = write_mcap(tmp_path / 'in.mcap', raw_messages(6), channels=2)
    found = read_all(write_results(tmp_path / 'out', BagContent(copied_from=source)))
    assert [time_ns for time_ns, _ in found['/camera/image']] == [
        recorded_ns for _, recorded_ns, _ in raw_messages(6)
    ]
    metadata = (tmp_path / 'out' / 'metadata.yaml').read_text()
    assert metadata.count('name: /camera/image') == 1


def test_detections_are_written_where_vision_msgs_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / 'prefix' / 'share' / 'vision_msgs' / 'msg'
    folder.mkdir(parents=True)
    for name, definition in VISION.items():
        (folder / f'{name}.msg').write_text(definition + '\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix'))
    found = read_all(write_results(tmp_path / 'out', BagContent(detections=True)))
    one = found['/sam2_tracker/detections'][3][1].detections
    assert [(item.id, item.results[0].hypothesis.class_id) for item in one] == [('2', '2')]
    assert (one[0].bbox.center.position.x, one[0].bbox.size_x) == (19.0, 12.0)
    [(_, info)] = found['/sam2_tracker/label_info']
    assert [(item.class_id, item.class_name) for item in info.class_map] == [(1, 'cup'), (2, '2')]


def test_detections_without_vision_msgs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    with pytest.raises(ConfigError, match='vision_msgs'):
        ResultBag(tmp_path / 'out', BagContent(detections=True))


def test_the_annotated_stream_is_written_on_demand(tmp_path: Path):
    found = read_all(write_results(tmp_path / 'out', BagContent(annotated=True)))
    message = found['/sam2_tracker/annotated/compressed'][0][1]
    assert message.format == 'jpeg'
    assert message.data[:2].tobytes() == b'\xff\xd8'


def test_messages_are_found_in_a_sourced_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository_root: Path
):
    installed = tmp_path / 'prefix' / 'share' / 'sam2_tracker_msgs'
    shutil.copytree(repository_root / 'sam2_tracker_msgs' / 'msg', installed / 'msg')
    monkeypatch.setattr(bag_types, '__file__', str(tmp_path / 'a' / 'b' / 'c.py'))
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix'))
    assert 'sam2_tracker_msgs/msg/TrackedObjects' in bag_types.make_typestore().types
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    with pytest.raises(StorageError, match='sam2_tracker_msgs were not found'):
        bag_types.make_typestore()


def test_messages_are_found_in_a_checkout_that_nobody_sourced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    monkeypatch.setattr('sys.prefix', str(tmp_path))
    assert 'sam2_tracker_msgs/msg/TrackedObjects' in bag_types.make_typestore().types
