# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames of a video file, a folder of pictures or a webcam, in order and with their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re
import time
from typing import Protocol

import cv2
import numpy as np

from sam2_tracker.core import jpeg
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.stored_frame import EncodedImage, RawImage
from sam2_tracker.core.types import UInt8Array

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png')
FOLDER_RATE_HZ = 25.0
_FOURCC_MJPG = cv2.VideoWriter.fourcc(*'MJPG')


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """
    One frame of a source.

    :param number: position in the source, from 0
    :param time_ns: time since the source's first frame
    :param image: pixels, or the JPEG or PNG as it is stored
    """

    number: int
    time_ns: int
    image: RawImage | EncodedImage

    def pixels(self) -> UInt8Array:
        """
        Return (height, width, 3) uint8 RGB.

        :raises FrameError: the stored picture is damaged
        """
        if isinstance(self.image, RawImage):
            return self.image.image_rgb
        try:
            return jpeg.decode(self.image.payload)
        except FrameError as error:
            raise FrameError(f'frame {self.number}: {error}') from error


class FrameSource(Protocol):
    """Something that has frames; reading starts again with each call of `frames`."""

    @property
    def rate_hz(self) -> float:
        """Return the nominal frame rate."""

    @property
    def frame_count(self) -> int | None:
        """Return how many frames there are, None if only reading tells, or for a live source."""

    @property
    def live(self) -> bool:
        """Return whether frames come at their own pace and never end."""

    def frames(self, first: int = 0) -> Iterator[SourceFrame]:
        """
        Read frames in order.

        :param first: number of the first frame to return; those before it are skipped
        :raises FrameError: a frame is unreadable; the message names it
        """


class VideoFile:
    """A video that OpenCV can read."""

    live = False

    def __init__(self, path: Path) -> None:
        self._path = path
        capture = self._open()
        self.rate_hz = capture.get(cv2.CAP_PROP_FPS) or FOLDER_RATE_HZ
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 else None
        capture.release()

    def frames(self, first: int = 0) -> Iterator[SourceFrame]:
        """Read frames; see `FrameSource`."""
        capture = self._open()
        try:
            number, time_ns, start_ns = -1, 0, 0
            # Seeking lands on key frames in some containers: decoding from the start does not.
            while capture.grab():
                number += 1
                stamp_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
                start_ns = stamp_ns if number == 0 else start_ns
                time_ns = self._time_ns(number, time_ns, stamp_ns - start_ns)
                if number >= first:
                    yield SourceFrame(number, time_ns, RawImage(self._retrieve(capture, number)))
        finally:
            capture.release()
        if number < 0:
            raise FrameError(f'{self._path}: no frame can be read')

    def _time_ns(self, number: int, previous_ns: int, stamp_ns: int) -> int:
        """Return the file's own time where it has one, else one by the rate."""
        if number and stamp_ns <= previous_ns:
            return previous_ns + round(1e9 / self.rate_hz)
        return stamp_ns

    def _retrieve(self, capture: cv2.VideoCapture, number: int) -> UInt8Array:
        whole, image_bgr = capture.retrieve()
        if not whole:
            raise FrameError(f'{self._path}: frame {number} cannot be decoded')
        return _to_rgb(image_bgr)

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise FrameError(f'{self._path} is not a video that OpenCV can read')
        return capture


class PictureFolder:
    """A folder of JPEGs and PNGs, read in natural order: 2.jpg comes before 10.jpg."""

    live = False

    def __init__(self, path: Path, rate_hz: float = FOLDER_RATE_HZ) -> None:
        self.rate_hz = rate_hz
        self.paths = sorted(
            (file for file in path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES),
            key=natural_key,
        )
        if not self.paths:
            raise FrameError(f'{path} has no pictures: {", ".join(PICTURE_SUFFIXES)} are read')
        self.frame_count: int | None = len(self.paths)

    def frames(self, first: int = 0) -> Iterator[SourceFrame]:
        """Read frames; see `FrameSource`."""
        for number, path in enumerate(self.paths[first:], first):
            try:
                payload = path.read_bytes()
                jpeg.probe(payload)
            except (FrameError, OSError) as error:
                raise FrameError(f'{path}: {error}') from error
            yield SourceFrame(number, round(number * 1e9 / self.rate_hz), EncodedImage(payload))


class Webcam:
    """A camera of this machine, as fast as it delivers."""

    live = True
    frame_count: int | None = None

    def __init__(self, index: int) -> None:
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise FrameError(
                f'webcam {index} cannot be opened; is /dev/video{index} there, and '
                'used by nobody else?'
            )
        # Uncompressed, USB cameras reach their full rate at small sizes only.
        self._capture.set(cv2.CAP_PROP_FOURCC, _FOURCC_MJPG)
        self._index = index
        self.rate_hz = self._capture.get(cv2.CAP_PROP_FPS) or 30.0

    def frames(self, first: int = 0) -> Iterator[SourceFrame]:
        """Read frames for ever; see `FrameSource`."""
        start_ns = time.monotonic_ns()
        number = 0
        while True:
            delivered, image_bgr = self._capture.read()
            if not delivered:
                raise FrameError(f'webcam {self._index} delivers no more frames')
            image_rgb = _to_rgb(image_bgr)
            if number >= first:
                yield SourceFrame(number, time.monotonic_ns() - start_ns, RawImage(image_rgb))
            number += 1


def open_source(path: str) -> FrameSource:
    """
    Open a video file, a folder of pictures, or a webcam by its number.

    :param path: a path, or ``0``, ``1``, ... for a webcam
    :raises FrameError: there is no such thing, or it cannot be read
    """
    if re.fullmatch(r'\d+', path):
        return Webcam(int(path))
    place = Path(path).expanduser()
    if place.is_dir():
        return PictureFolder(place)
    if place.exists():
        return VideoFile(place)
    raise FrameError(
        f'{path!r} is not there: give a video file, a folder of JPEGs or PNGs, or a '
        "webcam's number"
    )


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that orders the numbers in a name by their value."""
    parts = re.split(r'(\d+)', path.name)
    return [(0, int(part), '') if part.isdigit() else (1, 0, part.lower()) for part in parts]


def _to_rgb(image_bgr: cv2.typing.MatLike) -> UInt8Array:
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), np.uint8)
