# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The way of an image into the buffer: checked, sorted into its session, numbered, counted."""

from __future__ import annotations

from dataclasses import replace
import threading

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.frames.sessions import ReceivedFrame, Sorted, StreamSessions
from sam2_tracker.core.frames.stored_frame import (
    Arrival,
    EncodedImage,
    format_stamp,
    Outcome,
    RawImage,
    Session,
    StoredFrame,
)
from sam2_tracker.core.frames.writer import FrameWriter
from sam2_tracker.core.types import FrameHeader


class FrameIntake:
    """
    Takes images from any thread, one at a time.

    :ivar received: images that came in, unreadable ones included
    :ivar dropped: frames whose stamp did not go forward, or alone with their size or stamp
    :ivar lost: frames refused for lack of room
    :ivar unreadable: images refused
    :ivar sessions_begun: how many
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy, max_pixels: int,
                 writer: FrameWriter) -> None:
        self._codec = jpeg.FrameCodec(config, policy, max_pixels)
        self._writer = writer
        self._lock = threading.Lock()  # Guards all here; the buffer's may be taken under it.
        self._sessions = StreamSessions()
        self._session: Session | None = None
        self._next_number = 0
        self._trouble_told = self._closed = False
        self.received = self.dropped = self.lost = self.unreadable = self.sessions_begun = 0

    def append(self, image: RawImage | EncodedImage, header: FrameHeader, received_ns: int,
               stamp_ns: int) -> Arrival:
        """
        Take an image.

        :param stamp_ns: time for look-up
        :raises FrameError: if the image is empty, truncated or not a picture
        """
        with self._lock:
            self.received += 1
            if self._closed:
                self.dropped += 1
                return Arrival(Outcome.DROPPED,
                               f'frame {format_stamp(stamp_ns)} came after the end')
            try:
                frame = self._checked(image)
                arrival = self._take(self._sessions.sort(
                    ReceivedFrame(frame, header, stamp_ns, received_ns)))
            except FrameError:
                self.unreadable += 1
                raise
            return replace(arrival, trouble=self._new_trouble())

    def _checked(self, image: RawImage | EncodedImage) -> jpeg.FrameJpeg:
        frame = self._codec.prepare(image)
        if frame.received is not None and not self._sessions.is_familiar(frame.source_hw):
            # One wrong bit in its head gives a JPEG any size: it is true if it can be decoded.
            jpeg.decode(frame.received)
        return frame

    def _new_trouble(self) -> str:
        trouble = self._writer.trouble
        told, self._trouble_told = self._trouble_told, trouble != ''
        return '' if told else trouble

    def _take(self, result: Sorted) -> Arrival:
        self.dropped += result.dropped != ''
        if result.waits:
            return Arrival(Outcome.WAITING, also=result.dropped)
        arrival = Arrival(Outcome.DROPPED, result.dropped)
        for session, received in result.admitted:
            before, arrival = arrival, self._store(session, received)
            arrival = replace(arrival, also=before.reason,
                              new_session=before.new_session or arrival.new_session)
        return arrival

    def _store(self, session: Session, received: ReceivedFrame) -> Arrival:
        new_session = self._begin(session)
        stored = StoredFrame(session, self._next_number, received.stamp_ns, received.header,
                             received.source_hw, received.received_ns)
        self._next_number += 1  # Not given twice, whatever happens to this frame.
        full = self._writer.store(stored, received.frame)
        if not full:
            return Arrival(Outcome.STORED, '', stored, new_session)
        self._next_number -= 1  # Nobody has seen it.
        self.lost += 1
        return Arrival(Outcome.LOST, f'frame {format_stamp(stored.stamp_ns)} is lost: {full}',
                       None, new_session)

    def _begin(self, session: Session) -> bool:
        """Begin a session if it is a new one; return whether it ended another."""
        before, self._session = self._session, session
        if session == before:
            return False
        self._writer.begin_session(session)
        self._next_number = 0
        self.sessions_begun += 1
        return before is not None

    @property
    def odd_for_s(self) -> float | None:
        """Return for how long an odd image still waits for the next, None if there is none."""
        return self._sessions.odd_for_s

    def believe_odd(self) -> None:
        """Take an odd image that has waited for long enough."""
        odd_for_s = self.odd_for_s
        if odd_for_s is None or odd_for_s > 0:
            return  # Without the lock, which is held as long as a JPEG is being made.
        with self._lock:
            odd_for_s = self.odd_for_s
            if odd_for_s is not None and odd_for_s <= 0:
                self._take(self._sessions.believe())

    def count_lost(self, count: int) -> None:
        """Count frames that turned out unreadable."""
        with self._lock:
            self.lost += count

    def close(self) -> None:
        """Take no more; waits for the image that is being taken."""
        with self._lock:
            self._closed = True
