# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Reading images from every kind of rosbag2."""

from __future__ import annotations

from pathlib import Path

from bag_making import (
    BagKind,
    compressed_image,
    FIRST_NS,
    jpeg_of,
    picture,
    raw_image,
    raw_messages,
    split_bag,
    stamps,
    text,
    write_bag,
)
import numpy as np
from PIL import Image
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.offline.sources.bag import BagSource


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize(
    'compression', [CompressionMode.NONE, CompressionMode.FILE, CompressionMode.MESSAGE]
)
@pytest.mark.parametrize('version', [8, 9])
def test_every_image_of_every_kind_of_bag_is_read(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode, version: int
):
    bag = write_bag(tmp_path / 'bag', raw_messages(4), BagKind(storage, compression, version))
    source = BagSource(bag)
    frames = list(source.frames())
    assert source.frame_count == 4
    assert source.rate_hz == pytest.approx(25.0)
    assert [frame.stamp_ns for frame in frames] == stamps(4)
    assert [frame.recorded_ns for frame in frames] == [stamp + 5 for stamp in stamps(4)]
    assert all(frame.frame_id == 'camera' for frame in frames)
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.image_rgb, picture(number))


def test_a_split_bag_is_read_as_one(tmp_path: Path):
    source = BagSource(split_bag(tmp_path / 'bag', parts=3, frames_each=2))
    assert source.frame_count == 6
    assert [frame.stamp_ns for frame in source.frames()] == stamps(6)


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_single_file_of_a_bag_is_read_without_its_metadata(
    tmp_path: Path, storage: StoragePlugin
):
    bag = write_bag(tmp_path / 'bag', raw_messages(3), BagKind(storage))
    (bag / 'metadata.yaml').unlink()
    [file] = bag.iterdir()
    assert len(list(BagSource(file).frames())) == 3


def test_jpegs_are_decoded_as_pillow_does_and_kept_as_they_are(tmp_path: Path):
    payload = jpeg_of(picture(3))
    bag = write_bag(
        tmp_path / 'bag',
        [('/camera/image/compressed', FIRST_NS, compressed_image(payload, FIRST_NS))],
    )
    [frame] = BagSource(bag).frames()
    (tmp_path / 'frame.jpg').write_bytes(payload)
    assert np.array_equal(frame.image_rgb, np.array(Image.open(tmp_path / 'frame.jpg')))
    assert frame.payload == payload


def test_reading_a_second_time_begins_at_the_first_frame(tmp_path: Path):
    source = BagSource(write_bag(tmp_path / 'bag', raw_messages(3)))
    next(iter(source.frames()))
    assert [frame.stamp_ns for frame in source.frames()] == stamps(3)


def test_several_image_topics_are_listed_and_one_is_asked_for(tmp_path: Path):
    bag = write_bag(tmp_path / 'bag', [*raw_messages(2, '/left'), *raw_messages(3, '/right')])
    with pytest.raises(StorageError, match=r'--topic(.|\n)*/left  Image, 2 messages\n  /right'):
        BagSource(bag)
    assert BagSource(bag, '/right').frame_count == 3
    assert BagSource(bag, 'left').topic == '/left'
    with pytest.raises(StorageError, match="no image topic '/up': choose"):
        BagSource(bag, '/up')


def test_a_bag_without_images_is_refused_with_its_topics(tmp_path: Path):
    bag = write_bag(tmp_path / 'bag', [('/chatter', FIRST_NS, text('hello'))])
    with pytest.raises(StorageError, match='no image topic with messages; its topics: /chatter'):
        BagSource(bag)


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize('kept', [0.0, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_bag_is_refused_with_a_sentence(
    tmp_path: Path, storage: StoragePlugin, kept: float
):
    bag = write_bag(tmp_path / 'bag', raw_messages(20), BagKind(storage))
    [file] = [path for path in bag.iterdir() if path.name != 'metadata.yaml']
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(StorageError, match=r'bag .*bag '):
        list(BagSource(bag).frames())


def test_a_missing_bag_and_a_broken_metadata_are_refused(tmp_path: Path):
    with pytest.raises(StorageError, match='nowhere'):
        BagSource(tmp_path / 'nowhere')
    bag = write_bag(tmp_path / 'bag', raw_messages(2))
    (bag / 'metadata.yaml').write_text('rosbag2_bagfile_information: 7')
    with pytest.raises(StorageError, match='Invalid bag metadata'):
        BagSource(bag)


def test_a_damaged_image_is_named_by_file_number_and_topic(tmp_path: Path):
    payload = jpeg_of(picture(0))
    bag = write_bag(
        tmp_path / 'bag',
        [
            ('/cam', FIRST_NS, compressed_image(payload, FIRST_NS)),
            ('/cam', FIRST_NS + 1, compressed_image(payload[:-20], FIRST_NS + 1)),
        ],
    )
    with pytest.raises(FrameError, match=r'bag: frame 1 of /cam: .*truncated'):
        list(BagSource(bag).frames())


def test_an_encoding_that_is_not_accepted_is_refused_with_those_that_are(tmp_path: Path):
    depth = raw_image(picture(0), FIRST_NS, '32FC1')
    bag = write_bag(tmp_path / 'bag', [('/depth', FIRST_NS, depth)])
    with pytest.raises(FrameError, match=r"'32FC1' is not accepted: .*bgr8"):
        list(BagSource(bag).frames())
