# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Which frames the buffer holds: what is evicted, and when."""

from __future__ import annotations

from collections import Counter, deque, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.stored_frame import FrameKey, Session, StoredFrame
from sam2_tracker.core.types import UInt8Array

# Decoded ones: the one in work, the newest, and those of a prompt and of its preview.
MAX_PICTURES = 4


@dataclass(eq=False)
class HeldFrame:
    """
    A frame that the buffer holds.

    :param n_bytes: size of its JPEG, or room kept for it
    :param payload: its JPEG if that is in memory, None if it is on disk or will be
    :param pins: how many users need it; none of them has to know of the others
    :param waiting: True until the worker was given it or skipped it
    :param pixels_rgb: what it is as long as its JPEG is being made
    """

    stored: StoredFrame
    n_bytes: int
    payload: bytes | None = None
    pins: int = 0
    waiting: bool = True
    pixels_rgb: UInt8Array | None = None

    @property
    def on_disk(self) -> bool:
        """Return whether the JPEG is on disk, or will be."""
        return self.payload is None


class HeldFrames:
    """
    The frames held, in the order of arrival, and the rule of what is evicted when.

    Never evicted: a frame that is pinned, the one in work (the last that the worker was given),
    under `every` one that waits for the worker, and under `keep` one that is on disk.

    Of the others, the oldest first:

    - when a frame arrives: as many as it takes for its JPEG to fit into `max_bytes` on disk, or
      into `max_memory_bytes` if it has to stay in memory; if they do not suffice, the new one is
      refused (`make_room`);
    - when a frame was processed or unpinned: all that came before the newest `max_frames`
      processed ones, skipped ones included, but none under `keep` (`mark_processed`, `unpin`);
    - when more than `max_frames` wait under `latest`, as nobody processes: the oldest that waits
      (`add`);
    - when a session has ended: all of it, as soon as the worker is given a frame of the next
      session, and under `latest` also as soon as the next one begins, unless the worker is in it
      (`next`, `begin_session`).

    An unreadable frame goes at once, whatever its state (`remove`).

    Plain bookkeeping, without files or locks: a method that evicts returns the frames evicted, so
    that their files can be deleted.

    :param max_memory_bytes: as `max_bytes`, for the JPEGs that are in memory only
    :ivar skipped: how many frames were never processed, as others were given or kept instead
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy, max_memory_bytes: int) -> None:
        self._latest = policy is FramePolicy.LATEST
        self._keep = config.keep
        self._max_frames = config.max_frames
        self._max_bytes = {True: config.max_bytes, False: max_memory_bytes}
        self._frames: OrderedDict[FrameKey, HeldFrame] = OrderedDict()
        self._bytes = {True: 0, False: 0}
        self._waiting: deque[FrameKey] = deque()
        self._in_work: HeldFrame | None = None
        self._by_index: dict[int, FrameKey] = {}
        self._newest_processed: deque[FrameKey] = deque(maxlen=config.max_frames)
        self._pictures: OrderedDict[FrameKey, UInt8Array] = OrderedDict()
        self._per_session: Counter[Session] = Counter()
        self._session: Session | None = None
        self._worker_session: Session | None = None
        self.skipped = 0

    def __iter__(self) -> Iterator[HeldFrame]:
        return iter(self._frames.values())

    def __len__(self) -> int:
        return len(self._frames)

    def make_room(self, n_bytes: int, on_disk: bool) -> tuple[bool, list[HeldFrame]]:
        """Evict the oldest frames until so many bytes fit; return whether they do."""
        evicted: list[HeldFrame] = []
        limit = self._max_bytes[on_disk]
        if n_bytes > limit:
            return False, evicted
        while self._bytes[on_disk] + n_bytes > limit:
            oldest = self._oldest_that_may_go(on_disk)
            if oldest is None:
                return False, evicted
            evicted.append(self._forget(oldest))
        return True, evicted

    def has_room(self, n_bytes: int) -> bool:
        """Return whether so many bytes fit on disk with nothing evicted for them."""
        return self._bytes[True] + n_bytes <= self._max_bytes[True]

    def add(self, held: HeldFrame) -> list[HeldFrame]:
        """Take a frame in as the newest one, to be processed."""
        key = held.stored.key
        self._frames[key] = held
        self._per_session[held.stored.session] += 1
        self._bytes[held.on_disk] += held.n_bytes
        self._waiting.append(key)
        if not self._latest or len(self._waiting) <= self._max_frames:
            return []
        # Nobody processes: the stream is paused, or the model still being loaded.
        return self._evict(self._skip(self._waiting.popleft()))

    def complete(self, held: HeldFrame, n_bytes: int, payload: bytes | None) -> list[HeldFrame]:
        """
        Note what became of a frame that was added pinned, and unpin it.

        :param payload: its JPEG if that has to stay in memory
        """
        self._bytes[held.on_disk] -= held.n_bytes
        held.n_bytes, held.payload, held.pixels_rgb = n_bytes, payload, None
        self._bytes[held.on_disk] += held.n_bytes
        return self.unpin(held)

    def next(self) -> tuple[StoredFrame | None, list[HeldFrame]]:
        """
        Give the worker its next frame, None if there is none.

        Under `latest` that is the newest one, and the others are skipped; so is a frame that was
        given and never marked as processed.
        """
        if not self._waiting:
            return None, []
        while self._latest and len(self._waiting) > 1:
            self._skip(self._waiting.popleft())
        held = self._frames[self._waiting.popleft()]
        held.waiting = False
        self.skipped += self._in_work is not None and self._in_work.stored.index is None
        self._in_work = held
        if held.stored.session == self._worker_session:
            return held.stored, []
        self._worker_session = held.stored.session
        self._by_index.clear()
        return held.stored, self._evict_ended_sessions()

    def mark_processed(self, key: FrameKey, index: int) -> list[HeldFrame]:
        """
        Note that the frame in work was processed; it stays in work until the next is given.

        :raises FrameError: if another one is in work
        """
        held = self._in_work
        if held is None or held.stored.key != key or held.stored.index is not None:
            raise FrameError(f'frame {key[1]} of session {key[0]} is not the one in work')
        held.stored = replace(held.stored, index=index)
        self._by_index[index] = key
        self._newest_processed.append(key)
        return self._evict_beyond_max_frames()

    def begin_session(self, session: Session) -> list[HeldFrame]:
        """Make a session the current one: under `latest` the frames before it stop waiting."""
        self._session = session
        if self._latest:
            while self._waiting:
                self._skip(self._waiting.popleft())
        return self._evict_ended_sessions()

    def pin(self, key: FrameKey) -> HeldFrame | None:
        """Pin a frame once more, and return it; None if it is not held."""
        held = self._frames.get(key)
        if held is not None:
            held.pins += 1
        return held

    def unpin(self, held: HeldFrame) -> list[HeldFrame]:
        """Take one pin off a frame."""
        held.pins -= 1
        evicted: list[HeldFrame] = []
        if self._frames.get(held.stored.key) is held and self._has_ended(held.stored.session):
            evicted = self._evict(held)
        return evicted + self._evict_beyond_max_frames()

    def remove(self, key: FrameKey) -> list[HeldFrame]:
        """Evict a frame whatever its state, as it turned out unreadable."""
        held = self._frames.get(key)
        if held is None:
            return []
        if held is self._in_work:
            self._in_work = None
        return [self._forget(held)]

    def _may_go(self, held: HeldFrame) -> bool:
        return not (held.pins or held is self._in_work or (self._keep and held.on_disk))

    def _oldest_that_may_go(self, on_disk: bool) -> HeldFrame | None:
        if on_disk and self._keep:
            return None
        for held in self._frames.values():
            if held.waiting and not self._latest:
                return None  # All behind it wait as well: a long backlog is not searched.
            if on_disk == held.on_disk and self._may_go(held):
                return held
        return None

    def _evict_beyond_max_frames(self) -> list[HeldFrame]:
        if len(self._newest_processed) < self._max_frames or self._keep:
            return []
        oldest_wanted = self._newest_processed[0]
        older = takewhile(lambda held: held.stored.key < oldest_wanted, self._frames.values())
        return [gone for held in list(older) for gone in self._evict(held)]

    def _has_ended(self, session: Session) -> bool:
        if self._latest:
            return session not in (self._session, self._worker_session)
        return self._worker_session is not None and session.number < self._worker_session.number

    def _evict_ended_sessions(self) -> list[HeldFrame]:
        ended = [held for held in self._frames.values() if self._has_ended(held.stored.session)]
        return [gone for held in ended for gone in self._evict(held)]

    def _evict(self, held: HeldFrame) -> list[HeldFrame]:
        return [self._forget(held)] if self._may_go(held) else []

    def _forget(self, held: HeldFrame) -> HeldFrame:
        stored = held.stored
        del self._frames[stored.key]
        self._per_session -= Counter([stored.session])
        self._bytes[held.on_disk] -= held.n_bytes
        if held.waiting:
            self._waiting.remove(stored.key)
            self.skipped += self._latest
        if stored.index is not None and self._by_index.get(stored.index) == stored.key:
            del self._by_index[stored.index]
        return held

    def _skip(self, key: FrameKey) -> HeldFrame:
        held = self._frames[key]
        held.waiting = False
        self.skipped += 1
        return held

    @property
    def waiting(self) -> int:
        """Return how many frames the worker has still to be given."""
        return len(self._waiting)

    def n_bytes(self, on_disk: bool) -> int:
        """Return the bytes held on disk (kept ones of past sessions included) or in memory."""
        return self._bytes[on_disk]

    def frames(self) -> list[StoredFrame]:
        """
        Return the frames that can be looked up, oldest first.

        Those of sessions that have ended are not among them, even where they are pinned or kept.
        """
        live = {session.number for session in self._per_session if not self._has_ended(session)}
        return [held.stored for held in self._frames.values()
                if held.stored.session.number in live]

    def by_index(self, index: int) -> StoredFrame | None:
        """Return a processed frame of the session that the worker is in."""
        key = self._by_index.get(index)
        return None if key is None else self._frames[key].stored

    def picture(self, held: HeldFrame) -> UInt8Array | None:
        """Return a frame's pixels if they are in memory."""
        return self._pictures.get(held.stored.key, held.pixels_rgb)

    def keep_picture(self, key: FrameKey, picture_rgb: UInt8Array) -> None:
        """Keep a frame's pixels in memory, and those of a few others before it."""
        self._pictures[key] = picture_rgb
        while len(self._pictures) > MAX_PICTURES:
            self._pictures.popitem(last=False)

    def is_over(self, number: int) -> bool:
        """Return whether a later session has begun and no frame of this one is held."""
        return (self._session is not None and number < self._session.number
                and all(session.number != number for session in self._per_session))
