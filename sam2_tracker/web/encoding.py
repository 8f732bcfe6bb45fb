# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What goes to a browser, in bytes.

A message is the length of its header (four bytes, little-endian), the header (JSON), and what the
header announces: a JPEG and the masks as runs. Stamps are texts: too large for a page's numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
import json
import struct

import numpy as np
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.types import TrackedObject, UInt16Array  # noqa: I101
from sam2_tracker.web.history import Made
from sam2_tracker.web.stream import Shown
from sam2_tracker.web.tracker_client import Picture

LONGEST_RUN = 65535
# Where a JPEG with an orientation in it could begin to say so.
_EXIF_WITHIN = 65536


def packed(header: Mapping[str, object], *parts: bytes) -> bytes:
    """Put a message together."""
    text = json.dumps(header, separators=(',', ':')).encode()
    return b''.join((struct.pack('<I', len(text)), text, *parts))


def objects_as_json(objects: Iterable[TrackedObject]) -> list[dict[str, object]]:
    """Return objects as the page reads them."""
    return [
        {
            'id': each.id,
            'label': each.label,
            'state': each.state.name.lower(),
            'score': round(float(each.score), 4),
            'box': [each.box.x, each.box.y, each.box.width, each.box.height] if each.box else None,
            'area': each.area_px,
            'catching_up': each.catching_up,
        }
        for each in objects
    ]


def prompts_as_json(made: Iterable[Made]) -> list[dict[str, object]]:
    """Return the prompts made as the page draws them, in pixels of the camera's picture."""
    return [
        {
            'object': each.object_id,
            'stamp': str(each.stamp_ns),
            'points': [
                [round(float(x), 2), round(float(y), 2), int(label)]
                for (x, y), label in zip(
                    each.prompt.points_xy, each.prompt.point_labels, strict=True)
            ],
            'box': None if each.prompt.box_xyxy is None else [
                round(float(edge), 2) for edge in each.prompt.box_xyxy],
        }
        for each in made
    ]


def runs_of(labels: UInt16Array) -> bytes:
    """
    Encode a label image as runs of equal pixels, row by row: id and length, two bytes each.

    :param labels: (height, width) uint16
    """
    flat = np.ascontiguousarray(labels).reshape(-1)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1))
    lengths = np.diff(np.append(starts, flat.size))
    ids = flat[starts]
    pieces = (lengths + LONGEST_RUN - 1) // LONGEST_RUN
    last = np.cumsum(pieces) - 1
    runs = np.full((int(pieces.sum()), 2), LONGEST_RUN, '<u2')
    runs[:, 0] = np.repeat(ids, pieces)
    runs[last, 1] = lengths - (pieces - 1) * LONGEST_RUN
    return runs.tobytes()


def sent_hw(hw: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return the size of a picture as it is sent."""
    if jpeg.fits(hw, max_side):
        return hw
    scale = max_side / max(hw)
    return max(1, round(hw[0] * scale)), max(1, round(hw[1] * scale))


def scaled_labels(labels: UInt16Array, hw: tuple[int, int]) -> UInt16Array:
    """Scale a label image to a size, each pixel that of its middle."""
    if labels.shape == hw:
        return labels
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(hw, labels.shape, strict=True)
    )
    return np.asarray(labels[rows[:, None], columns], np.uint16)


def with_labels(header: dict[str, object], labels: UInt16Array | None, hw: tuple[int, int],
                *before: bytes) -> bytes:
    """
    Put a message with masks together; the header is told of them.

    :param hw: size of the picture that they are drawn on, as it was sent
    """
    runs = b'' if labels is None else runs_of(scaled_labels(labels, hw))
    header['labels'] = {'bytes': len(runs), 'height': hw[0], 'width': hw[1]} if runs else None
    return packed(header, *before, runs)


def picture_as_jpeg(picture: Picture, max_side: int, quality: int) -> bytes:
    """Return a picture as the JPEG that is sent: the one that it came as, if that will do."""
    received = picture.jpeg
    # A browser would turn it as its EXIF says, which the tracker does not.
    if received and jpeg.fits(picture.hw, max_side) and b'Exif\0' not in received[:_EXIF_WITHIN]:
        return received
    return jpeg.encode(jpeg.shrink(picture.pixels(), max_side), quality)


def frame_message(shown: Shown, max_side: int, quality: int) -> bytes:
    """Encode a picture with its objects and masks."""
    picture = shown.picture
    payload = picture_as_jpeg(picture, max_side, quality)
    header: dict[str, object] = {
        'kind': 'frame',
        'stamp': str(picture.stamp_ns),
        'width': picture.hw[1],
        'height': picture.hw[0],
        'jpeg': len(payload),
        'is_result': shown.is_result,
        'objects': objects_as_json(shown.objects),
    }
    labels = shown.labels() if shown.labels is not None else None
    return with_labels(header, labels, sent_hw(picture.hw, max_side), payload)


class FrameEncoder:
    """
    Encodes what is shown once, however many look, in a thread of its own.

    :param max_side: longest side in pixels, 0 for no limit
    :param quality: of the JPEGs, 1 to 100
    """

    def __init__(self, max_side: int, quality: int) -> None:
        self.max_side = max_side
        self._quality = quality
        self._thread = ThreadPoolExecutor(1, thread_name_prefix='encode')
        self._newest: tuple[Shown, asyncio.Future[bytes]] | None = None

    async def message(self, shown: Shown) -> bytes:
        """
        Return the message for a picture.

        :raises FrameError: it cannot be decoded or encoded
        """
        if self._newest is None or self._newest[0] is not shown:
            loop = asyncio.get_running_loop()
            self._newest = shown, loop.run_in_executor(
                self._thread, frame_message, shown, self.max_side, self._quality)
        # A viewer that leaves must not take the picture from others.
        return await asyncio.shield(self._newest[1])

    def forget(self) -> None:
        """Drop the last picture, since nobody looks."""
        self._newest = None

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
