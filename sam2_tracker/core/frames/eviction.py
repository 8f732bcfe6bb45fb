# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Which frames the buffer holds: what is evicted, and when."""

from __future__ import annotations

from collections import Counter, deque, OrderedDict
from collections.abc import Callable, Iterator
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
    :param payload: its JPEG as long as that is in memory only
    :param on_disk: False if the disk refused it: else it is there, or will be
    :param pins: how many users need it; none of them has to know of the others
    :param waiting: True until the worker was given it or skipped it
    :param pixels_rgb: what it is as long as its JPEG is being made
    :param evicted: True once it is not held any more
    """

    stored: StoredFrame
    n_bytes: int
    payload: bytes | None = None
    on_disk: bool = True
    pins: int = 0
    waiting: bool = True
    pixels_rgb: UInt8Array | None = None
    evicted: bool = False

    @property
    def is_written(self) -> bool:
        """Return whether its file is there."""
        return self.payload is None and self.pixels_rgb is None

    @property
    def memory_bytes(self) -> int:
        """Return the bytes of its JPEG in memory."""
        return 0 if self.payload is None else self.n_bytes


class HeldFrames:
    """
    The frames held, in the order of arrival, and the rule of what is evicted when.

    Never evicted: a frame that is pinned, the one in work (the last that the worker was given),
    under `every` one that waits for the worker, and under `keep` one that is on disk.

    A frame is in memory until it is on disk, or for good if the disk refuses it. What is to be on
    disk counts as if it were there already.

    Of the others, the oldest first:

    - when a frame arrives: as many as it takes for its JPEG to fit into `max_bytes` on disk, and
      of those in memory as many as it takes to fit into `max_memory_bytes`; if they do not
      suffice, the new one is refused (`make_room`). For room in memory, what was to be kept goes
      too if the disk has not taken it yet: it counts as lost;
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
    :ivar not_kept: how many frames were to be kept and never came to disk
    """

    def __init__(self, config: BufferConfig, policy: FramePolicy, max_memory_bytes: int) -> None:
        self._latest = policy is FramePolicy.LATEST
        self._keep = config.keep
        self._max_frames = config.max_frames
        self._max_bytes = config.max_bytes
        self._max_memory_bytes = max_memory_bytes
        self._frames: OrderedDict[FrameKey, HeldFrame] = OrderedDict()
        self._bytes = 0  # Those that are to be on disk, the queued ones included.
        self._queued_bytes = self._refused_bytes = 0
        self._waiting: deque[FrameKey] = deque()
        self._in_work: HeldFrame | None = None
        self._by_index: dict[int, FrameKey] = {}
        self._newest_processed: deque[FrameKey] = deque(maxlen=config.max_frames)
        self._pictures: OrderedDict[FrameKey, UInt8Array] = OrderedDict()
        self._per_session: Counter[Session] = Counter()
        self._session: Session | None = None
        self._worker_session: Session | None = None
        self._newest_jpeg: tuple[FrameKey, bytes] | None = None
        self.skipped = self.not_kept = 0

    def __iter__(self) -> Iterator[HeldFrame]:
        return iter(self._frames.values())

    def __len__(self) -> int:
        return len(self._frames)

    def make_room(self, n_bytes: int, on_disk: bool) -> tuple[bool, list[HeldFrame]]:
        """
        Evict the oldest frames until a JPEG of so many bytes fits; return whether it does.

        :param on_disk: it is to go to disk; else it stays in memory
        """
        evicted: list[HeldFrame] = []
        if n_bytes > self._max_memory_bytes or (on_disk and n_bytes > self._max_bytes):
            return False, evicted
        while on_disk and not self.has_disk_room(n_bytes):
            if self._keep or not self._evict_oldest(self._may_leave_disk, evicted):
                return False, evicted
        while self.memory_bytes + n_bytes > self._max_memory_bytes:
            if not self._evict_oldest(self._may_leave_memory, evicted):
                return False, evicted
        return True, evicted

    def has_room(self, n_bytes: int) -> bool:
        """Return whether so many bytes fit on disk, and until then in memory, as it is now."""
        return (self.has_disk_room(n_bytes)
                and self.memory_bytes + n_bytes <= self._max_memory_bytes)

    def has_disk_room(self, n_bytes: int) -> bool:
        """Return whether so many bytes fit into `max_bytes`, as it is now."""
        return self._bytes + n_bytes <= self._max_bytes

    def add(self, held: HeldFrame) -> list[HeldFrame]:
        """Take a frame in as the newest one, to be processed."""
        key = held.stored.key
        self._frames[key] = held
        self._per_session[held.stored.session] += 1
        self._count(held, 1)
        self._note_newest(held)
        self._waiting.append(key)
        if not self._latest or len(self._waiting) <= self._max_frames:
            return []
        # Nobody processes: the stream is paused, or the model still being loaded.
        return self._evict(self._skip(self._waiting.popleft()))

    def _count(self, held: HeldFrame, sign: int) -> None:
        if held.on_disk:
            self._bytes += sign * held.n_bytes
            self._queued_bytes += sign * held.memory_bytes
        else:
            self._refused_bytes += sign * held.n_bytes

    def _note_newest(self, held: HeldFrame) -> None:
        # What `latest` is about to track need not be read again.
        if self._latest and held.payload is not None:
            self._newest_jpeg = held.stored.key, held.payload

    def complete(self, held: HeldFrame, payload: bytes) -> list[HeldFrame]:
        """Take in the JPEG of a frame that was added pinned, and unpin it."""
        if not held.evicted:
            self._count(held, -1)
        held.n_bytes, held.payload, held.pixels_rgb = len(payload), payload, None
        if not held.evicted:
            self._count(held, 1)
            self._note_newest(held)
        return self.unpin(held)

    def written(self, held: HeldFrame) -> None:
        """Note that a frame is on disk, so that it need not be in memory."""
        self._queued_bytes -= held.memory_bytes
        held.payload = None

    def refused(self, held: HeldFrame) -> None:
        """Note that the disk has not taken a frame: it stays in memory."""
        self._count(held, -1)
        held.on_disk = False
        self._count(held, 1)

    def next(self) -> tuple[StoredFrame | None, list[HeldFrame]]:  # noqa: A003
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

    def _may_leave_disk(self, held: HeldFrame) -> bool:
        return held.on_disk and self._may_go(held)

    def _may_leave_memory(self, held: HeldFrame) -> bool:
        return held.payload is not None and not held.pins and held is not self._in_work

    def _evict_oldest(self, may_go: Callable[[HeldFrame], bool], evicted: list[HeldFrame]) -> bool:
        """Evict the oldest frame that may go, and note it; return whether there is one."""
        oldest = self._oldest(may_go)
        if oldest is None:
            return False
        self.not_kept += self._keep and oldest.on_disk
        evicted.append(self._forget(oldest))
        return True

    def _oldest(self, may_go: Callable[[HeldFrame], bool]) -> HeldFrame | None:
        for held in self._frames.values():
            if held.waiting and not self._latest:
                return None  # All behind it wait as well: a long backlog is not searched.
            if may_go(held):
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
        self._count(held, -1)
        held.evicted = True
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

    @property
    def disk_bytes(self) -> int:
        """Return the bytes on disk, kept ones of past sessions included."""
        return self._bytes - self._queued_bytes

    @property
    def memory_bytes(self) -> int:
        """Return the bytes in memory: those that wait for the disk, and those it refused."""
        return self._queued_bytes + self._refused_bytes

    def unwritten(self) -> list[HeldFrame]:
        """Return the frames that are to be on disk and are not yet."""
        return [held for held in self._frames.values() if held.on_disk and not held.is_written]

    def oldest_waiting(self) -> HeldFrame | None:
        """Return the frame that the worker is given next under `every`."""
        return self._frames[self._waiting[0]] if self._waiting else None

    def following(self) -> HeldFrame | None:
        """Return the frame that the worker is given next in its session under `every`."""
        oldest = self.oldest_waiting()
        return oldest if oldest and oldest.stored.session == self._worker_session else None

    def payload(self, held: HeldFrame) -> bytes | None:
        """Return a frame's JPEG if it is in memory."""
        if held.payload is None and self._newest_jpeg and self._newest_jpeg[0] == held.stored.key:
            return self._newest_jpeg[1]
        return held.payload

    def is_in_work(self, key: FrameKey) -> bool:
        """Return whether the worker was given this frame and has not processed it yet."""
        held = self._in_work
        return held is not None and held.stored.key == key and held.stored.index is None

    def frames(self) -> list[StoredFrame]:
        """
        Return the frames that can be looked up, oldest first.

        Those of sessions that have ended are not among them, even where they are pinned or kept.
        """
        live = {session.number for session in self._per_session if not self._has_ended(session)}
        return [held.stored for held in self._frames.values()
                if held.stored.session.number in live]

    @property
    def oldest_stamp_ns(self) -> int | None:
        """Return the stamp of the oldest frame of the newest session, None without a frame."""
        newest = next(reversed(self._frames.values()), None)
        if newest is None:
            return None
        return next(held.stored.stamp_ns for held in self._frames.values()
                    if held.stored.session == newest.stored.session)

    def by_index(self, index: int) -> StoredFrame | None:
        """Return a processed frame of the session that the worker is in."""
        key = self._by_index.get(index)
        return None if key is None else self._frames[key].stored

    def picture(self, held: HeldFrame) -> UInt8Array | None:
        """Return a frame's pixels if they are in memory."""
        return self._pictures.get(held.stored.key, held.pixels_rgb)

    def is_decoded(self, held: HeldFrame) -> bool:
        """Return whether the pixels of a frame's JPEG are in memory."""
        return held.stored.key in self._pictures

    def keep_picture(self, key: FrameKey, picture_rgb: UInt8Array) -> None:
        """Keep a frame's pixels in memory, and those of a few others before it."""
        self._pictures[key] = picture_rgb
        while len(self._pictures) > MAX_PICTURES:
            self._pictures.popitem(last=False)

    def is_over(self, number: int) -> bool:
        """Return whether a later session has begun and no frame of this one is held."""
        return (self._session is not None and number < self._session.number
                and all(session.number != number for session in self._per_session))
