# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels are stored, and which are tracked."""

from __future__ import annotations

from pathlib import Path

from camera import flush, header, Open, payload, picture, process, send_raw
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.eviction import MAX_PICTURES
from sam2_tracker.core.frames.stored_frame import EncodedImage, RawImage, StoredFrame
from sam2_tracker.core.types import Frame, UInt8Array

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY


def tracked(buffer: FrameBuffer, image: RawImage | EncodedImage) -> Frame:
    buffer.append(image, header(1), 1)
    stored = buffer.next(0)
    assert stored is not None
    flush(buffer)
    return buffer.frame(stored, 0)


def on_disk(folder: Path) -> Path:
    file, = folder.rglob('*.jpeg')
    return file


def as_stock_decodes(file: Path) -> UInt8Array:
    return np.array(Image.open(file).convert('RGB'))


@pytest.mark.parametrize('policy', FramePolicy)
def test_jpeg_payload_goes_to_disk_as_it_is(open_buffer: Open, tmp_path: Path,
                                            policy: FramePolicy) -> None:
    sent = payload(quality=30)
    frame = tracked(open_buffer(policy), EncodedImage(sent))
    assert on_disk(tmp_path).read_bytes() == sent
    assert np.array_equal(frame.image_rgb, as_stock_decodes(on_disk(tmp_path)))


@pytest.mark.parametrize('policy', FramePolicy)
def test_jpeg_payload_is_not_decoded_before_the_worker_wants_it(
        open_buffer: Open, policy: FramePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    real_decode = jpeg.decode

    def decode(data: bytes) -> UInt8Array:
        decoded.append(len(data))
        return real_decode(data)

    buffer = open_buffer(policy)
    buffer.append(EncodedImage(payload()), header(1), 1)  # The first of a size is.
    process(buffer, 0)
    monkeypatch.setattr(jpeg, 'decode', decode)
    buffer.append(EncodedImage(payload()), header(1.1), 1)
    assert not decoded
    process(buffer, 1)
    assert len(decoded) == 1


def test_latest_tracks_raw_pixels_as_received(open_buffer: Open, tmp_path: Path) -> None:
    frame = tracked(open_buffer(LATEST), RawImage(picture()))
    assert np.array_equal(frame.image_rgb, picture())
    assert not np.array_equal(as_stock_decodes(on_disk(tmp_path)), picture())


def test_every_tracks_what_stock_reads_from_the_folder(open_buffer: Open, tmp_path: Path) -> None:
    frame = tracked(open_buffer(EVERY), RawImage(picture()))
    assert np.array_equal(frame.image_rgb, as_stock_decodes(on_disk(tmp_path)))
    assert not np.array_equal(frame.image_rgb, picture())


def test_png_is_tracked_as_received_under_latest(open_buffer: Open, tmp_path: Path) -> None:
    frame = tracked(open_buffer(LATEST), EncodedImage(payload(kind='PNG')))
    assert np.array_equal(frame.image_rgb, picture())
    assert jpeg.probe(on_disk(tmp_path).read_bytes()).is_jpeg


def test_png_makes_the_jpeg_round_trip_under_every(open_buffer: Open, tmp_path: Path) -> None:
    frame = tracked(open_buffer(EVERY), EncodedImage(payload(kind='PNG')))
    assert np.array_equal(frame.image_rgb, as_stock_decodes(on_disk(tmp_path)))


@pytest.mark.parametrize('image', [RawImage(picture(hw=(96, 128))),
                                   EncodedImage(payload(hw=(96, 128)))])
@pytest.mark.parametrize('policy', FramePolicy)
def test_max_side_scales_what_is_stored_and_tracked(
        open_buffer: Open, tmp_path: Path, policy: FramePolicy,
        image: RawImage | EncodedImage) -> None:
    frame = tracked(open_buffer(policy, max_side=64), image)
    assert as_stock_decodes(on_disk(tmp_path)).shape == frame.image_rgb.shape == (48, 64, 3)
    assert frame.source_hw == (96, 128)


def test_max_side_leaves_a_smaller_payload_as_it_is(open_buffer: Open, tmp_path: Path) -> None:
    sent = payload(hw=(48, 64))
    tracked(open_buffer(LATEST, max_side=64), EncodedImage(sent))
    assert on_disk(tmp_path).read_bytes() == sent


def test_jpeg_quality_is_the_setting_s(open_buffer: Open, tmp_path: Path) -> None:
    tracked(open_buffer(LATEST, jpeg_quality=40), RawImage(picture()))
    assert on_disk(tmp_path).read_bytes() == jpeg.encode(picture(), 40)


@pytest.mark.parametrize('policy', FramePolicy)
def test_few_pictures_stay_in_memory(open_buffer: Open, tmp_path: Path,
                                     policy: FramePolicy) -> None:
    buffer = open_buffer(policy)
    frames: list[StoredFrame] = []
    for number in range(MAX_PICTURES + 1):
        send_raw(buffer, 1 + number / 10)
        frames.append(process(buffer, number))
    for file in tmp_path.rglob('*.jpeg'):
        file.write_bytes(jpeg.encode(np.zeros((24, 32, 3), np.uint8), 95))
    assert [bool(buffer.pixels(stored).any()) for stored in frames[1:]] == [True] * MAX_PICTURES
    assert not buffer.pixels(frames[0]).any()


def test_every_gives_the_same_pixels_with_and_without_a_backlog(open_buffer: Open) -> None:
    pictures = []
    for backlog in (False, True):
        buffer = open_buffer(EVERY)
        for number in range(6):
            send_raw(buffer, 1 + number / 10)
            if not backlog:
                pictures.append(buffer.image(process(buffer, number).number))
        if backlog:
            pictures += [buffer.image(process(buffer, number).number) for number in range(6)]
    assert all(np.array_equal(*pair) for pair in zip(pictures[:6], pictures[6:], strict=True))


@pytest.mark.parametrize('image', [RawImage(picture(hw=(60, 80))),
                                   EncodedImage(payload(hw=(60, 80))),
                                   EncodedImage(payload(hw=(60, 80), kind='PNG'))])
def test_image_of_more_pixels_than_accepted_is_refused_and_counted(
        tmp_path: Path, image: RawImage | EncodedImage) -> None:
    with FrameBuffer(BufferConfig(directory=tmp_path), EVERY, max_pixels=4799) as buffer:
        with pytest.raises(FrameError, match='80x60 is too large: up to 4799 pixels'):
            buffer.append(image, header(1), 1)
        assert buffer.statistics.unreadable == 1
    with FrameBuffer(BufferConfig(directory=tmp_path), EVERY, max_pixels=4800) as buffer:
        assert buffer.append(image, header(1), 1).stored is not None
