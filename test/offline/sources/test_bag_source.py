# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Reading images from every kind of rosbag2."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
import random
import shutil
import sqlite3

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
    write_mcap,
)
import cv2
import numpy as np
from PIL import Image
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from sam2_tracker.core.errors import FrameError, StorageError
from sam2_tracker.offline.errors import SourceError
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
    listed = r'--topic one of /left \(Image, 2 messages\); /right \(Image, 3 messages\)'
    with pytest.raises(StorageError, match=listed):
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


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize(
    'compression', [CompressionMode.NONE, CompressionMode.FILE, CompressionMode.MESSAGE]
)
def test_a_bag_with_other_bytes_somewhere_is_read_or_refused_with_a_sentence(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode
):
    bag = write_bag(tmp_path / 'bag', raw_messages(3), BagKind(storage, compression))
    [file] = [path for path in bag.iterdir() if path.name != 'metadata.yaml']
    whole = file.read_bytes()
    chance = random.Random(0)
    outcomes = set()
    for _ in range(60):
        content = bytearray(whole)
        start = chance.randrange(len(content))
        content[start:start + 40] = chance.choice((bytes(40), b'\xff' * 40, chance.randbytes(40)))
        file.write_bytes(content)
        try:
            with closing(BagSource(bag)) as source:
                outcomes.add(len(list(source.frames())))
        except (SourceError, FrameError):
            outcomes.add('refused')
    assert outcomes <= {3, 'refused'} and 'refused' in outcomes


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


def with_log(folder: Path, count: int, in_log: int) -> Path:
    """Leave what a killed recorder leaves: a database, and its newest messages in its log."""
    bag = write_bag(folder / 'whole', raw_messages(count), BagKind(StoragePlugin.SQLITE3))
    work = folder / 'work.db3'
    shutil.copyfile(bag / 'whole.db3', work)
    with closing(sqlite3.connect(work, isolation_level=None)) as database:
        newest = database.execute('SELECT * FROM messages ORDER BY id DESC').fetchmany(in_log)
        database.execute(f'DELETE FROM messages WHERE id > {count - in_log}')
        database.execute('VACUUM')
        database.execute('PRAGMA journal_mode=WAL')
        database.executemany('INSERT INTO messages VALUES(?, ?, ?, ?)', reversed(newest))
        left = folder / 'left'
        left.mkdir()
        shutil.copyfile(work, left / 'b_0.db3')
        shutil.copyfile(folder / 'work.db3-wal', left / 'b_0.db3-wal')
    return left / 'b_0.db3'


def test_messages_in_a_write_ahead_log_are_read_and_the_recording_stays_as_it_is(tmp_path: Path):
    path = with_log(tmp_path, count=6, in_log=3)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with closing(BagSource(path)) as source:
        assert source.frame_count == 6
        assert [frame.stamp_ns for frame in source.frames()] == stamps(6)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_bag_with_a_write_ahead_log_is_read_whole_by_its_folder_too(tmp_path: Path):
    path = with_log(tmp_path, count=6, in_log=3)
    metadata = (tmp_path / 'whole' / 'metadata.yaml').read_text()
    (path.parent / 'metadata.yaml').write_text(metadata.replace('whole.db3', 'b_0.db3'))
    with closing(BagSource(path.parent)) as source:
        assert [frame.stamp_ns for frame in source.frames()] == stamps(6)


def test_a_write_ahead_log_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path):
    path = with_log(tmp_path, count=6, in_log=3)
    log = path.with_name('b_0.db3-wal')
    log.unlink()
    log.mkdir()
    (log / 'anything').touch()
    with pytest.raises(SourceError, match=r'b_0\.db3-wal'):
        BagSource(path)


def test_a_database_in_the_middle_of_a_change_is_refused_by_its_journal(tmp_path: Path):
    bag = write_bag(tmp_path / 'bag', raw_messages(3), BagKind(StoragePlugin.SQLITE3))
    journal = bag / 'bag.db3-journal'
    journal.write_bytes(bytes.fromhex('d9d505f920a163d7') + bytes(504))
    with pytest.raises(SourceError, match=r'bag\.db3-journal beside it holds'):
        BagSource(bag)
    # What SQLite leaves of a journal that has done its service.
    journal.write_bytes(bytes(512))
    with closing(BagSource(bag)) as source:
        assert source.frame_count == 3


@pytest.mark.parametrize('statistics', [True, False])
@pytest.mark.parametrize('repeats_schemas', [True, False])
def test_an_mcap_whose_summary_does_not_repeat_the_channels_is_read(
    tmp_path: Path, statistics: bool, repeats_schemas: bool
):
    path = tmp_path / 'a.mcap'
    options = {
        'repeat_channels': False, 'repeat_schemas': repeats_schemas, 'use_statistics': statistics,
    }  # fmt: skip
    write_mcap(path, raw_messages(4), channels=1, **options)
    with closing(BagSource(path)) as source:
        assert source.topic == '/camera/image'
        assert source.frame_count == 4
        assert [frame.stamp_ns for frame in source.frames()] == stamps(4)


def test_sixteen_bit_grey_pngs_are_read_with_the_white_that_is_asked_for(tmp_path: Path):
    grey = np.full((4, 6), 2048, np.uint16)
    payload = cv2.imencode('.png', grey)[1].tobytes()
    message = compressed_image(payload, FIRST_NS, 'mono16; png compressed ')
    bag = write_bag(tmp_path / 'bag', [('/camera/compressed', FIRST_NS, message)])
    (frame,) = BagSource(bag).frames()
    assert (frame.image_rgb == 8).all() and frame.payload is None
    (frame,) = BagSource(bag, mono16_white=4095).frames()
    assert (frame.image_rgb == 128).all()


def test_mono16_is_read_with_the_white_that_is_asked_for(tmp_path: Path):
    grey = np.full((4, 6), 2048, '<u2')
    message = raw_image(grey, FIRST_NS, 'mono16')
    bag = write_bag(tmp_path / 'bag', [('/camera/image', FIRST_NS, message)])
    (frame,) = BagSource(bag, mono16_white=4095).frames()
    assert (frame.image_rgb == 128).all()


@pytest.mark.parametrize('extension', ['jpeg', 'png'])
def test_a_bayer_pattern_in_a_compressed_image_becomes_colours(tmp_path: Path, extension: str):
    mosaic = np.zeros((32, 32), np.uint8)
    mosaic[::2, ::2] = 200
    payload = cv2.imencode(f'.{extension}', mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    kind = f'bayer_rggb8; {extension} compressed '
    message = compressed_image(payload, FIRST_NS, kind)
    bag = write_bag(tmp_path / 'bag', [('/camera/compressed', FIRST_NS, message)])
    (frame,) = BagSource(bag).frames()
    red, green, blue = frame.image_rgb[4:-4, 4:-4].reshape(-1, 3).mean(0)
    assert red > 190 and green < 10 and blue < 10
    assert frame.payload is None, 'the mosaic is not the picture that is tracked'


def test_a_jpeg_in_colour_of_a_bayer_camera_stays_as_it_is(tmp_path: Path):
    payload = jpeg_of(picture(1))
    message = compressed_image(payload, FIRST_NS, 'bayer_rggb8; jpeg compressed bgr8')
    bag = write_bag(tmp_path / 'bag', [('/camera/compressed', FIRST_NS, message)])
    (frame,) = BagSource(bag).frames()
    assert frame.payload == payload
