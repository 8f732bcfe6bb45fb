# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Outputs to look at: the frames as they are, their masks, both as a video or in one sheet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
import re
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from PIL import Image
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.types import UInt8Array, Wanted
from sam2_tracker.offline.sinks.sink import Result

# Masks shrink to a few kilobytes at any level, and this one takes half the time.
_MASK_COMPRESSION = 3
_TICKS_PER_S = 90_000
# MP4 has 31 bits for the time from one frame to the next: 6.6 hours of these ticks.
_LONGEST_PAUSE_NS = 3600 * 10**9
_USUAL_RATE_HZ = 30
# With mbtree, which is the default, x264 makes other bytes of the same pictures now and then.
_X264_OPTIONS = {'crf': '20', 'preset': 'veryfast', 'x264-params': 'mbtree=0'}
# x264 makes other bytes with another number of threads, and by itself takes one a core.
_X264_THREADS = 2
TILES = 12
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1
_EXIF, _XMP = b'Exif\0\0', b'http://ns.adobe.com/xap/1.0/\0'
_ORIENTATION, _ENTRY_BYTES = 0x0112, 12
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:>|\s*=\s*["']))[2-8]""")
_SHEET_COLUMNS = 3


class FrameFolder:
    """
    Writes 00000.jpg, 00001.jpg, ..., the source's own JPEGs; PNGs where it has none.

    Pictures that have names of their own keep them. JPEGs lose the tag that says how to turn them:
    they are tracked, and labelled, as they are stored.

    :param folder: does not exist yet
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=False, masks=False)
    SUFFIXES: ClassVar[tuple[str, ...]] = ('.jpg', '.jpeg', '.png')

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def write(self, result: Result) -> None:
        """Add one frame."""
        path = self._folder / result.picture_name
        if result.payload is not None:
            path.write_bytes(without_orientation(result.payload))
        else:
            Image.fromarray(result.tracked.frame.image_rgb).save(path, compress_level=1)

    def finish(self) -> None:
        """Do nothing: every picture is whole."""

    def abort(self) -> None:
        """Do nothing: no file is open."""


def without_orientation(payload: bytes) -> bytes:
    """
    Return a JPEG that no reader turns: without EXIF's orientation, and with XMP's set to none.

    Nothing else changes, and nothing is encoded again.
    """
    content = bytearray(payload)
    at = 2
    while content[at:at + 1] == b'\xff' and at + 4 <= len(content):
        marker = content[at + 1]
        if marker == 0xFF:  # Any number of these may stand before a marker.
            at += 1
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            break
        end = at + 2 + int.from_bytes(content[at + 2:at + 4], 'big')
        segment = content[at + 4:end]
        if marker == _APP1 and segment.startswith(_EXIF):
            content[at + 4:end] = _EXIF + _without_tag(segment[len(_EXIF):])
        elif marker == _APP1 and segment.startswith(_XMP):
            content[at + 4:end] = _XMP_ORIENTATION.sub(rb'\g<1>1', segment)
        at = max(end, at + 2)
    return bytes(content)


def _without_tag(tiff: bytearray) -> bytearray:
    """Take the orientation out of a TIFF's first directory; its length stays."""
    order: Literal['big', 'little'] = 'big' if tiff[:2] == b'MM' else 'little'
    first = int.from_bytes(tiff[4:8], order) + 2
    count = int.from_bytes(tiff[first - 2:first], order)
    for at in range(first, first + count * _ENTRY_BYTES, _ENTRY_BYTES):
        if int.from_bytes(tiff[at:at + 2], order) == _ORIENTATION and at < len(tiff):
            end = first + count * _ENTRY_BYTES + 4  # Behind it lies the next directory's place.
            moved = tiff[at + _ENTRY_BYTES:end] + bytes(_ENTRY_BYTES)
            fewer = (count - 1).to_bytes(2, order)
            whole = tiff[: first - 2] + fewer + tiff[first:at] + moved + tiff[end:]
            return whole if len(whole) == len(tiff) else tiff
    return tiff


class MaskFolder:
    """
    Writes 00000.png, 00001.png, ...; 16-bit grey instead of a palette where an id is above 255.

    Masks of pictures that have names of their own are called as those.

    :param folder: does not exist yet
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=True, masks=False)
    SUFFIXES: ClassVar[tuple[str, ...]] = ('.png',)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def write(self, result: Result) -> None:
        """Add one frame."""
        # Supervision, which the palette shares a package with, takes a second to import.
        from sam2_tracker.render.palette import label_picture

        assert result.tracked.label_image is not None
        picture = label_picture(result.tracked.label_image)
        picture.save(self._folder / f'{result.name}.png', compress_level=_MASK_COMPRESSION)

    def finish(self) -> None:
        """Do nothing: every picture is whole."""

    def abort(self) -> None:
        """Do nothing: no file is open."""


class AnnotatedVideo:
    """
    H.264 in MP4 of the frames with masks drawn, each at its own time.

    Pauses of more than an hour, and clocks that are set meanwhile, are left out.

    :param path: of the .mp4
    :param rate_hz: nominal frames a second
    :param log: told of the first pause that is left out
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=False, masks=True)
    SUFFIXES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: Path, rate_hz: float, log: Log = silent) -> None:
        import av
        from sam2_tracker.render.overlay import Overlay

        self._overlay = Overlay()
        self._container = av.open(str(path), 'w', format='mp4')
        self._path = path
        self._log = log
        # A clock that was set, or a night's pause, makes a rate of nothing.
        self._rate = Fraction(rate_hz).limit_denominator(1001) or Fraction(_USUAL_RATE_HZ)
        self._period_ns = round(10**9 / self._rate)
        self._stream: Any = None
        self._newest_ns = 0
        # The stamp at which the video would have begun without the pauses that are left out.
        self._start_ns = 0
        self._newest_tick = -1
        self._is_gap_said = False

    def write(self, result: Result) -> None:
        """Add one frame."""
        picture = _even(self._overlay.draw(result.tracked))
        if self._stream is None:
            self._stream = self._begin(picture)
            self._start_ns = self._newest_ns = result.tracked.frame.stamp_ns
        self._leave_out_pause(result)
        self._encode(picture, result.tracked.frame.stamp_ns)

    def _begin(self, picture: UInt8Array) -> Any:
        stream = self._container.add_stream('libx264', rate=self._rate, options=_X264_OPTIONS)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = _X264_THREADS
        stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        return stream

    def _leave_out_pause(self, result: Result) -> None:
        stamp_ns = result.tracked.frame.stamp_ns
        pause_ns = stamp_ns - self._newest_ns
        self._newest_ns = stamp_ns
        if pause_ns <= _LONGEST_PAUSE_NS:
            self._period_ns = max(pause_ns, 0) or self._period_ns
            return
        self._start_ns += pause_ns - self._period_ns
        if not self._is_gap_said:
            self._is_gap_said = True
            self._log(
                Level.WARN,
                f'{self._path.name}: frame {result.number} comes {pause_ns / 1e9:.1f} s after the '
                f'one before; in the video {self._period_ns / 1e9:.3f} s, as after any pause of '
                f'more than {_LONGEST_PAUSE_NS // 10**9} s',
            )

    def _encode(self, picture: UInt8Array, stamp_ns: int) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(picture, format='bgr24')
        ticks = (stamp_ns - self._start_ns) * _TICKS_PER_S // 10**9
        # A player's clock cannot stand still, even where a camera's did.
        self._newest_tick = max(ticks, self._newest_tick + 1)
        frame.pts, frame.time_base = self._newest_tick, Fraction(1, _TICKS_PER_S)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the frames that the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def abort(self) -> None:
        """Close the file."""
        self._container.close()


def _even(picture: UInt8Array) -> UInt8Array:
    """Repeat the last row or column where a side is odd: colour has half the resolution."""
    height, width = picture.shape[:2]
    padded = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(padded, np.uint8)


class ContactSheet:
    """
    Frames of the whole recording in one PNG; where there are too many, every other one goes.

    :param path: of the PNG
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=False, masks=True)
    SUFFIXES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: Path) -> None:
        from sam2_tracker.render.overlay import Overlay

        self._path = path
        self._overlay = Overlay()
        self._every = 1
        self._tiles: dict[int, UInt8Array] = {}

    def write(self, result: Result) -> None:
        """Keep a frame, or not."""
        if result.number % self._every:
            return
        self._tiles[result.number] = self._overlay.draw(result.tracked)
        if len(self._tiles) > TILES:
            self._every *= 2
            self._tiles = {
                number: tile for number, tile in self._tiles.items() if number % self._every == 0
            }

    def finish(self) -> None:
        """Write the sheet."""
        from sam2_tracker.render.overlay import contact_sheet

        if not self._tiles:
            return
        captions = [f'frame {number}' for number in self._tiles]
        sheet = contact_sheet(list(self._tiles.values()), captions, _SHEET_COLUMNS)
        self._path.write_bytes(cv2.imencode('.png', sheet)[1].tobytes())

    def abort(self) -> None:
        """Forget the frames."""
        self._tiles.clear()
