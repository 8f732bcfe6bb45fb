# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
Frames are read here, in a thread of its own, so that nobody waits for a disk for ever.

Apart: thread, so that what its two ends share is seen at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
import threading
import time

from sam2_tracker.core.errors import UnansweredError
from sam2_tracker.core.frames.disk_thread import DiskThread, fulfil
from sam2_tracker.core.frames.eviction import HeldFrame
from sam2_tracker.core.frames.stored_frame import format_stamp, FrameKey

# How long whoever needs a frame waits for the disk.
READ_TIMEOUT_S = 1.5
# How long the next frame under `every` is waited for, requests being answered meanwhile.
PATIENCE_S = 30.0
# The frame in work and the one after it.
MAX_FETCHED = 2


class FrameReader:
    """
    Reads JPEGs for one thread at a time.

    :param read: reads a frame that was written; waits for the disk
    :param changed: guards what was read ahead, and is notified of it
    """

    def __init__(self, read: Callable[[HeldFrame], bytes], changed: threading.Condition) -> None:
        self._read = read
        self._changed = changed
        self._disk = DiskThread('disk reader')
        self._fetched: dict[FrameKey, Future[bytes]] = {}
        self._waits_since_s = 0.0

    def read(self, held: HeldFrame) -> bytes:
        """
        Return a frame's JPEG.

        :raises FrameError: if its file is gone or cannot be read, or the disk does not answer
        """
        with self._changed:
            future = self._fetched.pop(held.stored.key, None)
        if future is None or not future.done():
            future = self._begin(held)
        try:
            # Not waited for again with each frame while the disk does not answer at all.
            return future.result(max(0.0, READ_TIMEOUT_S - self._disk.busy_s))
        except FutureTimeoutError:
            future.cancel()
            raise UnansweredError(
                f'the frame of stamp {format_stamp(held.stored.stamp_ns)} cannot be read: the '
                'disk does not answer') from None

    def _begin(self, held: HeldFrame) -> Future[bytes]:
        future: Future[bytes] = Future()
        if not self._disk.submit(lambda: fulfil(future, lambda: self._read(held))):
            future.set_exception(UnansweredError('the buffer was closed'))
        return future

    def is_at_hand(self, held: HeldFrame) -> bool:
        """
        Return whether `read` need not wait for a frame, or would do so in vain.

        Otherwise it is being read from now on. For calls with `changed` held.
        """
        key = held.stored.key
        if key not in self._fetched:
            self._waits_since_s = time.monotonic()
            if self._disk.busy_s > PATIENCE_S:
                return True
            self._fetched[key] = self._begin(held)
            self._fetched[key].add_done_callback(self._notify)
            while len(self._fetched) > MAX_FETCHED:
                self._fetched.pop(next(iter(self._fetched))).cancel()
        waited_s = time.monotonic() - self._waits_since_s
        return self._fetched[key].done() or waited_s > PATIENCE_S

    def wait_s(self, timeout_s: float) -> float:
        """
        Return for how long to wait until `is_at_hand` is asked again, 0 or less for not at all.

        :param timeout_s: of whoever waits: a disk that works is waited for in any case
        """
        waited_s = time.monotonic() - self._waits_since_s
        return min(max(timeout_s, READ_TIMEOUT_S - waited_s), READ_TIMEOUT_S)

    def _notify(self, _: Future[bytes]) -> None:
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Read no more."""
        self._disk.end()
