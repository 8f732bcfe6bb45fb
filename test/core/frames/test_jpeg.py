# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Payloads are judged by their head and tail, and decoded as stock SAM 2 decodes them."""

from __future__ import annotations

import io

from camera import payload, picture
from hypothesis import given, settings, strategies
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg


def as_stock_decodes(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert('RGB'))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_size_and_kind_are_read_from_the_head_of_a_payload() -> None:
    assert jpeg.probe(payload(hw=(48, 64))) == jpeg.PayloadInfo(True, (48, 64))
    assert jpeg.probe(payload(hw=(48, 64), kind='PNG')) == jpeg.PayloadInfo(False, (48, 64))


@pytest.mark.parametrize('mode', ['L', 'CMYK', 'RGB'])
def test_jpeg_of_any_colour_space_is_decoded_as_stock_does(mode: str) -> None:
    data = saved(Image.fromarray(picture()).convert(mode), 'JPEG')
    assert np.array_equal(jpeg.decode(data), as_stock_decodes(data))


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA'])
def test_eight_bit_png_becomes_rgb(mode: str) -> None:
    data = saved(Image.fromarray(picture()).convert(mode), 'PNG')
    assert not jpeg.probe(data).is_jpeg
    assert np.array_equal(jpeg.decode(data), as_stock_decodes(data))


def test_sixteen_bit_grey_png_is_refused() -> None:
    data = saved(Image.fromarray(np.full((8, 8), 40000, np.uint16)), 'PNG')
    with pytest.raises(FrameError, match='8 bits a channel'):
        jpeg.probe(data)


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_picture_of_too_many_pixels_is_refused_undecoded(kind: str) -> None:
    said = r'13000x13000 is too large: up to 50000000 pixels are accepted \(image_max_pixels\)'
    bomb = saved(Image.new('1', (13000, 13000)), kind)
    assert len(bomb) < 3 * 10**6
    with pytest.raises(FrameError, match=said):
        jpeg.probe(bomb)
    assert jpeg.probe(bomb, max_pixels=13000**2).hw == (13000, 13000)


def test_jpeg_whose_scans_would_take_minutes_is_refused_undecoded() -> None:
    data = saved(Image.new('L', (700, 700), 90), 'JPEG', progressive=True)
    last = data[data.rindex(b'\xff\xda'):-2]
    assert jpeg.probe(data).hw == jpeg.probe(data[:-2] + 20 * last + b'\xff\xd9').hw == (700, 700)
    bomb = data[:-2] + 1000 * last + b'\xff\xd9'
    assert len(bomb) < 10**5
    with pytest.raises(FrameError, match=r'has 1006 scans: at most 40 are decoded'):
        jpeg.probe(bomb)
    # What lies in a segment before them is no scan.
    text = b'\xff\xfe' + (20_002).to_bytes(2, 'big') + b'\xff\xda' * 10_000
    assert jpeg.probe(data[:2] + text + data[2:]).hw == (700, 700)


def test_exif_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = payload(hw=(24, 32), exif=exif)
    assert jpeg.probe(turned).hw == (24, 32)
    assert np.array_equal(jpeg.decode(turned), jpeg.decode(payload(hw=(24, 32))))


def test_empty_payload_is_refused() -> None:
    with pytest.raises(FrameError, match='empty'):
        jpeg.probe(b'')


@pytest.mark.parametrize('data', [b'hello', b'\xff\xd8\xff\xe0', b'GIF89a' + bytes(20)])
def test_payload_that_is_no_picture_is_refused_with_its_first_bytes(data: bytes) -> None:
    with pytest.raises(FrameError, match=data[:4].hex(' ')):
        jpeg.probe(data)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_truncated_payload_is_refused(kind: str) -> None:
    data = payload(hw=(48, 64), kind=kind)
    with pytest.raises(FrameError, match=f'{kind} payload .* truncated'):
        jpeg.probe(data[:-20])


def test_truncated_jpeg_is_refused_although_its_thumbnail_is_whole() -> None:
    app_segment = b'\xff\xe2' + (len(payload(1)) + 2).to_bytes(2, 'big') + payload(1)
    data = payload(hw=(48, 64))
    with_thumbnail = data[:2] + app_segment + data[2:]
    assert jpeg.probe(with_thumbnail).hw == (48, 64)
    with pytest.raises(FrameError, match='truncated'):
        jpeg.probe(with_thumbnail[:-20])


def test_padding_behind_a_jpeg_is_accepted() -> None:
    assert jpeg.probe(payload() + bytes(512)).hw == (24, 32)


def test_damage_that_only_decoding_shows_is_a_frame_error() -> None:
    data = bytearray(payload(hw=(48, 64), kind='PNG'))
    data[data.index(b'IDAT') + 4] ^= 0xff
    jpeg.probe(bytes(data))
    with pytest.raises(FrameError, match='cannot be decoded'):
        jpeg.decode(bytes(data))


def test_picture_beyond_pillows_limit_is_refused() -> None:
    data = bytearray(saved(Image.new('L', (8, 8)), 'JPEG'))
    frame_head = data.index(b'\xff\xc0')
    data[frame_head + 5:frame_head + 9] = b'\xff\x00\xff\x00'
    with pytest.raises(FrameError, match=r'more than 50000000 pixels \(image_max_pixels\)'):
        jpeg.probe(bytes(data))


def test_encoding_keeps_red_red() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    decoded = jpeg.decode(jpeg.encode(red, 95))
    assert decoded[8, 8, 0] > 240
    assert decoded[8, 8, 2] < 15


def test_higher_quality_is_closer_and_larger() -> None:
    original = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    poor, fine = jpeg.encode(original, 20), jpeg.encode(original, 95)
    errors = [np.abs(jpeg.decode(data).astype(int) - original).mean() for data in (poor, fine)]
    assert len(poor) < len(fine)
    assert errors[0] > errors[1]


def test_shrinking_fits_the_longest_side_and_keeps_the_aspect() -> None:
    assert jpeg.shrink(picture(hw=(48, 64)), 32).shape == (24, 32, 3)
    assert jpeg.shrink(picture(hw=(64, 1)), 16).shape == (16, 1, 3)


def test_picture_that_fits_is_not_scaled() -> None:
    original = picture(hw=(48, 64))
    assert jpeg.shrink(original, 64) is original
    assert jpeg.shrink(original, 0) is original


@settings(max_examples=300)
@given(strategies.data())
def test_any_bytes_are_read_or_refused_with_a_frame_error(data: strategies.DataObject) -> None:
    kind = data.draw(strategies.sampled_from(['JPEG', 'PNG']))
    damaged = bytearray(payload(kind=kind))
    for _ in range(data.draw(strategies.integers(0, 4))):
        at = data.draw(strategies.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(strategies.integers(0, 255))
    del damaged[data.draw(strategies.integers(0, len(damaged))):]
    try:
        height, width = jpeg.probe(bytes(damaged)).hw
        assert jpeg.decode(bytes(damaged)).shape == (height, width, 3)
    except FrameError as error:
        assert str(error)
