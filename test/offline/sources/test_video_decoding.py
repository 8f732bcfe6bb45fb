# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Whole videos are read as OpenCV reads them, damaged ones past the damage."""

from __future__ import annotations

from pathlib import Path
import re
import struct

import av
import cv2
import numpy as np
import pytest
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.log import Level, silent
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.offline.sources.timeline import Clock, Timeline
from sam2_tracker.offline.sources.video import VideoSource
from video_making import blank_packets, moving_square, VideoKind, write_video

FULL_RANGE, BT709, BT2020 = {'color_range': 2}, {'colorspace': 1}, {'colorspace': 9}
B_FRAMES = {'bf': '3', 'g': '12'}
KINDS = (
    VideoKind('plain.mp4'),
    VideoKind('full_range.mp4', context=FULL_RANGE),
    VideoKind('bt709.mp4', context=BT709),
    VideoKind('bt2020.mp4', context=BT2020),
    VideoKind('h264_444_odd.mp4', pixels='yuv444p', size=(97, 65)),
    VideoKind('h264_422.mp4', pixels='yuv422p'),
    VideoKind('h264_10_bits.mp4', pixels='yuv420p10le'),
    VideoKind('not_by_16.mp4', size=(86, 46)),
    VideoKind('b_frames.mp4', options=B_FRAMES, count=30),
    VideoKind('b_frames.ts', options=B_FRAMES, count=30),
    VideoKind('b_frames.mkv', options=B_FRAMES, count=30),
    VideoKind('b_frames.avi', options=B_FRAMES, count=30),
    VideoKind('without_times.h264', options={'bf': '0'}),
    VideoKind('uneven.mp4', ticks=(0, 1, 4, 5, 9, 20, 21, 30), count=8),
    VideoKind('repeated.avi', 'mpeg4', ticks=(0, 1, 4, 5, 9, 20, 21, 30), count=8),
    VideoKind('late.mkv', ticks=range(50, 62)),
    VideoKind('mpeg4_odd.mp4', 'mpeg4', size=(97, 65)),
    VideoKind('mpeg4_b_frames.avi', 'mpeg4', options={'bf': '2'}, count=30),
    VideoKind('mjpeg_420_odd.avi', 'mjpeg', 'yuvj420p', (97, 65)),
    VideoKind('mjpeg_422.avi', 'mjpeg', 'yuvj422p'),
    VideoKind('mjpeg_444.mov', 'mjpeg', 'yuvj444p'),
    VideoKind('png.mov', 'png', 'rgb24'),
    VideoKind('ffv1_odd.mkv', 'ffv1', size=(97, 65)),
    VideoKind('grey_16.mkv', 'ffv1', 'gray16le'),
    VideoKind('upright_90.mp4', 'mpeg4', degrees=90),
    VideoKind('upright_180.mp4', 'mpeg4', degrees=180),
    VideoKind('upright_270.mp4', 'mpeg4', degrees=270),
)  # fmt: skip


def has_opencv_the_same_ffmpeg() -> bool:
    found = re.search(r'swscale:\s+YES \((\d+)\.(\d+)', cv2.getBuildInformation())
    ours = av.library_versions['libswscale'][:2]
    return found is not None and (int(found[1]), int(found[2])) == ours


def read_by_opencv(path: Path) -> tuple[float, list[tuple[int, np.ndarray]]]:
    """Return rate, times since the first frame, and RGB pixels."""
    capture = cv2.VideoCapture(str(path))
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    frames: list[tuple[int, np.ndarray]] = []
    start_ns = 0
    while capture.grab():
        stamp_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        start_ns = start_ns if frames else stamp_ns
        stamp_ns -= start_ns
        if frames and stamp_ns <= frames[-1][0]:
            stamp_ns = frames[-1][0] + round(1e9 / rate_hz)
        whole, image_bgr = capture.retrieve()
        assert whole
        frames.append((stamp_ns, cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)))
    return rate_hz, frames


def read(path: Path) -> tuple[list[SourceFrame], str]:
    source = VideoSource(path)
    return list(source.frames()), source.damage


def error_of(frame: SourceFrame, number: int) -> float:
    height, width = frame.image_rgb.shape[:2]
    wanted = moving_square(number, (width, height)).astype(np.float32)
    return float(np.abs(frame.image_rgb - wanted).mean())


@pytest.mark.skipif(
    not has_opencv_the_same_ffmpeg(), reason='OpenCV has another version of FFmpeg here'
)
@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.name)
def test_a_whole_video_has_the_pixels_times_and_count_that_opencv_gives(
    kind: VideoKind, tmp_path: Path
):
    path = write_video(tmp_path, kind)
    rate_hz, wanted = read_by_opencv(path)
    source = VideoSource(path)
    frames = list(source.frames())
    assert len(frames) == len(wanted) == kind.count
    assert [frame.stamp_ns for frame in frames] == [stamp_ns for stamp_ns, _ in wanted]
    for frame, (_, image_rgb) in zip(frames, wanted, strict=True):
        np.testing.assert_array_equal(frame.image_rgb, image_rgb)
    assert source.rate_hz == pytest.approx(rate_hz)
    assert source.damage == ''


@pytest.mark.parametrize(
    'kind',
    [
        VideoKind('h264.mp4', options={'g': '5', 'bf': '0'}, count=24),
        VideoKind('hevc.mp4', 'libx265', count=24,
                  options={'x265-params': 'keyint=5:bframes=0:log-level=none'}),
        VideoKind('mpeg4.mp4', 'mpeg4', options={'g': '5'}, count=24),
        VideoKind('mjpeg.mov', 'mjpeg', 'yuvj420p', count=24),
        VideoKind('png.mov', 'png', 'rgb24', count=24),
    ],
    ids=lambda kind: kind.name,
)  # fmt: skip
def test_a_damaged_packet_is_skipped_and_said_and_reading_goes_on(kind: VideoKind, tmp_path: Path):
    path = blank_packets(write_video(tmp_path, kind), {9})
    frames, damage = read(path)
    assert len(frames) == 23
    assert frames[-1].stamp_ns == 23 * 40_000_000
    assert error_of(frames[-1], 23) < 8
    assert damage == (
        f'{path} is damaged: 1 damaged packet (the first at 0.360 s), '
        '23 frames of the 24 that it should have read'
    )


def test_damage_at_the_end_costs_no_more_than_its_own_frame(tmp_path: Path):
    kind = VideoKind('png.mov', 'png', 'rgb24', count=24)
    frames, damage = read(blank_packets(write_video(tmp_path, kind), {21}))
    assert [round(frame.stamp_ns / 40e6) for frame in frames] == [*range(21), 22, 23]
    assert '1 damaged packet' in damage


def test_damage_is_logged_once_however_often_the_video_is_read(tmp_path: Path):
    path = blank_packets(write_video(tmp_path, VideoKind('a.mp4', 'mpeg4')), {8})
    said: list[tuple[Level, str]] = []
    source = VideoSource(path, lambda level, sentence: said.append((level, sentence)))
    assert [len(list(source.frames())) for _ in range(2)] == [11, 11]
    assert said == [(Level.WARN, source.damage)]


def test_a_frame_that_is_lost_without_an_error_is_missed_by_the_container_s_count(tmp_path: Path):
    path = write_video(tmp_path, VideoKind('a.avi', 'mjpeg', 'yuvj420p', count=30))
    content = bytearray(path.read_bytes())
    chunk = content.index(b'00dc', content.index(b'00dc', len(content) // 3) + 4)
    content[chunk:chunk + 8] = b'\xff' * 8
    path.write_bytes(content)
    frames, damage = read(path)
    assert len(frames) == 29
    assert damage == f'{path} is damaged: 29 frames of the 30 that it should have read'


def test_a_video_that_was_cut_off_is_read_to_there_and_its_missing_frames_are_said(tmp_path: Path):
    path = write_video(tmp_path, VideoKind('a.avi', 'mjpeg', 'yuvj420p', count=30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, damage = read(path)
    assert 10 < len(frames) < 20
    assert f'{len(frames)} frames of the 30 that it should have read' in damage


@pytest.mark.parametrize(
    'kind',
    [
        VideoKind('a.mkv', options=B_FRAMES, count=30),
        VideoKind('a.webm', 'libvpx', count=30),
        VideoKind('uneven.mkv', 'ffv1', ticks=[n + (n > 5) + (n > 20) for n in range(30)],
                  count=30),
    ],
    ids=lambda kind: kind.name,
)  # fmt: skip
def test_a_video_without_a_count_that_was_cut_off_is_told_by_its_length(
    kind: VideoKind, tmp_path: Path
):
    path = write_video(tmp_path, kind)
    frames, damage = read(path)
    assert (len(frames), damage) == (30, '')
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, damage = read(path)
    assert 2 < len(frames) < 27
    assert re.search(r'is damaged: it ends at 0\.\d{3} s of 1\.\d{3} s, \d+ frames read', damage)


def test_a_whole_video_whose_last_frame_has_no_length_is_whole(tmp_path: Path):
    # The copy knows how long the last frame was, but does not write it down for each.
    path = blank_packets(write_video(tmp_path, VideoKind('a.mkv', 'ffv1')), set())
    assert [len(read(path)[0]), read(path)[1]] == [12, '']


@pytest.mark.parametrize('name', ['a.mkv', 'a.ts', 'a.flv'])
def test_frames_before_the_first_key_frame_are_said(name: str, tmp_path: Path):
    kind = VideoKind(name, options={'g': '10', 'bf': '0'}, count=30)
    path = write_video(tmp_path, kind)
    assert read(path)[1] == ''
    cut = tmp_path / f'cut_{name}'
    with av.open(str(path)) as source, av.open(str(cut), 'w') as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number >= 4:
                packet.stream = stream
                container.mux(packet)
    frames, damage = read(cut)
    assert len(frames) == 20
    assert damage == f'{cut} is damaged: 6 frames before the first key frame, 20 frames read'


def test_pictures_of_which_parts_are_made_up_are_counted_and_the_same_each_time(tmp_path: Path):
    options = {'g': '30', 'bf': '0', 'qp': '20'}
    kind = VideoKind('a.mp4', options=options, size=(320, 240), count=30)
    path = write_video(tmp_path, kind)
    content = bytearray(path.read_bytes())
    start = content.index(b'mdat') + len(content) // 4
    content[start:start + 40] = bytes(range(40))
    path.write_bytes(content)
    (frames, damage), (again, _) = read(path), read(path)
    assert re.search(r'pictures? decoded in parts only|damaged packet', damage)
    for one, other in zip(frames, again, strict=True):
        np.testing.assert_array_equal(one.image_rgb, other.image_rgb)


def test_interlaced_pictures_are_those_that_were_recorded_in_each_reading(tmp_path: Path):
    options = {'flags': '+ilme+ildct', 'x264-params': 'tff=1'}
    path = write_video(tmp_path, VideoKind('a.mp4', options=options, size=(320, 240)))
    (frames, damage), (again, _) = read(path), read(path)
    assert max(error_of(frame, number) for number, frame in enumerate(frames)) < 5
    for one, other in zip(frames, again, strict=True):
        np.testing.assert_array_equal(one.image_rgb, other.image_rgb)
    assert damage == ''


def two_streams(path: Path, sizes: list[tuple[int, int]]) -> Path:
    with av.open(str(path), 'w') as container:
        streams = [container.add_stream('mpeg4', rate=25) for _ in sizes]
        for stream, (width, height) in zip(streams, sizes, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        for number in range(3):
            for stream, size in zip(streams, sizes, strict=True):
                picture = moving_square(number, size)
                frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
                frame.pts = number
                container.mux(stream.encode(frame.reformat(format='yuv420p')))
        for stream in streams:
            container.mux(stream.encode())
    return path


def test_of_several_streams_the_largest_is_read_and_named(tmp_path: Path):
    path = two_streams(tmp_path / 'two.mkv', [(64, 48), (96, 64)])
    said: list[str] = []
    source = VideoSource(path, lambda _, sentence: said.append(sentence))
    assert [frame.image_rgb.shape for frame in source.frames()] == [(64, 96, 3)] * 3
    assert said == [
        f'{path}: of the video streams 0 (mpeg4 64x48), 1 (mpeg4 96x64) number 1 is read'
    ]


def with_cover_first(folder: Path) -> Path:
    """Write an MP4 whose cover picture comes before its video."""
    path = folder / 'cover.mp4'
    with av.open(str(path), 'w') as container:
        cover = container.add_stream('mjpeg', rate=25)
        cover.width, cover.height, cover.pix_fmt = 640, 480, 'yuvj420p'
        cover.disposition = av.stream.Disposition.attached_pic.value
        video = container.add_stream('mpeg4', rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, 'yuv420p'
        for stream, count in ((cover, 1), (video, 12)):
            for number in range(count):
                picture = moving_square(number, (stream.width, stream.height))
                frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
                frame.pts = number
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode())
    content = path.read_bytes()
    start = content.index(b'moov') - 4
    size = struct.unpack('>I', content[start:start + 4])[0]
    moov = content[start:start + size]
    tags = moov.index(b'udta') - 4
    tracks = moov.index(b'trak') - 4
    moved = moov[:tracks] + moov[tags:] + moov[tracks:tags]
    path.write_bytes(content[:start] + moved + content[start + size:])
    return path


def test_a_cover_picture_is_not_the_video(tmp_path: Path):
    path = with_cover_first(tmp_path)
    with av.open(str(path)) as container:
        assert [stream.width for stream in container.streams.video] == [640, 96]
    frames, _ = read(path)
    assert [frame.image_rgb.shape for frame in frames] == [(64, 96, 3)] * 12


def test_a_video_whose_size_changes_is_refused_not_stretched(tmp_path: Path):
    parts = [
        write_video(tmp_path, VideoKind('large.h264')).read_bytes(),
        write_video(tmp_path, VideoKind('small.h264', size=(48, 32))).read_bytes(),
    ]
    path = tmp_path / 'both.h264'
    path.write_bytes(b''.join(parts))
    frames = Timeline(path, Clock.HEADER, silent).frames(VideoSource(path).frames())
    with pytest.raises(FrameError, match='frame 12 is 48x32 but those before it are 96x64'):
        list(frames)


def test_a_file_without_pictures_is_refused(tmp_path: Path):
    path = tmp_path / 'sound.mkv'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 80), np.int16), layout='mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(FrameError, match='is not a video: there are no pictures in it'):
        VideoSource(path)


def test_a_name_that_looks_like_a_protocol_is_a_file(tmp_path: Path, monkeypatch):
    write_video(tmp_path, VideoKind('plain.mp4')).rename(tmp_path / 'concat:a.mp4')
    monkeypatch.chdir(tmp_path)
    assert len(read(Path('concat:a.mp4'))[0]) == 12
    assert [path.name for path in tmp_path.iterdir()] == ['concat:a.mp4']
