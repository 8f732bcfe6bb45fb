# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Convert between messages and the core's types, by pairs of plain functions: `_from_msg`, `_to_msg`.

First stamps and headers, then pictures and masks, then prompts and results. Of pictures, cv_bridge
converts what every version of it converts rightly; padded rows, byte order and the camera formats
that the older ones lack are handled here.
"""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
import io
import sys

from builtin_interfaces.msg import Time
import cv2
from cv_bridge import CvBridge
from geometry_msgs.msg import Point
import numpy as np
import numpy.typing as npt
import PIL.Image
from sam2_tracker.core.config import MAX_PIXELS
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.frames.jpeg import refuse_many_scans, refuse_too_large
from sam2_tracker.core.prompts.validation import check_point_count, check_prompt_count
from sam2_tracker.core.text import shown
from sam2_tracker.core.types import (  # noqa: I101
    BoolArray,
    Box,
    Float32Array,
    FrameHeader,
    ObjectState,
    Prompt,
    TrackedObject,
    UInt8Array,
    UInt16Array,
)
from sam2_tracker.offline.sources.image_decoding import is_mosaic, rgb_from_grey
from sam2_tracker_msgs.msg import Prompt as PromptMsg
from sam2_tracker_msgs.msg import TrackedObject as TrackedObjectMsg
from sam2_tracker_msgs.msg import TrackedObjects as TrackedObjectsMsg
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

NS_PER_S = 1_000_000_000

BYTES_PER_PIXEL = {
    'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1, 'mono16': 2,
    'bayer_rggb8': 1, 'bayer_bggr8': 1, 'bayer_gbrg8': 1, 'bayer_grbg8': 1,
    'yuv422': 2, 'uyvy': 2, 'yuv422_yuy2': 2, 'yuyv': 2, 'nv12': 1, 'nv21': 1}

ACCEPTED = ', '.join(BYTES_PER_PIXEL)
# Drivers call millimetres mono16, too.
_DEPTH_BYTES = {'16UC1': 2, 'mono16': 2, '32FC1': 4}
_M_PER_MM = np.float32(0.001)

_PACKED_YUV = {
    'yuv422': cv2.COLOR_YUV2RGB_UYVY, 'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2, 'yuyv': cv2.COLOR_YUV2RGB_YUY2}
# The wheel of cv_bridge knows this one pattern only under a misspelt name.
_BAYER = {'bayer_grbg8': cv2.COLOR_BayerGB2RGB}
_PLANAR_YUV = {'nv12': cv2.COLOR_YUV2RGB_NV12, 'nv21': cv2.COLOR_YUV2RGB_NV21}
_BRIDGE = CvBridge()


def stamp_from_msg(stamp: Time) -> int:
    """Return a stamp in nanoseconds."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def stamp_to_msg(stamp_ns: int) -> Time:
    """Return nanoseconds as a stamp."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def header_from_msg(header: Header) -> FrameHeader:
    """
    Return an image's header.

    :raises FrameError: a stamp that is not one
    """
    if header.stamp.nanosec >= NS_PER_S:
        raise FrameError(f'image stamp has nanosec {header.stamp.nanosec}: it is below {NS_PER_S}')
    return FrameHeader(stamp_from_msg(header.stamp), header.frame_id)


def header_to_msg(header: FrameHeader) -> Header:
    """Return the header for an output: the source's own."""
    return Header(stamp=stamp_to_msg(header.stamp_ns), frame_id=header.frame_id)


def image_from_msg(msg: Image, mono16_white: int = 65535) -> UInt8Array:
    """
    Convert an image message to pixels.

    :param mono16_white: value of a mono16 pixel that becomes 255
    :returns: (height, width, 3) RGB uint8, never sharing the message's memory for long
    :raises FrameError: empty, truncated, inconsistent or of an encoding that is not accepted
    """
    rows = _rows_of(msg)
    if msg.encoding == 'mono16':
        return _mono16_to_rgb(msg, rows, mono16_white)
    if msg.encoding in _PACKED_YUV:
        _refuse_odd(msg, height_too=False)
        pairs = rows.reshape(msg.height, msg.width, 2)
        return cv2.cvtColor(pairs, _PACKED_YUV[msg.encoding])
    if msg.encoding in _PLANAR_YUV:
        _refuse_odd(msg, height_too=True)
        return cv2.cvtColor(rows, _PLANAR_YUV[msg.encoding])
    if msg.encoding in _BAYER:
        return cv2.cvtColor(rows, _BAYER[msg.encoding])
    return _BRIDGE.imgmsg_to_cv2(_plain_msg(msg, rows), 'rgb8')


def image_to_msg(pixels: UInt8Array, encoding: str, header: Header) -> Image:
    """
    Convert pixels to an image message.

    :param pixels: (height, width) or (height, width, channels) uint8
    """
    return _to_msg(pixels, encoding, header)


def payload_from_msg(msg: CompressedImage, mono16_white: int = 65535,
                     max_pixels: int = MAX_PIXELS) -> bytes | UInt8Array:
    """
    Return a JPEG payload as it is, any other picture, and a JPEG of a Bayer pattern, decoded.

    :param mono16_white: value of a pixel of a 16-bit grey PNG that becomes 255
    :param max_pixels: of the largest picture that is accepted
    :returns: the bytes of a JPEG whose header is readable, or (height, width, 3) RGB uint8
    :raises FrameError: empty, damaged, or neither JPEG nor PNG
    """
    payload = bytes(msg.data)
    if not payload:
        raise FrameError(
            f'compressed image ({shown(msg.format)}) is empty: JPEG or PNG is accepted')
    try:
        with PIL.Image.open(io.BytesIO(payload), formats=('JPEG', 'PNG')) as picture:
            is_grey = picture.mode == 'L' or picture.mode.startswith('I')
            if picture.format == 'JPEG' and not (is_grey and is_mosaic(msg.format)):
                return payload
            refuse_too_large((picture.height, picture.width), max_pixels)
            if picture.format == 'JPEG':
                refuse_many_scans(payload)
            if is_grey:
                return rgb_from_grey(np.asarray(picture), msg.format, mono16_white)
            return np.asarray(picture.convert('RGB'))
    except PIL.UnidentifiedImageError:
        raise FrameError(
            f'compressed image ({shown(msg.format)}, {len(payload)} bytes) is neither JPEG nor '
            'PNG: only these are accepted') from None
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise FrameError(f'compressed image ({shown(msg.format)}) cannot be decoded: {error}; '
                         'whole JPEG or PNG pictures are accepted') from None


def jpeg_to_msg(jpeg: bytes, header: Header) -> CompressedImage:
    """Wrap a JPEG."""
    return CompressedImage(header=header, format='jpeg', data=array.array('B', jpeg))


def mask_from_msg(msg: Image) -> BoolArray:
    """
    Convert a mono8 mask to booleans: any value but 0 belongs to the object.

    :returns: (height, width) bool
    :raises FrameError: not mono8, empty or inconsistent
    """
    if msg.encoding != 'mono8':
        raise FrameError(f'encoding {shown(msg.encoding)}: a mask has encoding mono8')
    return _rows_of(msg) != 0


def mask_to_msg(mask_hw: BoolArray, header: Header) -> Image:
    """Convert a (height, width) bool mask to mono8, 0 and 255."""
    return _to_msg(mask_hw.view(np.uint8) * np.uint8(255), 'mono8', header)


def label_image_to_msg(label_image: UInt16Array, header: Header) -> Image:
    """Convert a (height, width) uint16 label image to mono16."""
    return _to_msg(label_image, 'mono16', header)


def label_image_from_msg(msg: Image) -> UInt16Array:
    """
    Convert a mono16 label image: pixel = object id, 0 = background.

    :returns: (height, width) uint16
    :raises FrameError: not mono16, empty or inconsistent
    """
    if msg.encoding != 'mono16':
        raise FrameError(f'encoding {shown(msg.encoding)}: a label image has encoding mono16')
    return _rows_of(msg).view('>u2' if msg.is_bigendian else '<u2').astype(np.uint16, copy=False)


def depth_from_msg(msg: Image) -> Float32Array:
    """
    Convert a depth image: 16UC1 in millimetres, 32FC1 in metres.

    :returns: (height, width) float32 in metres, as measured: none is 0 or not finite
    :raises FrameError: of another encoding, empty or inconsistent
    """
    rows = _rows_of(msg, _DEPTH_BYTES)
    order = '>' if msg.is_bigendian else '<'
    if msg.encoding == '32FC1':
        return rows.view(f'{order}f4').astype(np.float32, copy=False)
    return rows.view(f'{order}u2').astype(np.float32) * _M_PER_MM


def box_from_msg(roi: RegionOfInterest) -> Float32Array | None:
    """Return left, top, right and bottom, None for the empty region."""
    if roi.width == 0 and roi.height == 0:
        return None
    return np.array([roi.x_offset, roi.y_offset, roi.x_offset + roi.width,
                     roi.y_offset + roi.height], np.float32)


def box_to_msg(box: Box | None) -> RegionOfInterest:
    """Return a tight box as a region, all 0 for None."""
    if box is None:
        return RegionOfInterest()
    return RegionOfInterest(x_offset=box.x, y_offset=box.y, width=box.width, height=box.height)


def prompts_from_msgs(msgs: Sequence[PromptMsg]) -> tuple[Prompt, ...]:
    """
    Convert a request's prompts.

    :raises PromptError: they are too many, or one is malformed
    """
    check_prompt_count(len(msgs))
    return tuple(prompt_from_msg(msg) for msg in msgs)


def prompt_from_msg(msg: PromptMsg) -> Prompt:
    """
    Convert one prompt; its values are checked where the frame is known.

    :raises PromptError: the mask's message is malformed, or there are too many points
    """
    name = f'object {msg.object_id}' if msg.object_id else 'new object'
    check_point_count(len(msg.points), name)
    points = [(point.x, point.y) for point in msg.points]
    with np.errstate(over='ignore'):
        points_xy = np.array(points, np.float64).reshape(-1, 2).astype(np.float32)
    return Prompt(
        object_id=msg.object_id,
        label=msg.label,
        points_xy=points_xy,
        point_labels=np.array(msg.point_labels, np.int32),
        box_xyxy=box_from_msg(msg.box),
        mask_hw=_mask_or_none(msg))


def prompt_to_msg(prompt: Prompt) -> PromptMsg:
    """
    Convert a prompt to its message.

    :raises PromptError: its box cannot be told in a message, see `prompt_box_to_msg`
    """
    msg = PromptMsg(
        object_id=prompt.object_id,
        label=prompt.label,
        points=[Point(x=float(x), y=float(y)) for x, y in prompt.points_xy],
        point_labels=array.array('B', [int(label) for label in prompt.point_labels]))
    if prompt.box_xyxy is not None:
        msg.box = prompt_box_to_msg(prompt.box_xyxy)
    if prompt.mask_hw is not None:
        msg.mask = mask_to_msg(prompt.mask_hw, Header())
    return msg


def prompt_box_to_msg(box_xyxy: Float32Array) -> RegionOfInterest:
    """
    Convert a prompt's box, rounded to whole pixels; what lies left of the image or above is cut.

    :param box_xyxy: left, top, right, bottom
    :raises PromptError: nothing is left of it, or right and left, or bottom and top, are swapped
    """
    x0, y0, x1, y1 = (max(0, round(float(edge))) for edge in box_xyxy)
    if x1 <= x0 or y1 <= y0:
        edges = ', '.join(f'{edge:g}' for edge in box_xyxy)
        raise PromptError(f'box ({edges}) has no pixels in the image: left, top, right and bottom '
                          'are expected, in this order')
    return RegionOfInterest(x_offset=x0, y_offset=y0, width=x1 - x0, height=y1 - y0)


def tracked_objects_from_msg(
        msg: TrackedObjectsMsg) -> tuple[FrameHeader, tuple[TrackedObject, ...]]:
    """Convert one frame's result back."""
    return (header_from_msg(msg.header),
            tuple(tracked_object_from_msg(tracked) for tracked in msg.objects))


def tracked_objects_to_msg(header: FrameHeader,
                           objects: Iterable[TrackedObject]) -> TrackedObjectsMsg:
    """Convert one frame's result."""
    return TrackedObjectsMsg(
        header=header_to_msg(header),
        objects=[tracked_object_to_msg(tracked) for tracked in objects])


def tracked_object_from_msg(msg: TrackedObjectMsg) -> TrackedObject:
    """Convert one object's result back."""
    roi = msg.box
    box = Box(roi.x_offset, roi.y_offset, roi.width, roi.height) if roi.width else None
    return TrackedObject(
        id=msg.id, label=msg.label, state=ObjectState(msg.state), score=msg.score, box=box,
        area_px=msg.area, centroid_xy=(msg.centroid.x, msg.centroid.y),
        catching_up=msg.catching_up)


def tracked_object_to_msg(tracked: TrackedObject) -> TrackedObjectMsg:
    """Convert one object's result."""
    x, y = tracked.centroid_xy
    return TrackedObjectMsg(
        id=tracked.id, label=tracked.label, state=int(tracked.state), score=float(tracked.score),
        box=box_to_msg(tracked.box), area=int(tracked.area_px),
        centroid=Point(x=float(x), y=float(y)), catching_up=tracked.catching_up)


def _mask_or_none(msg: PromptMsg) -> BoolArray | None:
    mask: Image = msg.mask
    if not mask.width and not mask.height and not len(mask.data):
        return None
    try:
        return mask_from_msg(mask)
    except FrameError as error:
        raise PromptError(f'object {msg.object_id}: mask refused: {error}') from None


def _rows_of(msg: Image, accepted: Mapping[str, int] = BYTES_PER_PIXEL) -> UInt8Array:
    """Return the picture's bytes without row padding: (rows, bytes of a row)."""
    if msg.encoding not in accepted:
        raise FrameError(f'image encoding {shown(msg.encoding)} is not accepted: use one of '
                         f'{", ".join(accepted)}')
    if not msg.width or not msg.height or not len(msg.data):
        raise FrameError(f'image is empty: {msg.width}x{msg.height} with {len(msg.data)} bytes')
    row_bytes = msg.width * accepted[msg.encoding]
    if msg.step < row_bytes:
        raise FrameError(f'image step {msg.step} is too small: {msg.width} {msg.encoding} pixels '
                         f'take {row_bytes} bytes')
    rows = msg.height * 3 // 2 if msg.encoding in _PLANAR_YUV else msg.height
    if len(msg.data) != msg.step * rows:
        raise FrameError(
            f'image has {len(msg.data)} bytes: step {msg.step} and height {msg.height} in '
            f'{msg.encoding} take {msg.step * rows}')
    padded = np.frombuffer(msg.data, np.uint8).reshape(rows, msg.step)
    return np.ascontiguousarray(padded[:, :row_bytes])


def _plain_msg(msg: Image, rows: UInt8Array) -> Image:
    # Byte order means nothing for 8 bits, and older cv_bridges fail on it with NumPy 2.
    plain = Image(encoding=msg.encoding, height=msg.height, width=msg.width, step=rows.shape[1])
    if msg.step == rows.shape[1]:
        plain.data = msg.data
    else:
        plain.data = array.array('B', rows.tobytes())
    return plain


def _mono16_to_rgb(msg: Image, rows: UInt8Array, white: int) -> UInt8Array:
    grey = rows.view('>u2' if msg.is_bigendian else '<u2')
    scaled = np.minimum(grey, white).astype(np.float32) * np.float32(255.0 / white)
    return cv2.cvtColor(np.rint(scaled).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def _refuse_odd(msg: Image, height_too: bool) -> None:
    if msg.width % 2 or (height_too and msg.height % 2):
        raise FrameError(f'image is {msg.width}x{msg.height}: {msg.encoding} has an even width'
                         + (' and height' if height_too else ''))


def _to_msg(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], encoding: str,
            header: Header) -> Image:
    contiguous = np.ascontiguousarray(pixels)
    msg = Image(
        header=header, encoding=encoding, height=pixels.shape[0], width=pixels.shape[1],
        step=contiguous.nbytes // max(1, pixels.shape[0]),
        is_bigendian=int(pixels.itemsize > 1 and sys.byteorder == 'big'))
    # The buffer protocol: a list would be checked byte by byte.
    data = array.array('B')
    data.frombytes(memoryview(contiguous.reshape(-1).view(np.uint8)))
    msg.data = data
    return msg
