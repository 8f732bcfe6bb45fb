# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Decode a video file with FFmpeg, past whatever is damaged in it, and say what that was.

OpenCV, which is FFmpeg too, ends at the first damaged packet without a word, and returns memory
that nobody has written for interlaced pictures. Colours and times are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
import re
from typing import TYPE_CHECKING

import av
from av.container import Flags
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter
import cv2
import numpy as np
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.text import counted
from sam2_tracker.core.types import UInt8Array

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# As many pixels is it worth to `ffmpeg` that a stream is marked as the one to play.
_DEFAULT_STREAM_PX = 5_000_000
_LENGTH = re.compile(r'(\d+):(\d\d):(\d\d(?:\.\d+)?)', re.ASCII)
# Less than a frame at any usual rate.
_LENGTH_ROUNDING_S = 0.004
# No codec shows a picture later than so many that came after it.
_REORDERED = 32


class VideoFile:
    """
    A video file; of several video streams, the one that the `ffmpeg` command would take.

    :raises FrameError: FFmpeg cannot read it
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._damage = _Damage(is_fatal=False)
        with self._open() as container:
            stream = self._best(container)
            rate = stream.average_rate or stream.guessed_rate or stream.base_rate
            self._rate_hz = float(rate) if rate else None
            self._choice = _choice(container, stream)

    @property
    def rate_hz(self) -> float | None:
        """Return the mean rate, None if the container does not have it."""
        return self._rate_hz

    @property
    def choice(self) -> str:
        """Return which of several streams is read, as a sentence; empty if there is one."""
        return self._choice

    @property
    def damage(self) -> str:
        """Return what the last reading had to leave out, as a sentence; empty if nothing."""
        return self._damage.sentence(self._path)

    def pictures(self) -> Iterator[tuple[VideoFrame, int]]:
        """Yield pictures in the order of their showing, and their times in nanoseconds."""
        count = 0
        try:
            self._damage = _Damage(is_fatal=True)
            for each in self._read():
                yield each
                count += 1
        except _DamageFoundError:
            # Several threads decode ahead, and what they have decoded behind the damage would be
            # lost: one begins again.
            self._damage = _Damage(is_fatal=False)
            yield from islice(self._read(), count, None)

    def _read(self) -> Iterator[tuple[VideoFrame, int]]:
        with self._open() as container:
            # Guessed times are wrong where pictures are not stored in the order of their showing.
            container.flags &= ~Flags.gen_pts.value
            stream = self._best(container)
            # It grows while the file is read.
            listed = len(stream.index_entries)
            stream.thread_type = 'AUTO'
            if not self._damage.is_fatal:
                stream.thread_count = 1
            for packet in _packets(container, stream, self._damage):
                for picture in _decoded(stream, packet, self._damage):
                    yield picture, _time_ns(picture, stream)
            self._damage.compare(stream.frames, listed, _stated_length_s(container, stream))

    def _open(self) -> InputContainer:
        try:
            # As a file: a colon in its name is no protocol.
            return av.open(f'file:{self._path}')
        except av.FFmpegError as error:
            raise FrameError(
                f'{self._path} is not a video that FFmpeg can read: {error.strerror}'
            ) from error

    def _best(self, container: InputContainer) -> VideoStream:
        if not container.streams.video:
            raise FrameError(f'{self._path} is not a video: there are no pictures in it')
        return max(container.streams.video, key=_worth)


def _worth(stream: VideoStream) -> tuple[bool, int]:
    """Return what the best stream has most of: no cover picture, by default, the most pixels."""
    is_picture = bool(stream.disposition & Disposition.attached_pic)
    is_default = bool(stream.disposition & Disposition.default)
    return not is_picture, stream.width * stream.height + _DEFAULT_STREAM_PX * is_default


def _choice(container: InputContainer, stream: VideoStream) -> str:
    if len(container.streams.video) < 2:
        return ''
    said = [
        f'{each.index} ({each.codec_context.name} {each.width}x{each.height})'
        for each in container.streams.video
    ]
    return f'of the video streams {", ".join(said)} number {stream.index} is read'


def _stated_length_s(container: InputContainer, stream: VideoStream) -> float:
    """Return when the stream ends, by the container's own word; 0.0 if it says nothing."""
    if 'matroska' in container.format.name:
        match = _LENGTH.fullmatch(stream.metadata.get('DURATION', ''))
        if match:
            hours, minutes, seconds = match.groups()
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    elif container.format.name != 'flv':
        # Of the others it is guessed from what is there.
        return 0.0
    # Sound may go on behind the pictures.
    is_alone = len(container.streams) == 1 and bool(stream.average_rate)
    return (container.duration or 0) / av.time_base if is_alone else 0.0


class _DamageFoundError(Exception):
    """Something is damaged, and the reading was to end there."""


class _Damage:
    """
    What could not be read of a video.

    :param is_fatal: anything that is found ends the reading
    """

    def __init__(self, is_fatal: bool) -> None:
        self.is_fatal = is_fatal
        self._packets = self._bad_packets = self._left_out = 0
        self._pictures = self._bad_pictures = 0
        self._first_s: float | None = None
        self._expected = 0
        self._ended = ''
        self._extent = _Extent()
        self._cut_off_s = 0.0

    def count_packet(self, packet: Packet[VideoStream]) -> None:
        """Take note of what is to be decoded, or was left out when the video was cut."""
        self._packets += 1
        self._left_out += packet.is_discard
        self._extent.add_packet(packet)
        if packet.is_corrupt:
            self.found(packet)

    def count_picture(self, picture: VideoFrame) -> None:
        """Take note of a picture, of which parts may be made up."""
        self._pictures += 1
        self._extent.add_picture(picture)
        if picture.is_corrupt:
            self._found()
            self._bad_pictures += 1

    def found(self, packet: Packet[VideoStream] | None) -> None:
        """Take note of a packet that cannot be decoded, None if they are all in the decoder."""
        self._found()
        self._bad_packets += 1
        self._extent.forget(packet)
        ticks = None if packet is None else packet.dts if packet.pts is None else packet.pts
        if self._first_s is None and packet is not None and ticks is not None:
            self._first_s = float(ticks * packet.time_base)

    def ended(self, error: av.FFmpegError) -> None:
        """Take note that the container cannot be read on."""
        self._found()
        self._ended = error.strerror or type(error).__name__

    def compare(self, stated: int, listed: int, stated_s: float) -> None:
        """
        Take note of what is missing by the container's own word; called at the end.

        :param stated: frames by its header, 0 if that does not say it
        :param listed: entries of its index
        :param stated_s: when the stream ends, 0 if that is not said
        """
        if self._extent.is_cut_off(stated_s):
            self._cut_off_s = stated_s
        if self._cut_off_s or self._extent.undecodable:
            self._found()
        if stated:
            # An AVI's header counts repeated pictures, an MP4's those that were cut off: the
            # index does not. But an AVI that ends too early has none.
            self._expected = listed if listed >= self._packets else stated
            self._expected -= self._left_out
        is_whole = self._pictures >= self._expected
        # A decoder with several threads may keep pictures to itself behind the last damage.
        if not is_whole or self._pictures < self._packets - self._left_out:
            self._found()

    def _found(self) -> None:
        if self.is_fatal:
            raise _DamageFoundError

    def sentence(self, path: Path) -> str:
        """Return what was found; empty if nothing."""
        found = []
        if self._bad_packets:
            first = '' if self._first_s is None else f' (the first at {self._first_s:.3f} s)'
            found.append(f'{counted(self._bad_packets, "damaged packet")}{first}')
        if self._bad_pictures:
            found.append(f'{counted(self._bad_pictures, "picture")} decoded in parts only')
        if self._ended:
            found.append(f'reading ended with {self._ended!r}')
        if undecodable := self._extent.undecodable:
            found.append(f'{counted(undecodable, "frame")} before the first key frame')
        if self._cut_off_s:
            found.append(f'it ends at {self._extent.end_s:.3f} s of {self._cut_off_s:.3f} s')
        is_whole = self._pictures >= self._expected
        if is_whole and not found:
            return ''
        of = '' if is_whole else f' of the {self._expected} that it should have'
        found.append(f'{counted(self._pictures, "frame")}{of} read')
        return f'{path} is damaged: {", ".join(found)}'


class _Extent:
    """
    From when to when there are packets and pictures.

    :ivar end_s: when the last frame ends, or begins if its length is not known
    """

    def __init__(self) -> None:
        self.end_s = 0.0
        self._is_length_known = False
        # Of packets up to a little behind the first picture, as none is shown before it.
        self._early: list[int] = []
        self._first: int | None = None
        self._previous: int | None = None
        self._pictures = 0
        self._gaps_s = (float('inf'), 0.0)

    def add_packet(self, packet: Packet[VideoStream]) -> None:
        """Take the time of a packet in."""
        if packet.pts is None:
            return
        end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
        if end_s > self.end_s:
            self.end_s, self._is_length_known = end_s, bool(packet.duration)
        if not packet.is_discard and self._pictures < _REORDERED:
            self._early.append(packet.pts)

    def forget(self, packet: Packet[VideoStream] | None) -> None:
        """Leave a packet out of the count that is counted as damaged."""
        if packet is not None and packet.pts in self._early:
            self._early.remove(packet.pts)

    def add_picture(self, picture: VideoFrame) -> None:
        """Take the time of a picture in."""
        self._pictures += 1
        if picture.pts is None or picture.time_base is None:
            return
        if self._first is None:
            self._first = picture.pts
        if self._previous is not None:
            gap_s = float((picture.pts - self._previous) * picture.time_base)
            least, most = self._gaps_s
            self._gaps_s = min(least, gap_s), max(most, gap_s)
        self._previous = picture.pts

    @property
    def undecodable(self) -> int:
        """Return how many frames come before the first that could be decoded."""
        first = self._first
        return 0 if first is None else sum(ticks < first for ticks in self._early)

    def is_cut_off(self, stated_s: float) -> bool:
        """
        Return whether the end is missing.

        :param stated_s: when the stream ends by its container, 0 if that is not said
        """
        least, most = self._gaps_s
        # Then the last frame may have been as long as any other.
        is_uneven = not self._is_length_known or most > 1.5 * least
        return stated_s - self.end_s > _LENGTH_ROUNDING_S + (most if is_uneven else 0.0)


def _packets(
    container: InputContainer, stream: VideoStream, damage: _Damage
) -> Iterator[Packet[VideoStream] | None]:
    """Yield what is to be decoded, and None at the end."""
    try:
        for packet in container.demux(stream):
            # An empty one tells a decoder that it is the last.
            if packet.size:
                damage.count_packet(packet)
                yield packet
    except av.FFmpegError as error:
        damage.ended(error)
    yield None


def _decoded(
    stream: VideoStream, packet: Packet[VideoStream] | None, damage: _Damage
) -> Iterator[VideoFrame]:
    try:
        pictures = stream.decode(packet)
    except av.FFmpegError:
        damage.found(packet)
        return
    for picture in pictures:
        damage.count_picture(picture)
        yield picture


def _time_ns(picture: VideoFrame, stream: VideoStream) -> int:
    ticks = picture.dts if picture.pts is None else picture.pts
    if ticks is None or stream.time_base is None:
        return 0
    return round((ticks - (stream.start_time or 0)) * float(stream.time_base) * 1000 * 1e6)


class Converter:
    """Makes RGB of pictures, upright: phones write how the camera was held beside the pixels."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def to_rgb(self, picture: VideoFrame) -> UInt8Array:
        """Return (height, width, 3) uint8."""
        # Of ten bits a channel, FFmpeg makes other values when it makes RGB.
        bgr = self._reformatter.reformat(
            picture, format='bgr24', interpolation=Interpolation.BICUBIC
        ).to_ndarray()
        quarters, rest = divmod(picture.rotation, 90)
        turned = np.asarray(bgr if rest else np.rot90(bgr, quarters), np.uint8)
        return np.asarray(cv2.cvtColor(turned, cv2.COLOR_BGR2RGB), np.uint8)
