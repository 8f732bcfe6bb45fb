# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames of a video file, a folder of pictures or a webcam, in order and with their times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
import time

import cv2
import numpy as np
from sam2_tracker.core.config import MAX_PIXELS
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.plain_file import read_whole
from sam2_tracker.core.text import text_fault
from sam2_tracker.core.types import UInt8Array
from sam2_tracker.offline.sources.image_decoding import (
    jpeg_in,
    MONO16_WHITE,
    rgb_from_payload,
)
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.offline.sources.video_decoding import Converter, VideoFile

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png')
FOLDER_RATE_HZ = 30.0
# Of a picture's file: more than the largest PNG of the default size has.
_MOST_BYTES = 1 << 30
_FOURCC_MJPG = cv2.VideoWriter.fourcc(*'MJPG')


class VideoSource:
    """
    A video file, read by FFmpeg: what is damaged in it is left out and counted.

    Of several video streams the one is read that the `ffmpeg` command would take.

    :param path: the file
    :param log: told which of several streams is read, and after each reading what was damaged
    :raises FrameError: it is missing, or no video that FFmpeg can read
    """

    # What the header says is often wrong.
    frame_count: int | None = None

    def __init__(self, path: Path, log: Log = silent) -> None:
        self.path = path
        self._log = log
        self._damage = ''
        if not path.is_file():
            raise FrameError(f'{path} is not a file')
        self._file = VideoFile(path)
        self.rate_hz = self._file.rate_hz or FOLDER_RATE_HZ
        if self._file.choice:
            log(Level.INFO, f'{path}: {self._file.choice}')

    @property
    def damage(self) -> str:
        """Return what the last reading had to leave out, as a sentence; empty if nothing."""
        return self._damage

    def frames(self, first: int = 0) -> Iterator[SourceFrame]:
        """
        Read frames in order, with the container's own times.

        :param first: number of the first frame to return; those before it are skipped
        :raises FrameError: no frame can be decoded
        """
        start_ns, previous_ns = 0, None
        convert = Converter()
        try:
            for number, (picture, stamp_ns) in enumerate(self._file.pictures()):
                start_ns = stamp_ns if previous_ns is None else start_ns
                previous_ns = self._after(previous_ns, stamp_ns - start_ns)
                if number >= first:
                    yield _frame(previous_ns, convert.to_rgb(picture))
        finally:
            self._tell(self._file.damage)
        if previous_ns is None:
            raise FrameError(self._damage or f'{self.path}: no frame can be read')

    def _tell(self, damage: str) -> None:
        if damage and damage != self._damage:
            self._log(Level.WARN, damage)
        self._damage = damage

    def _after(self, previous_ns: int | None, stamp_ns: int) -> int:
        """Return the file's own time if it is later than the one before, else one by the rate."""
        if previous_ns is not None and stamp_ns <= previous_ns:
            return previous_ns + round(1e9 / self.rate_hz)
        return stamp_ns

    def close(self) -> None:
        """Let go of its files: each reading has its own."""


class FolderSource:
    """
    A folder of JPEGs and PNGs, read in natural order: 2.jpg comes before 10.jpg.

    Hidden files are passed over: a Mac leaves a `._2.jpg`, no picture, beside each `2.jpg`.

    :param rate_hz: frames a second, as pictures have no times
    :param mono16_white: value of a pixel of a 16-bit grey PNG that is white
    :param max_pixels: of the largest picture that is accepted
    :raises FrameError: it is no folder, has no pictures, or one whose name cannot be shown
    """

    # A damaged picture is refused.
    damage = ''

    def __init__(
        self,
        path: Path,
        rate_hz: float = FOLDER_RATE_HZ,
        mono16_white: int = MONO16_WHITE,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.path = path
        self._mono16_white = mono16_white
        self._max_pixels = max_pixels
        self.rate_hz = rate_hz
        if not path.is_dir():
            raise FrameError(f'{path} is not a folder')
        self.pictures = sorted(
            (file for file in path.iterdir() if is_picture(file)),
            key=natural_key,
        )
        if not self.pictures:
            raise FrameError(f'{path} has no pictures: {", ".join(PICTURE_SUFFIXES)} are read')
        for picture in self.pictures:
            fault = text_fault(picture.name)
            if fault:
                # Outputs have these names, and lists of them.
                raise FrameError(f'{path}: the name of a picture {fault}')
        self.frame_count: int | None = len(self.pictures)
        stems = {picture.stem.casefold() for picture in self.pictures}
        # Outputs are called as pictures are, without their suffixes.
        self._keeps_names = len(stems) == len(self.pictures)

    def frames(self, first: int = 0) -> Iterator[SourceFrame]:
        """
        Read frames in order.

        :param first: number of the first frame to return
        :raises FrameError: a picture is damaged; the message names its file
        """
        for number, path in enumerate(self.pictures[first:], first):
            try:
                payload = read_whole(path, _MOST_BYTES)
                image_rgb = rgb_from_payload(payload, '', self._mono16_white, self._max_pixels)
            except (FrameError, OSError) as error:
                raise FrameError(f'{path} (frame {number}): {error}') from error
            name = path.name if self._keeps_names else ''
            stamp_ns = round(number * 1e9 / self.rate_hz)
            yield SourceFrame(stamp_ns, stamp_ns, '', image_rgb, jpeg_in(payload), name)

    def close(self) -> None:
        """Let go of its files: none is held."""


class WebcamSource:
    """
    A camera of this machine, as fast as it delivers.

    :param index: the N of /dev/videoN
    :raises FrameError: it cannot be opened
    """

    frame_count: int | None = None
    # What it does not deliver nobody knows of.
    damage = ''

    def __init__(self, index: int) -> None:
        self.path = Path(f'/dev/video{index}')
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise FrameError(
                f'webcam {index} cannot be opened; is {self.path} there, and used by nobody else?'
            )
        # Uncompressed, USB cameras reach their full rate at small sizes only.
        self._capture.set(cv2.CAP_PROP_FOURCC, _FOURCC_MJPG)
        self.rate_hz = self._capture.get(cv2.CAP_PROP_FPS) or FOLDER_RATE_HZ

    def frames(self, first: int = 0) -> Iterator[SourceFrame]:
        """
        Read frames for as long as the camera delivers.

        :param first: so many frames are skipped, until exposure has settled
        :raises FrameError: the camera delivers no more
        """
        start_ns = time.monotonic_ns()
        number = 0
        while True:
            delivered, image_bgr = self._capture.read()
            if not delivered:
                raise FrameError(f'{self.path} delivers no more frames')
            if number >= first:
                yield _frame(time.monotonic_ns() - start_ns, _to_rgb(image_bgr))
            number += 1

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


def is_picture(path: Path) -> bool:
    """Return whether a file's name is a picture's."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith('.')


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that orders the numbers in a name by their value."""
    parts = re.split(r'(\d+)', path.name)
    # Other characters count as digits too, as an exponent does, and are no number.
    return [(0, int(part), '') if part.isdecimal() else (1, 0, part.lower()) for part in parts]


def _frame(stamp_ns: int, image_rgb: UInt8Array) -> SourceFrame:
    return SourceFrame(stamp_ns, stamp_ns, '', image_rgb)


def _to_rgb(image_bgr: cv2.typing.MatLike) -> UInt8Array:
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), np.uint8)
