# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The buffer's bookkeeping: which frames are held, which may go, and which is next."""

from __future__ import annotations

from collections import Counter, deque, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.stored_frame import FrameKey, Session, StoredFrame
from sam2_tracker.core.types import UInt8Array


@dataclass(eq=False)
class HeldFrame:
    """
    A frame that the buffer holds.

    :param n_bytes: size of its JPEG, or room kept for it
    :param payload: its JPEG if that is in memory, None if it is on disk or will be
    :param pixels_rgb: what it is as long as its JPEG is being made
    :param waiting: True until the worker was given it or passed over it
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


class FrameLedger:
    """
    Plain bookkeeping, without files or locks, in the order of arrival.

    Methods that let frames go return them, so that their files can be deleted. Frames that wait
    under `every`, that are pinned or that the worker has in hand are never among them; nor are,
    under `keep`, frames on disk.

    :param max_memory_bytes: as `max_bytes`, for the frames that are in memory only
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy, max_memory_bytes: int) -> None:
        self._latest = policy is FramePolicy.LATEST
        self._keep = config.keep
        self._max_frames = config.max_frames
        self._max_bytes = {True: config.max_bytes, False: max_memory_bytes}
        self._frames: OrderedDict[FrameKey, HeldFrame] = OrderedDict()
        self._bytes = {True: 0, False: 0}
        self._waiting: deque[FrameKey] = deque()
        self._by_index: dict[int, FrameKey] = {}
        self._newest_processed: deque[FrameKey] = deque(maxlen=config.max_frames)
        self._per_session: Counter[Session] = Counter()
        self._in_hand: HeldFrame | None = None
        self._worker_session: Session | None = None
        self.session: Session | None = None
        self.skipped = 0

    def __iter__(self) -> Iterator[HeldFrame]:
        return iter(self._frames.values())

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def waiting(self) -> int:
        """Return how many frames the worker has still to be given."""
        return len(self._waiting)

    def n_bytes(self, on_disk: bool) -> int:
        """Return the bytes held on disk (kept ones of past sessions included) or in memory."""
        return self._bytes[on_disk]

    def is_over(self, number: int) -> bool:
        """Return whether the session of a number has ended and none of its frames is held."""
        return (self.session is not None and number < self.session.number
                and all(session.number != number for session in self._per_session))

    def by_index(self, index: int) -> StoredFrame | None:
        """Return a processed frame of the session that the worker is in."""
        key = self._by_index.get(index)
        return None if key is None else self._frames[key].stored

    def frames(self) -> list[StoredFrame]:
        """
        Return the frames that can be looked up, oldest first.

        Those of sessions that are over are not among them, even where they are pinned or kept.
        """
        live = {session.number for session in self._per_session if not self._is_stale(session)}
        return [held.stored for held in self._frames.values()
                if held.stored.session.number in live]

    def pin(self, keys: Iterable[FrameKey]) -> list[HeldFrame]:
        """Pin those of the frames that are held, and return them."""
        pinned = [self._frames[key] for key in keys if key in self._frames]
        for held in pinned:
            held.pins += 1
        return pinned

    def unpin(self, pinned: Iterable[HeldFrame]) -> list[HeldFrame]:
        """Take one pin off each of the frames."""
        gone: list[HeldFrame] = []
        for held in pinned:
            held.pins -= 1
            stored = held.stored
            if self._frames.get(stored.key) is held and self._is_stale(stored.session):
                gone += self._let_go(held)
        return gone + self._drop_beyond_max_frames()

    def begin_session(self, session: Session) -> list[HeldFrame]:
        """Make a session the current one: under `latest` the frames before it stop waiting."""
        self.session = session
        if self._latest:
            while self._waiting:
                self._pass_over(self._waiting.popleft())
        return self._drop_stale()

    def make_room(self, n_bytes: int, on_disk: bool) -> tuple[bool, list[HeldFrame]]:
        """Let the oldest frames go until so many bytes fit; return whether they do."""
        gone: list[HeldFrame] = []
        limit = self._max_bytes[on_disk]
        if n_bytes > limit:
            return False, gone
        while self._bytes[on_disk] + n_bytes > limit:
            oldest = self._oldest_that_may_go(on_disk)
            if oldest is None:
                return False, gone
            gone.append(self._forget(oldest))
        return True, gone

    def has_room(self, n_bytes: int) -> bool:
        """Return whether so many bytes fit on disk and nothing has to go for them."""
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
        return self._let_go(self._pass_over(self._waiting.popleft()))

    def complete(self, held: HeldFrame, n_bytes: int, payload: bytes | None) -> list[HeldFrame]:
        """
        Note what became of a frame that was added pinned, and unpin it.

        :param payload: its JPEG if that has to stay in memory
        """
        self._bytes[held.on_disk] -= held.n_bytes
        held.n_bytes, held.payload, held.pixels_rgb = n_bytes, payload, None
        self._bytes[held.on_disk] += held.n_bytes
        return self.unpin([held])

    def take(self) -> tuple[StoredFrame | None, list[HeldFrame]]:
        """
        Give the worker its next frame, None if there is none.

        Under `latest` that is the newest one, and the others are passed over; so is a frame that
        was given and never settled.
        """
        if not self._waiting:
            return None, []
        while self._latest and len(self._waiting) > 1:
            self._pass_over(self._waiting.popleft())
        held = self._frames[self._waiting.popleft()]
        held.waiting = False
        self.skipped += self._in_hand is not None and self._in_hand.stored.index is None
        self._in_hand = held
        if held.stored.session == self._worker_session:
            return held.stored, []
        self._worker_session = held.stored.session
        self._by_index.clear()
        return held.stored, self._drop_stale()

    def settle(self, key: FrameKey, index: int) -> list[HeldFrame]:
        """
        Note that the frame in the worker's hand was processed; it stays in hand.

        :raises FrameError: if the worker has another one in hand
        """
        held = self._in_hand
        if held is None or held.stored.key != key or held.stored.index is not None:
            raise FrameError(f'frame {key[1]} of session {key[0]} is not the one in work')
        held.stored = replace(held.stored, index=index)
        self._by_index[index] = key
        self._newest_processed.append(key)
        return self._drop_beyond_max_frames()

    def remove(self, key: FrameKey) -> list[HeldFrame]:
        """Forget a frame whatever its state, as it turned out unreadable."""
        held = self._frames.get(key)
        if held is None:
            return []
        if held is self._in_hand:
            self._in_hand = None
        return [self._forget(held)]

    def _pass_over(self, key: FrameKey) -> HeldFrame:
        held = self._frames[key]
        held.waiting = False
        self.skipped += 1
        return held

    def _may_go(self, held: HeldFrame) -> bool:
        return not (held.pins or held is self._in_hand or (self._keep and held.on_disk))

    def _oldest_that_may_go(self, on_disk: bool) -> HeldFrame | None:
        if on_disk and self._keep:
            return None
        for held in self._frames.values():
            if held.waiting and not self._latest:
                return None  # All behind it wait as well: a long backlog is not searched.
            if on_disk == held.on_disk and self._may_go(held):
                return held
        return None

    def _drop_beyond_max_frames(self) -> list[HeldFrame]:
        if len(self._newest_processed) < self._max_frames or self._keep:
            return []
        oldest_wanted = self._newest_processed[0]
        older = takewhile(lambda held: held.stored.key < oldest_wanted, self._frames.values())
        return [gone for held in list(older) for gone in self._let_go(held)]

    def _is_stale(self, session: Session) -> bool:
        if self._latest:
            return session not in (self.session, self._worker_session)
        return self._worker_session is not None and session.number < self._worker_session.number

    def _drop_stale(self) -> list[HeldFrame]:
        stale = [held for held in self._frames.values() if self._is_stale(held.stored.session)]
        return [gone for held in stale for gone in self._let_go(held)]

    def _let_go(self, held: HeldFrame) -> list[HeldFrame]:
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
