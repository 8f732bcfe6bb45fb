# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.offline.sources.video import FolderSource, VideoSource, WebcamSource

HW = (48, 64)


def picture(number: int) -> np.ndarray:
    """Make a red BGR picture whose brightness tells its number."""
    image = np.zeros((*HW, 3), np.uint8)
    image[..., 2] = 40 + 10 * number
    return image


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 12.5, HW[::-1])
    for number in range(8):
        writer.write(picture(number))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / 'pictures'
    path.mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(path / f'{number}.jpg'), picture(number))
    cv2.imwrite(str(path / '11.PNG'), picture(11))
    (path / 'notes.txt').write_text('not a picture')
    return path


def numbers_seen(frames) -> list[int]:
    return [round((float(frame.image_rgb[..., 0].mean()) - 40) / 10) for frame in frames]


def test_a_video_is_read_in_order_as_rgb_with_its_times(video):
    source = VideoSource(video)
    frames = list(source.frames())
    assert source.rate_hz == pytest.approx(12.5)
    assert numbers_seen(frames) == list(range(8))
    assert [frame.stamp_ns for frame in frames] == [80_000_000 * i for i in range(8)]
    assert all(frame.payload is None for frame in frames)


def test_a_video_can_be_read_from_a_frame_on_and_again(video):
    source = VideoSource(video)
    for _ in range(2):
        frames = list(source.frames(first=5))
        assert numbers_seen(frames) == [5, 6, 7]
        assert frames[0].stamp_ns == 5 * 80_000_000


def test_times_that_stand_still_are_replaced_by_the_rate(video, monkeypatch):
    source = VideoSource(video)
    assert source._after(None, 0) == 0
    assert source._after(0, 33_000_000) == 33_000_000
    assert source._after(33_000_000, 33_000_000) == 113_000_000


def test_a_folder_is_read_in_natural_order_with_its_jpegs_as_they_are(folder):
    source = FolderSource(folder, rate_hz=10.0)
    frames = list(source.frames())
    assert source.frame_count == 4
    assert numbers_seen(frames) == [1, 2, 10, 11]
    assert frames[0].payload == (folder / '1.jpg').read_bytes()
    assert frames[3].payload is None, 'a PNG is no JPEG'
    assert [frame.stamp_ns for frame in frames] == [0, 100_000_000, 200_000_000, 300_000_000]
    assert numbers_seen(source.frames(first=2)) == [10, 11]


def test_a_folder_of_16_bit_pngs_is_read_with_the_white_that_is_asked_for(tmp_path):
    cv2.imwrite(str(tmp_path / '1.png'), np.full((4, 6), 2048, np.uint16))
    (frame,) = FolderSource(tmp_path, mono16_white=4095).frames()
    assert (frame.image_rgb == 128).all() and frame.payload is None


def test_a_damaged_picture_is_refused_by_its_name(folder):
    (folder / '3.jpg').write_bytes((folder / '2.jpg').read_bytes()[:200])
    with pytest.raises(FrameError, match=r'3\.jpg \(frame 2\): '):
        list(FolderSource(folder).frames())


def test_hidden_files_are_no_pictures(folder):
    (folder / '._2.jpg').write_bytes(b'\0\x05\x16\x07\0\x02\0\0Mac OS X' + bytes(4000))
    (folder / '.11.PNG').write_bytes(b'half')
    assert numbers_seen(FolderSource(folder).frames()) == [1, 2, 10, 11]


def test_pictures_have_their_names_unless_two_differ_only_in_suffix_or_case(folder):
    names = [frame.file_name for frame in FolderSource(folder).frames()]
    assert names == ['1.jpg', '2.jpg', '10.jpg', '11.PNG']
    (folder / '2.png').write_bytes((folder / '11.PNG').read_bytes())
    assert {frame.file_name for frame in FolderSource(folder).frames()} == {''}


@pytest.mark.parametrize('name', ['a\udcff.jpg', '\x1b[31m0.jpg', 'a\n.jpg'])
def test_a_picture_whose_name_cannot_be_shown_is_refused(folder, name):
    sorted(folder.iterdir())[0].rename(folder / name)
    with pytest.raises(FrameError, match=r"the name of a picture '.* that cannot be printed"):
        FolderSource(folder)


def test_what_is_no_picture_is_said_without_an_address_in_memory(folder):
    (folder / '3.jpg').write_text('not a picture')
    with pytest.raises(FrameError) as refused:
        list(FolderSource(folder).frames())
    assert str(refused.value) == (
        f'{folder}/3.jpg (frame 2): the image payload of 13 bytes, beginning with 6e 6f 74 '
        '20, is not a readable JPEG or PNG'
    )
    with pytest.raises(FrameError) as undecodable:
        jpeg.decode(b'not a picture')
    assert ' object at 0x' not in f'{refused.value} {undecodable.value}'


def test_digits_that_are_no_decimal_ones_order_a_folder_too(folder):
    (folder / '2.jpg').rename(folder / '2².jpg')
    (folder / '10.jpg').rename(folder / '٣.jpg')
    assert [path.name for path in FolderSource(folder).pictures] == [
        '1.jpg', '2².jpg', '٣.jpg', '11.PNG']


def test_a_pipe_or_a_device_among_pictures_is_named_and_not_read(folder):
    (folder / '2.jpg').unlink()
    os.mkfifo(folder / '2.jpg')
    (folder / '3.jpg').symlink_to('/dev/zero')
    with pytest.raises(FrameError, match=r'2\.jpg \(frame 1\): it is a pipe: a file is expected'):
        list(FolderSource(folder).frames())
    (folder / '2.jpg').unlink()
    with pytest.raises(FrameError, match=r'3\.jpg \(frame 1\): it is a device: a file is'):
        list(FolderSource(folder).frames())


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FrameError, match=r'has no pictures: \.jpg, \.jpeg, \.png are read'):
        FolderSource(tmp_path)


def test_a_file_that_is_no_video_is_refused(tmp_path, capfd):
    (tmp_path / 'clip.mp4').write_text('no video')
    with pytest.raises(FrameError, match='not a video that FFmpeg can read'):
        VideoSource(tmp_path / 'clip.mp4')


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(FrameError, match=r'gone\.mp4 is not a file'):
        VideoSource(tmp_path / 'gone.mp4')
    with pytest.raises(FrameError, match='gone is not a folder'):
        FolderSource(tmp_path / 'gone')


@pytest.mark.skipif(Path('/dev/video99').exists(), reason='this machine has a webcam 99')
def test_a_webcam_that_is_not_there_is_refused(capfd):
    with pytest.raises(FrameError, match='webcam 99 cannot be opened'):
        WebcamSource(99)


def test_a_webcam_is_read_until_it_stops_delivering(monkeypatch):
    pictures = [picture(0), picture(1)]

    class Camera:

        def __init__(self, index):
            assert index == 3

        def isOpened(self):
            return True

        def set(self, *_):  # noqa: A003
            return True

        def get(self, _):
            return 0.0

        def read(self):
            return (True, pictures.pop(0)) if pictures else (False, None)

    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    seen = []
    with pytest.raises(FrameError, match='/dev/video3 delivers no more frames'):
        seen.extend(numbers_seen([frame]) for frame in WebcamSource(3).frames())
    assert seen == [[0], [1]]


@pytest.mark.parametrize(
    ('name', 'count'), [('05_default_juggle.mp4', 247), ('16_robotarm.mp4', 250)]
)
def test_a_real_video_has_all_its_frames_at_a_steady_pace(name, count, data_dir):
    path = data_dir / 'dev/video' / name
    if not path.is_file():
        pytest.skip(f'{path} is missing')
    source = VideoSource(path)
    stamps = [frame.stamp_ns for frame in source.frames()]
    assert len(stamps) == count
    assert np.diff(stamps) == pytest.approx(1e9 / source.rate_hz, rel=0.01)
