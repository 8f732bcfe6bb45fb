# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is evicted and when; and whatever the order of events, what must stay stays."""

from __future__ import annotations

from pathlib import Path

from camera import flush, HW, Open, payload, process, SECOND_NS, send, send_all
from hypothesis import settings, strategies
from hypothesis.stateful import invariant, precondition, rule, RuleBasedStateMachine
import pytest
from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.eviction import HeldFrame, HeldFrames
from sam2_tracker.core.frames.stored_frame import Outcome, Session, StoredFrame
from sam2_tracker.core.types import FrameHeader

LATEST, EVERY = FramePolicy.LATEST, FramePolicy.EVERY
JPEG_BYTES = len(payload())


def held(buffer: FrameBuffer) -> list[int]:
    """Return the stamps of the frames held, in tenths of a second."""
    found = []
    for tenth in range(200):
        try:
            found.append(buffer.nearest(tenth * SECOND_NS // 10, 0))
        except FrameError:
            continue
    return [stored.stamp_ns * 10 // SECOND_NS for stored in found]


def test_oldest_processed_frames_go_beyond_max_frames(open_buffer: Open, tmp_path: Path) -> None:
    buffer = open_buffer(EVERY, max_frames=2)
    send_all(buffer, [1.0, 1.1, 1.2, 1.3, 1.4])
    for index in range(4):
        process(buffer, index)
    assert held(buffer) == [12, 13, 14]
    assert sorted(file.name for file in tmp_path.rglob('*.jpeg')) == [
        '00002.jpeg', '00003.jpeg', '00004.jpeg']


def test_skipped_frames_go_with_their_processed_neighbours(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_frames=2)
    for index in range(3):
        send_all(buffer, [1 + index, 1.5 + index])
        process(buffer, index)
    assert held(buffer) == [25, 30, 35]


def test_waiting_frames_do_not_count_as_processed(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=2)
    send_all(buffer, range(1, 11))
    assert buffer.statistics.waiting == 10


def test_latest_bounds_what_waits_while_nobody_processes(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_frames=3)
    send_all(buffer, [1.0, 1.1, 1.2, 1.3, 1.4])
    assert held(buffer) == [12, 13, 14]
    assert buffer.statistics.skipped == 2


def test_max_bytes_lets_the_oldest_processed_frame_go(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_bytes=int(3.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1, 1.2])
    process(buffer, 0)
    process(buffer, 1)
    send_all(buffer, [1.3])
    assert held(buffer) == [11, 12, 13]


def test_every_refuses_a_new_frame_rather_than_lose_a_waiting_one(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_bytes=int(3.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1, 1.2])
    arrival = send(buffer, 1.3)
    assert arrival.outcome is Outcome.LOST
    assert arrival.reason.startswith('frame 1.300000000 is lost: buffer.max_bytes')
    assert '3 frames wait' in arrival.reason
    assert held(buffer) == [10, 11, 12]
    assert buffer.statistics.lost == 1


def test_latest_lets_waiting_frames_go_for_new_ones(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_bytes=int(3.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1, 1.2, 1.3])
    assert held(buffer) == [11, 12, 13]


def test_frame_larger_than_max_bytes_is_lost_and_nothing_goes_for_it(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_bytes=int(2.9 * JPEG_BYTES))
    send_all(buffer, [1.0, 1.1])
    send(buffer, 1.2, hw=(240, 320))
    assert send(buffer, 1.3, hw=(240, 320)).outcome is Outcome.LOST
    assert buffer.statistics.lost == 2
    assert buffer.statistics.held == 0  # The other size began a new session.
    send(buffer, 1.4, hw=HW)
    assert send(buffer, 1.5, hw=HW).outcome is Outcome.STORED


def test_pinned_frame_is_never_evicted(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=1)
    send_all(buffer, [1.0, 1.1, 1.2])
    pinned = process(buffer, 0)
    with buffer.pin(pinned):
        with buffer.pin(pinned):
            process(buffer, 1)
        process(buffer, 2)
        assert held(buffer) == [10, 12]
        assert buffer.pixels(pinned).shape == (*HW, 3)
    assert held(buffer) == [12]


def test_pinned_frames_do_not_drive_newer_ones_out(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=2)
    send_all(buffer, [1.0, 1.1, 1.2, 1.3])
    with buffer.pin(process(buffer, 0)), buffer.pin(process(buffer, 1)):
        process(buffer, 2)
        process(buffer, 3)
        assert held(buffer) == [10, 11, 12, 13]


def test_frame_in_work_can_still_be_pinned_after_it_was_processed(open_buffer: Open) -> None:
    buffer = open_buffer(LATEST, max_bytes=int(1.9 * JPEG_BYTES))
    send_all(buffer, [1.0])
    stored = process(buffer, 0)
    assert send(buffer, 1.1).outcome is Outcome.LOST
    with buffer.pin(stored):
        assert held(buffer) == [10]


def test_pinning_an_evicted_frame_is_refused_with_what_is_available(open_buffer: Open) -> None:
    buffer = open_buffer(EVERY, max_frames=1)
    send_all(buffer, [1.0, 1.1])
    evicted = process(buffer, 0)
    process(buffer, 1)
    for use in (buffer.pixels, lambda stored: buffer.pin(stored).__enter__()):
        with pytest.raises(FrameError, match=r'1\.000000000 is gone: .*1\.100000000 \(oldest\)'):
            use(evicted)


def test_unreadable_frame_is_thrown_out_and_counted_as_lost(open_buffer: Open,
                                                            tmp_path: Path) -> None:
    buffer = open_buffer(EVERY)
    send_all(buffer, [1.0, 1.1])
    next(tmp_path.rglob('00000.jpeg')).write_bytes(b'nonsense')
    stored = buffer.next(0)
    assert stored is not None
    with pytest.raises(FrameError, match='cannot be decoded'):
        buffer.frame(stored, 0)
    assert held(buffer) == [11]
    flush(buffer)
    assert not list(tmp_path.rglob('00000.jpeg'))
    assert buffer.statistics.lost == 1
    assert process(buffer, 0).number == 1


MAX_FRAMES = 3
MAX_BYTES = 40
MAX_MEMORY_BYTES = 20


class EveryMachine(RuleBasedStateMachine):
    """Plays camera, worker and prompts, and remembers what must not be evicted."""

    policy = FramePolicy.EVERY
    keep = False

    def __init__(self) -> None:
        super().__init__()
        config = BufferConfig(max_frames=MAX_FRAMES, max_bytes=MAX_BYTES, keep=self.keep)
        self.held = HeldFrames(config, self.policy, MAX_MEMORY_BYTES)
        self.session = Session(0, 0)
        self.held.begin_session(self.session)
        self.number = 0
        self.in_work: StoredFrame | None = None
        self.next_index = 0
        self.pinned: list[HeldFrame] = []
        self.waiting: list[tuple[int, int]] = []
        self.processed: list[tuple[int, int]] = []
        self.gone: set[tuple[int, int]] = set()

    def _gone(self, frames: list[HeldFrame]) -> None:
        for held in frames:
            key = held.stored.key
            assert key not in self.gone, 'a frame goes once'
            assert not held.pins, 'a pinned frame stays'
            assert not (self.keep and held.is_written), 'what is kept stays'
            assert self.in_work is None or key != self.in_work.key, 'the frame in work stays'
            assert self.policy is FramePolicy.LATEST or key not in self.waiting
            self.gone.add(key)
        self.waiting = [key for key in self.waiting if key not in self.gone]

    @rule(n_bytes=strategies.integers(1, 12), on_disk=strategies.booleans())
    def arrive(self, n_bytes: int, on_disk: bool) -> None:
        fits, gone = self.held.make_room(n_bytes, on_disk)
        self._gone(gone)
        if not fits:
            return
        stored = StoredFrame(self.session, self.number, self.number, FrameHeader(0, ''), (1, 1))
        self.waiting.append(stored.key)
        gone = self.held.add(HeldFrame(stored, n_bytes, b'', on_disk))
        if self.policy is FramePolicy.LATEST:
            self.waiting = self.waiting[-MAX_FRAMES:]
        self._gone(gone)
        self.number += 1

    @precondition(lambda self: self.held.unwritten())
    @rule(at=strategies.integers(0, 1000), works=strategies.booleans())
    def reach_the_disk(self, at: int, works: bool) -> None:
        unwritten = self.held.unwritten()
        if works:
            self.held.written(unwritten[at % len(unwritten)])
        else:
            self.held.refused(unwritten[at % len(unwritten)])

    @rule()
    def next(self) -> None:  # noqa: A003
        before, self.in_work = self.in_work, None
        stored, gone = self.held.next()
        if stored is None:
            assert not self.waiting
            self.in_work = before
            return
        newest = self.policy is FramePolicy.LATEST
        assert stored.key == self.waiting[-1 if newest else 0]
        self.waiting = [] if newest else self.waiting[1:]
        if before is None or before.session != stored.session:
            self.next_index = 0
        self.in_work = stored
        self._gone(gone)

    @precondition(lambda self: self.in_work is not None and self.in_work.index is None)
    @rule()
    def mark_processed(self) -> None:
        assert self.in_work is not None
        gone = self.held.mark_processed(self.in_work.key, self.next_index)
        self.in_work = self.held.by_index(self.next_index)
        assert self.in_work is not None
        self._gone(gone)
        self.processed.append(self.in_work.key)
        newest = self.processed[-MAX_FRAMES:]
        assert not [held for held in gone if held.stored.key in newest], 'the oldest go first'
        self.next_index += 1

    @rule(n_bytes=strategies.integers(1, 5))
    def arrive_and_be_processed(self, n_bytes: int) -> None:
        self.arrive(n_bytes, on_disk=True)
        self.next()
        if self.in_work is not None and self.in_work.index is None:
            self.mark_processed()

    @precondition(lambda self: len(self.held))
    @rule(at=strategies.integers(0, 1000))
    def pin(self, at: int) -> None:
        keys = [held.stored.key for held in self.held]
        pinned = self.held.pin(keys[at % len(keys)])
        assert pinned is not None
        self.pinned.append(pinned)

    @precondition(lambda self: self.pinned)
    @rule(at=strategies.integers(0, 1000))
    def unpin(self, at: int) -> None:
        held = self.pinned.pop(at % len(self.pinned))
        self._gone(self.held.unpin(held))

    @rule(timeline=strategies.integers(0, 1))
    def begin_session(self, timeline: int) -> None:
        self.session = Session(self.session.number + 1, self.session.timeline + timeline)
        self.number = 0
        if self.policy is FramePolicy.LATEST:
            self.waiting = []
        self._gone(self.held.begin_session(self.session))

    @invariant()
    def bytes_are_within_their_bounds_and_add_up(self) -> None:
        on_disk = sum(held.n_bytes for held in self.held if held.is_written)
        assert self.held.disk_bytes == on_disk <= MAX_BYTES
        to_be_on_disk = sum(held.n_bytes for held in self.held if held.on_disk)
        assert to_be_on_disk <= MAX_BYTES
        in_memory = sum(held.n_bytes for held in self.held if not held.is_written)
        assert self.held.memory_bytes == in_memory <= MAX_MEMORY_BYTES

    @invariant()
    def every_frame_is_held_or_gone(self) -> None:
        keys = [held.stored.key for held in self.held]
        assert keys == sorted(keys)
        assert not self.gone & set(keys)
        assert {held.stored.key for held in self.pinned} <= set(keys)
        assert set(self.waiting) <= set(keys)
        assert self.held.waiting == len(self.waiting)

    @invariant()
    def processed_frames_are_within_their_bound(self) -> None:
        free = [held for held in self.held
                if held.stored.index is not None and not held.pins
                and held.stored is not self.in_work]
        if not self.keep:
            assert len(free) <= MAX_FRAMES

    @invariant()
    def processed_frames_are_found_by_their_index(self) -> None:
        for stored in self.held.frames():
            of_worker = self.in_work and stored.session == self.in_work.session
            if of_worker and stored.index is not None:
                assert self.held.by_index(stored.index) == stored
        if self.in_work and self.in_work.index is None:
            assert self.held.by_index(self.next_index) is None


class LatestMachine(EveryMachine):
    policy = FramePolicy.LATEST

    @invariant()
    def waiting_frames_are_bounded_too(self) -> None:
        assert self.held.waiting <= MAX_FRAMES


class KeepMachine(EveryMachine):
    keep = True


class KeepLatestMachine(LatestMachine):
    keep = True


TestEvery = EveryMachine.TestCase
TestLatest = LatestMachine.TestCase
TestKeep = KeepMachine.TestCase
TestKeepLatest = KeepLatestMachine.TestCase
for _machine in (TestEvery, TestLatest, TestKeep, TestKeepLatest):
    _machine.settings = settings(max_examples=60, stateful_step_count=40)
del _machine
