# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages of a bag become the pixels that the live node would see."""

from __future__ import annotations

from dataclasses import dataclass, replace
import io

from bag_making import jpeg_of, picture
import cv2
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.errors import FrameError
from sam2_tracker.offline.sources.image_decoding import ACCEPTED, rgb_from_image, rgb_from_payload

RNG = np.random.default_rng(0)
BYTES = {
    'mono16': 2,
    'yuv422': 2,
    'uyvy': 2,
    'yuv422_yuy2': 2,
    'yuyv': 2,
    'rgb8': 3,
    'bgr8': 3,
    'rgba8': 4,
    'bgra8': 4,
}


@dataclass(frozen=True)
class Message:
    height: int
    width: int
    encoding: str
    step: int
    data: np.ndarray
    is_bigendian: int = 0


def noise(encoding: str, padding: int = 0) -> Message:
    height, width = 6, 8
    rows = height * 3 // 2 if encoding in ('nv12', 'nv21') else height
    step = width * BYTES.get(encoding, 1) + padding
    return Message(
        height, width, encoding, step, RNG.integers(0, 256, rows * step).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0]), ('rgba8', [0, 1, 2]), ('bgra8', [2, 1, 0])],
)
def test_channels_come_out_as_red_green_blue(encoding: str, order: list[int]):
    message = noise(encoding)
    pixels = message.data.reshape(6, 8, -1)[..., order]
    assert np.array_equal(rgb_from_image(message), pixels)


@pytest.mark.parametrize('encoding', ACCEPTED.split(', '))
def test_row_padding_changes_nothing(encoding: str):
    padded = noise(encoding, padding=6)
    tight_step = padded.step - 6
    rows = padded.data.reshape(-1, padded.step)[:, :tight_step]
    tight = replace(padded, step=tight_step, data=rows.reshape(-1).copy())
    assert rgb_from_image(padded).shape == (6, 8, 3)
    assert np.array_equal(rgb_from_image(padded), rgb_from_image(tight))


@pytest.mark.parametrize('encoding', ACCEPTED.split(', '))
def test_the_live_node_converts_to_the_same_pixels(encoding: str, needs_ros: None):
    import array

    from sam2_tracker.ros.messages import image_from_msg
    from sensor_msgs.msg import Image as RosImage

    message = noise(encoding)
    live = RosImage(
        height=6,
        width=8,
        encoding=encoding,
        step=message.step,
        data=array.array('B', message.data.tobytes()),
    )
    assert np.array_equal(rgb_from_image(message), image_from_msg(live))


def test_mono16_is_scaled_by_its_white_in_either_byte_order():
    little = Message(1, 3, 'mono16', 6, np.array([0, 500, 1000], '<u2').view(np.uint8))
    big = Message(1, 3, 'mono16', 6, np.array([0, 500, 1000], '>u2').view(np.uint8), 1)
    assert rgb_from_image(little, mono16_white=1000)[0, :, 0].tolist() == [0, 128, 255]
    assert rgb_from_image(big, mono16_white=1000)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'encoding': '16UC1'}, "'16UC1' is not accepted"),
        ({'width': 0}, 'image is empty: 0x6'),
        ({'data': np.zeros(0, np.uint8)}, 'with 0 bytes'),
        ({'step': 20}, 'step 20 is too small: 8 rgb8 pixels take 24'),
        ({'height': 7}, 'image has 144 bytes: step 24 and height 7 in rgb8 take 168'),
        ({'encoding': 'uyvy', 'width': 7, 'step': 24}, 'width 7 is odd'),
        ({'encoding': 'nv12', 'height': 5}, 'height 5 is odd'),
    ],
)
def test_an_inconsistent_image_is_refused(change: dict, reason: str):
    with pytest.raises(FrameError, match=reason):
        rgb_from_image(replace(noise('rgb8'), **change))


def test_a_jpeg_is_decoded_as_pillow_does():
    payload = jpeg_of(picture(1))
    expected = np.array(Image.open(io.BytesIO(payload)))
    assert np.array_equal(rgb_from_payload(payload), expected)


def test_a_16_bit_png_is_scaled_and_not_clipped():
    encoded = cv2.imencode('.png', np.array([[0, 0x1234, 0xFFFF]], np.uint16))[1].tobytes()
    assert rgb_from_payload(encoded)[0, :, 0].tolist() == [0, 0x12, 0xFF]


def test_a_16_bit_png_is_scaled_by_its_white():
    encoded = cv2.imencode('.png', np.array([[0, 2048, 4095, 5000]], np.uint16))[1].tobytes()
    pixels = rgb_from_payload(encoded, '16UC1; png compressed ', 4095)
    assert pixels[0, :, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
def test_a_picture_of_more_pixels_than_are_accepted_is_refused(kind: type):
    encoded = cv2.imencode('.png', np.zeros((10, 20), kind))[1].tobytes()
    assert rgb_from_payload(encoded, max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(FrameError, match='20x10 is too large: up to 199 pixels'):
        rgb_from_payload(encoded, max_pixels=199)


@pytest.mark.parametrize(
    'payload', [b'', b'not a picture', b'\x89PNG\r\n\x1a\nbroken', jpeg_of(picture(0))[:300]]
)
def test_a_damaged_payload_is_refused(payload: bytes):
    with pytest.raises(FrameError):
        rgb_from_payload(payload)
