# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Images of every accepted encoding, and the refusal of the others."""

from __future__ import annotations

import array
import io

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import PIL.Image
import pytest
from sam2_tracker.core.errors import FrameError
from sam2_tracker.ros.messages import (
    ACCEPTED,
    BYTES_PER_PIXEL,
    depth_from_msg,
    image_from_msg,
    image_to_msg,
    label_image_to_msg,
    mask_from_msg,
    mask_to_msg,
    payload_from_msg,
)
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

CONTRACT_ENCODINGS = (
    'rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', 'bayer_rggb8', 'bayer_bggr8',
    'bayer_gbrg8', 'bayer_grbg8', 'yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21')
COLOUR_ENCODINGS = tuple(name for name in CONTRACT_ENCODINGS if not name.startswith('mono'))
RED = (220, 30, 20)
BLUE = (20, 30, 220)


def uniform(rgb: tuple[int, int, int], height: int = 8, width: int = 12) -> np.ndarray:
    return np.full((height, width, 3), rgb, np.uint8)


def bayer(rgb: np.ndarray, pattern: str) -> np.ndarray:
    channel = {'r': 0, 'g': 1, 'b': 2}
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for position, letter in enumerate(pattern):
        row, column = divmod(position, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, channel[letter]]
    return mosaic


def yuv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split into Y, U and V of BT.601 with the limited range that cameras send."""
    r, g, b = (rgb[..., i].astype(np.float64) for i in range(3))
    y = 16 + (65.738 * r + 129.057 * g + 25.064 * b) / 256
    u = 128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256
    v = 128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256
    return tuple(np.rint(plane).astype(np.uint8) for plane in (y, u, v))


def packed(rgb: np.ndarray, order: str) -> np.ndarray:
    y, u, v = yuv(rgb)
    rows = np.empty((rgb.shape[0], rgb.shape[1] * 2), np.uint8)
    luma, chroma = (1, 0) if order == 'uyvy' else (0, 1)
    rows[:, luma::2] = y
    rows[:, chroma::4] = u[:, ::2]
    rows[:, chroma + 2::4] = v[:, ::2]
    return rows


def planar(rgb: np.ndarray, first: str) -> np.ndarray:
    y, u, v = yuv(rgb)
    chroma = np.empty((rgb.shape[0] // 2, rgb.shape[1]), np.uint8)
    pair = (u, v) if first == 'u' else (v, u)
    chroma[:, 0::2], chroma[:, 1::2] = pair[0][::2, ::2], pair[1][::2, ::2]
    return np.concatenate([y, chroma])


def rows_of(rgb: np.ndarray, encoding: str) -> np.ndarray:
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    makers = {
        'rgb8': lambda: rgb, 'bgr8': lambda: rgb[..., ::-1],
        'rgba8': lambda: np.concatenate([rgb, alpha], 2),
        'bgra8': lambda: np.concatenate([rgb[..., ::-1], alpha], 2),
        'mono8': lambda: grey, 'mono16': lambda: (grey.astype('<u2') * 257).view(np.uint8),
        'yuv422': lambda: packed(rgb, 'uyvy'), 'uyvy': lambda: packed(rgb, 'uyvy'),
        'yuv422_yuy2': lambda: packed(rgb, 'yuyv'), 'yuyv': lambda: packed(rgb, 'yuyv'),
        'nv12': lambda: planar(rgb, 'u'), 'nv21': lambda: planar(rgb, 'v')}
    if encoding.startswith('bayer'):
        return bayer(rgb, encoding[6:10])
    rows = makers[encoding]()
    return np.ascontiguousarray(rows).reshape(rows.shape[0], -1)


def message(rgb: np.ndarray, encoding: str, padding: int = 0) -> Image:
    rows = rows_of(rgb, encoding)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=199)
    return Image(height=rgb.shape[0], width=rgb.shape[1], encoding=encoding,
                 step=padded.shape[1], data=array.array('B', padded.tobytes()))


def test_the_contracts_encodings_are_the_accepted_ones():
    assert tuple(BYTES_PER_PIXEL) == CONTRACT_ENCODINGS


@pytest.mark.parametrize('padding', [0, 6], ids=['tight', 'padded'])
@pytest.mark.parametrize('encoding', COLOUR_ENCODINGS)
@pytest.mark.parametrize('rgb', [RED, BLUE], ids=['red', 'blue'])
def test_a_colour_stays_itself_through_every_encoding(encoding, rgb, padding):
    pixels = image_from_msg(message(uniform(rgb), encoding, padding))
    assert pixels.shape == (8, 12, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize('encoding', CONTRACT_ENCODINGS)
def test_the_picture_is_not_sheared_or_flipped(encoding):
    picture = np.zeros((16, 24, 3), np.uint8)
    picture[4:8, 12:20] = 255
    for padding in (0, 10):
        pixels = image_from_msg(message(picture, encoding, padding))
        assert pixels[5:7, 14:18].min() >= 250
        assert pixels[10:].max() <= 5 and pixels[:, :8].max() <= 5


@pytest.mark.parametrize('encoding', ['mono8', 'mono16'])
def test_grey_pictures_become_equal_channels(encoding):
    pixels = image_from_msg(message(uniform((90, 90, 90)), encoding, padding=2))
    assert (pixels == 90).all()


def test_mono16_is_scaled_by_its_white_value():
    grey = np.array([[0, 2048, 4095, 60000]], '<u2')
    msg = Image(height=1, width=4, encoding='mono16', step=8,
                data=array.array('B', grey.tobytes()))
    assert image_from_msg(msg, 4095)[0, :, 0].tolist() == [0, 128, 255, 255]
    assert image_from_msg(msg)[0, :, 0].tolist() == [0, 8, 16, 233]


def test_big_endian_mono16_is_read_in_its_own_byte_order():
    grey = np.array([[0, 256, 65535]], '>u2')
    msg = Image(height=1, width=3, encoding='mono16', step=6, is_bigendian=1,
                data=array.array('B', grey.tobytes()))
    assert image_from_msg(msg)[0, :, 0].tolist() == [0, 1, 255]


def test_the_byte_order_of_eight_bit_pictures_does_not_matter():
    msg = message(uniform(RED), 'bgr8')
    msg.is_bigendian = 1
    assert (image_from_msg(msg) == RED).all()


@pytest.mark.parametrize('change, sentence', [
    ({'encoding': '32FC1'}, "image encoding '32FC1' is not accepted: use one of rgb8, bgr8"),
    ({'encoding': ''}, "image encoding '' is not accepted"),
    ({'width': 0}, 'image is empty: 0x8 with 288 bytes'),
    ({'height': 0}, 'image is empty: 12x0 with 288 bytes'),
    ({'data': array.array('B')}, 'image is empty: 12x8 with 0 bytes'),
    ({'data': array.array('B', bytes(287))}, 'image has 287 bytes: step 36 and height 8 in rgb8'),
    ({'data': array.array('B', bytes(289))}, 'image has 289 bytes'),
    ({'step': 35}, 'image step 35 is too small: 12 rgb8 pixels take 36 bytes'),
    ({'step': 40}, 'image has 288 bytes: step 40 and height 8 in rgb8 take 320'),
    ({'width': 2 ** 32 - 1}, 'image step 36 is too small'),
    ({'height': 2 ** 32 - 1}, 'image has 288 bytes'),
])
def test_an_inconsistent_image_is_refused_with_a_sentence(change, sentence):
    msg = message(uniform(RED), 'rgb8')
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(FrameError) as refusal:
        image_from_msg(msg)
    assert sentence in str(refusal.value)


def test_an_unknown_encoding_is_refused_with_the_whole_list():
    with pytest.raises(FrameError) as refusal:
        image_from_msg(Image(height=1, width=1, step=1, encoding='8UC1', data=b'1'))
    assert ACCEPTED in str(refusal.value)


@pytest.mark.parametrize('encoding, height, width, sentence', [
    ('yuv422', 8, 11, 'image is 11x8: yuv422 has an even width'),
    ('nv12', 7, 12, 'image is 12x7: nv12 has an even width and height')])
def test_odd_sizes_that_a_format_cannot_have_are_refused(encoding, height, width, sentence):
    rows = height * 3 // 2 if encoding == 'nv12' else height
    step = width * BYTES_PER_PIXEL[encoding]
    msg = Image(height=height, width=width, encoding=encoding, step=step,
                data=array.array('B', bytes(rows * step)))
    with pytest.raises(FrameError, match=sentence):
        image_from_msg(msg)


@settings(max_examples=300)
@given(encoding=st.sampled_from([*CONTRACT_ENCODINGS, '8UC3', 'rgb16', 'jpeg']),
       height=st.integers(0, 9), width=st.integers(0, 9), step=st.integers(0, 40),
       size=st.integers(0, 400), big=st.integers(0, 1), exact=st.booleans())
def test_any_image_is_converted_or_refused_with_a_sentence(
        encoding, height, width, step, size, big, exact):
    if exact:
        step = width * BYTES_PER_PIXEL.get(encoding, 1)
        size = step * (height * 3 // 2 if encoding in ('nv12', 'nv21') else height)
    msg = Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=big,
                data=array.array('B', bytes(size)))
    try:
        pixels = image_from_msg(msg)
    except FrameError as refusal:
        assert str(refusal)
    else:
        assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8


def compressed(picture: PIL.Image.Image, kind: str, **options) -> CompressedImage:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return CompressedImage(format=kind.lower(), data=array.array('B', stream.getvalue()))


def test_a_jpeg_payload_passes_as_it_is_even_with_an_orientation():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    msg = compressed(PIL.Image.fromarray(uniform(RED)), 'JPEG', exif=exif)
    assert payload_from_msg(msg) == bytes(msg.data)


def test_a_red_png_stays_red():
    assert (payload_from_msg(compressed(PIL.Image.fromarray(uniform(RED)), 'PNG')) == RED).all()


def test_a_grey_sixteen_bit_png_is_scaled():
    grey = PIL.Image.fromarray(np.full((4, 5), 0x80FF, np.uint16))
    pixels = payload_from_msg(compressed(grey, 'PNG'))
    assert pixels.shape == (4, 5, 3) and (pixels == 0x80).all()


def test_a_grey_sixteen_bit_png_is_scaled_by_its_white():
    grey = PIL.Image.fromarray(np.full((4, 5), 2048, np.uint16))
    assert (payload_from_msg(compressed(grey, 'PNG'), 4095) == 128).all()


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('pattern, first', [
    ('rggb', (255, 0, 0)), ('bggr', (0, 0, 255)),
    ('grbg', (0, 255, 0)), ('gbrg', (0, 255, 0))])
def test_a_bayer_pattern_in_a_compressed_image_becomes_colours(kind, pattern, first):
    mosaic = np.zeros((32, 32), np.uint8)
    mosaic[::2, ::2] = 255
    mosaic[1::2, 1::2] = 255 if pattern in ('grbg', 'gbrg') else 0
    msg = compressed(PIL.Image.fromarray(mosaic), kind)
    msg.format = f'bayer_{pattern}8; {kind.lower()} compressed '
    pixels = payload_from_msg(msg)
    assert np.abs(pixels[4:-4, 4:-4].reshape(-1, 3).mean(0) - np.array(first)).max() < 20


def test_a_jpeg_in_colour_of_a_bayer_camera_passes_as_it_is():
    msg = compressed(PIL.Image.fromarray(uniform(RED)), 'JPEG')
    msg.format = 'bayer_rggb8; jpeg compressed bgr8'
    assert payload_from_msg(msg) == bytes(msg.data)


def test_a_png_with_transparency_keeps_its_colours():
    picture = PIL.Image.fromarray(np.dstack([uniform(BLUE), np.full((8, 12), 128, np.uint8)]))
    assert (payload_from_msg(compressed(picture, 'PNG')) == BLUE).all()


def truncated_png() -> CompressedImage:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    msg = compressed(PIL.Image.fromarray(noise), 'PNG')
    msg.data = msg.data[:2000]
    return msg


@pytest.mark.parametrize('msg, sentence', [
    (CompressedImage(format='jpeg'), "compressed image ('jpeg') is empty"),
    (CompressedImage(format='jpeg', data=b'not a picture'), 'is neither JPEG nor PNG'),
    (compressed(PIL.Image.fromarray(uniform(RED)), 'BMP'), 'is neither JPEG nor PNG'),
    (truncated_png(), "compressed image ('png') cannot be decoded")])
def test_a_damaged_payload_is_refused_with_a_sentence(msg, sentence):
    with pytest.raises(FrameError) as refusal:
        payload_from_msg(msg)
    assert sentence in str(refusal.value)


@settings(max_examples=200)
@given(payload=st.binary(max_size=200),
       head=st.sampled_from([b'', b'\xff\xd8\xff\xe0', b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR']))
def test_any_payload_is_taken_or_refused_with_a_sentence(head, payload):
    try:
        payload_from_msg(CompressedImage(format='jpeg', data=head + payload))
    except FrameError as refusal:
        assert str(refusal)


def test_a_mask_survives_the_way_there_and_back():
    mask = np.random.default_rng(1).random((7, 9)) > 0.5
    msg = mask_to_msg(mask, Header(frame_id='camera'))
    assert msg.encoding == 'mono8' and set(msg.data) == {0, 255} and msg.step == 9
    assert msg.header.frame_id == 'camera'
    assert (mask_from_msg(msg) == mask).all()


def test_a_long_name_of_an_encoding_is_cut_short_in_the_refusal():
    for msg in (Image(encoding='x' * 10**6), CompressedImage(format='x' * 10**6),
                CompressedImage(format='x' * 10**6, data=list(b'junk'))):
        with pytest.raises(FrameError) as refused:
            (payload_from_msg if isinstance(msg, CompressedImage) else image_from_msg)(msg)
        assert 'xxx... (1000002 characters)' in str(refused.value)
        assert len(str(refused.value)) < 600


def test_a_mask_of_another_encoding_is_refused():
    with pytest.raises(FrameError, match='a mask has encoding mono8'):
        mask_from_msg(message(uniform(RED), 'rgb8'))


def test_a_label_image_is_mono16_in_the_machines_byte_order():
    labels = np.array([[0, 1], [65535, 258]], np.uint16)
    msg = label_image_to_msg(labels, Header())
    assert (msg.encoding, msg.height, msg.width, msg.step) == ('mono16', 2, 2, 4)
    assert np.frombuffer(msg.data, np.uint16).reshape(2, 2).tolist() == labels.tolist()


def test_pixels_survive_the_way_there_and_back():
    picture = np.random.default_rng(2).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    assert (image_from_msg(image_to_msg(picture, 'rgb8', Header())) == picture).all()
    assert (image_from_msg(image_to_msg(picture, 'bgr8', Header())) == picture[..., ::-1]).all()


@pytest.mark.parametrize(('encoding', 'order', 'value', 'metres'), [
    ('16UC1', '<', 1234, 1.234), ('16UC1', '>', 1234, 1.234), ('mono16', '<', 65535, 65.535),
    ('32FC1', '<', 1.25, 1.25), ('32FC1', '>', 1.25, 1.25)])
def test_depth_is_read_in_metres_without_row_padding(encoding, order, value, metres):
    kind = f'{order}f4' if encoding == '32FC1' else f'{order}u2'
    values = np.zeros((3, 5), kind)
    values[1, 2] = value
    rows = np.frombuffer(values.tobytes(), np.uint8).reshape(3, -1)
    rows = np.pad(rows, ((0, 0), (0, 7)), constant_values=255)
    msg = Image(encoding=encoding, height=3, width=5, step=rows.shape[1],
                is_bigendian=int(order == '>'), data=rows.tobytes())
    depth_m = depth_from_msg(msg)
    assert depth_m.dtype == np.float32 and depth_m[1, 2] == pytest.approx(metres)
    assert np.count_nonzero(depth_m) == 1


@pytest.mark.parametrize(('change', 'sentence'), [
    ({'encoding': 'rgb8'}, "'rgb8' is not accepted: use one of 16UC1, mono16, 32FC1"),
    ({'step': 9}, 'image step 9 is too small: 5 16UC1 pixels take 10 bytes'),
    ({'height': 4}, 'image has 30 bytes: step 10 and height 4 in 16UC1 take 40')])
def test_depth_that_cannot_be_read_is_refused(change, sentence):
    form = {'encoding': '16UC1', 'height': 3, 'width': 5, 'step': 10, **change}
    with pytest.raises(FrameError, match=sentence):
        depth_from_msg(Image(data=bytes(30), **form))
