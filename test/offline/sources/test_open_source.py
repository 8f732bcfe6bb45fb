# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What lies somewhere is recognised, or refused with a way out."""

from __future__ import annotations

import os
from pathlib import Path

from bag_making import BagKind, raw_messages, write_bag
import cv2
import numpy as np
from PIL import Image
import pytest
from rosbags.rosbag2 import CompressionMode
from sam2_tracker.core.errors import FrameError
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.sources.open_source import open_source, SourceOptions


def test_every_kind_of_recording_is_recognised(tmp_path: Path):
    bag = write_bag(tmp_path / 'bag', raw_messages(2))
    folder = tmp_path / 'folder'
    folder.mkdir()
    Image.new('RGB', (8, 6)).save(folder / '0.png')
    video = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*'MJPG'), 10, (32, 24))
    for _ in range(3):
        writer.write(np.zeros((24, 32, 3), np.uint8))
    writer.release()
    paths = (bag, bag / 'bag.mcap', folder, video)
    counts = [len(list(open_source(path, SourceOptions()).frames())) for path in paths]
    assert counts == [2, 2, 1, 3]


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('nowhere.mp4', 'does not exist'),
        ('old.bag', 'ROS 1'),
        ('bag_0.mcap.zstd', 'give the folder'),
        ('notes.txt', 'not a video'),
        ('empty', 'no pictures'),
        ('cut_off', 'ros2 bag reindex'),
    ],
)
def test_what_is_no_recording_is_refused_with_a_way_out(tmp_path: Path, name: str, reason: str):
    path = tmp_path / name
    if name in ('empty', 'cut_off'):
        path.mkdir()
    elif name != 'nowhere.mp4':
        path.write_text('not a recording')
    if name == 'cut_off':
        (path / 'cut_off_0.mcap').touch()
    with pytest.raises((SourceError, FrameError), match=reason):
        open_source(path, SourceOptions())


POINTER = (
    b'version https://git-lfs.github.com/spec/v1\n'
    b'oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n'
)


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3', 'a.mp4', 'a.jpg'])
def test_a_pointer_of_git_lfs_is_told_as_one(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(POINTER)
    with pytest.raises(SourceError, match=rf'{name} is a pointer of Git LFS.*`git lfs pull`'):
        open_source(path, SourceOptions())


@pytest.mark.parametrize('name', ['bag_0.mcap', '00003.jpg'])
def test_a_pointer_of_git_lfs_in_a_folder_is_told_as_one(tmp_path: Path, name: str):
    if name.endswith('mcap'):
        (tmp_path / 'metadata.yaml').write_text('rosbag2_bagfile_information: {}')
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(SourceError, match=rf'{name} is a pointer of Git LFS'):
        open_source(tmp_path, SourceOptions())


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3', 'a', 'a.mp4'])
def test_a_bag_of_ros_1_is_told_as_one_whatever_its_name(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b'#ROSBAG V2.0\n' + bytes(4096))
    with pytest.raises(SourceError, match=r'is a bag of ROS 1: convert it with rosbags-convert'):
        open_source(path, SourceOptions())


def test_a_topic_for_a_video_is_refused(tmp_path: Path):
    (tmp_path / 'clip.mp4').touch()
    with pytest.raises(SourceError, match='--topic /cam means nothing'):
        open_source(tmp_path / 'clip.mp4', SourceOptions('/cam'))


def test_a_compressed_bag_is_recognised(tmp_path: Path):
    kind = BagKind(compression=CompressionMode.FILE)
    bag = write_bag(tmp_path / 'bag', raw_messages(2), kind)
    assert open_source(bag, SourceOptions()).frame_count == 2


def test_a_folder_of_pictures_may_be_called_as_a_bag_of_ros_1_is(tmp_path: Path):
    folder = tmp_path / 'tuesday.bag'
    folder.mkdir()
    Image.new('RGB', (8, 6)).save(folder / '0.png')
    assert open_source(folder, SourceOptions()).frame_count == 1


@pytest.mark.parametrize('name', ['clip.mp4', 'bag.mcap', 'bag.db3', 'folder', 'in.folder/a.jpg'])
def test_what_may_not_be_looked_at_is_named(tmp_path: Path, name: str):
    # Root may look at everything; of a link to a name that cannot be not even the kind is told.
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to('x' * 300)
    asked = path.parent if path.parent != tmp_path else path
    with pytest.raises(SourceError, match=rf'source {asked} cannot be read: .*name too long'):
        open_source(asked, SourceOptions())


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3', 'bag/metadata.yaml', 'bag/bag_0.mcap'])
def test_a_pipe_in_the_place_of_a_bag_is_named_and_not_waited_for(tmp_path: Path, name: str):
    pipe = tmp_path / name
    if name.startswith('bag/'):
        write_bag(tmp_path / 'bag', raw_messages(2))
        pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    bag = pipe.parent if name.startswith('bag/') else pipe
    with pytest.raises(SourceError, match=rf'{pipe.name} cannot be read: it is a pipe: a file'):
        open_source(bag, SourceOptions())
