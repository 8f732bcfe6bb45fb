# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Errors in the middle of a stream: told once, and the stream goes on."""

from __future__ import annotations

from dataclasses import replace
import threading
import time

from fakes import click
import pytest
from sam2_tracker.core.config import BufferConfig
from sam2_tracker.core.errors import TrackerError, WithdrawnError
from sam2_tracker.core.log import Level
from sam2_tracker.core.types import ObjectState
from sam2_tracker.core.worker import loop
from sam2_tracker.core.worker.loop import Backoff, MAX_DEATHS
from sam2_tracker.core.worker.statistics import StageLatency
from worker_rig import answer, PATIENCE_S, running, WorkerRig


@pytest.fixture
def rig(tmp_path):
    with running(WorkerRig(tmp_path)) as started:
        yield started


def tenths(rig: WorkerRig) -> list[int]:
    return [each.frame.stamp_ns // 10**8 - 1000 for each in rig.results]


@pytest.mark.parametrize('paused', [False, True])
def test_a_worker_with_nothing_to_do_does_not_spin(rig, monkeypatch, paused):
    rig.play(1)
    answer(rig.worker.set_paused(paused))
    turns = []
    run_next = rig.worker._loop.requests.run_next
    monkeypatch.setattr(
        rig.worker._loop.requests, 'run_next', lambda: turns.append(1) or run_next()
    )
    threading.Event().wait(0.1)
    assert len(turns) < 10


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def test_an_unexpected_error_is_logged_and_the_stream_goes_on(rig):
    rig.play(1)
    answer(rig.prompt(click()))
    rig.predictor.failures.append(RuntimeError('a kernel failed\nwith details'))
    rig.send(1)
    rig.wait_until(lambda: bool(rig.lines))
    level, line = rig.lines[0]
    assert level is Level.ERROR
    assert line.startswith(
        'unexpected RuntimeError during the tracking of a frame: a kernel failed\n'
    )
    assert 'Traceback' in line
    assert rig.worker.report().fault.startswith('unexpected RuntimeError')
    rig.play(2, 2)
    assert rig.results[-1].objects[0].state is ObjectState.VISIBLE
    assert rig.worker.report().fault == ''
    assert rig.worker.report().statistics.failed == 1


def test_a_turn_that_outlasts_the_stop_is_no_fault_when_the_shared_model_is_gone(tmp_path):
    with running(WorkerRig(tmp_path)) as rig:
        rig.play(1)
        answer(rig.prompt(click()))
        rig.predictor.entered.clear()
        rig.predictor.gate.clear()
        rig.send(1)
        assert rig.predictor.entered.wait(PATIENCE_S) and not rig.worker.stop(0)
        rig.predictor.failures.append(WithdrawnError('the model was freed'))
    assert not rig.predictor.failures
    assert rig.lines == []


def test_running_out_of_gpu_memory_is_a_sentence(rig):
    rig.play(1)
    answer(rig.prompt(click()))
    rig.predictor.failures.append(OutOfMemoryError('CUDA out of memory. Tried to allocate'))
    rig.send(1)
    rig.wait_until(lambda: bool(rig.lines))
    assert rig.lines[0][1].startswith(
        'out of GPU memory during the tracking of a frame: track fewer objects'
    )


def test_repeated_failures_do_not_spin(tmp_path):
    with running(WorkerRig(tmp_path)) as rig:
        rig.play(1)
        answer(rig.prompt(click()))
        rig.predictor.failures.extend(RuntimeError('again') for _ in range(1000))
        for number in range(1, 21):
            rig.send(number)
        rig.wait_until(lambda: len(rig.lines) >= 2)
        answer(rig.worker.list_objects())
        # With no pauses in between, all frames would have failed after this one.
        threading.Event().wait(0.3)
        assert len(rig.lines) < 12


def test_a_prompt_that_fails_unexpectedly_is_refused_logged_and_the_stream_goes_on(rig):
    rig.play(1)
    prompt = rig.predictor.prompt

    def failing(*args):
        raise RuntimeError('no')

    rig.predictor.prompt = failing
    with pytest.raises(TrackerError, match=r'unexpected error.*nothing was changed'):
        answer(rig.prompt(click()))
    rig.wait_until(lambda: bool(rig.lines))
    assert 'during a request' in rig.lines[0][1]
    rig.predictor.prompt = prompt
    rig.play(1, 1)
    assert answer(rig.prompt(click())).objects[0].id == 1


def test_a_worker_outlives_any_number_of_failing_requests(rig):
    def failing(_):
        raise RuntimeError('no')

    for _ in range(1100):
        with pytest.raises(TrackerError, match='unexpected error'):
            answer(rig.worker.call(failing))
    rig.play(1)
    assert answer(rig.prompt(click())).objects[0].id == 1


def test_a_replay_that_keeps_failing_does_not_hold_up_the_stream(rig):
    rig.play(10)
    track = rig.predictor.track

    def failing(steps):
        if any(step.frame_index < 9 for step in steps):
            raise RuntimeError('no')
        return track(steps)

    rig.predictor.track = failing
    answer(rig.prompt(click(), stamp_s=100.2))
    rig.wait_until(lambda: bool(rig.lines))
    rig.play(10, 10)
    assert rig.results[-1].objects[0].state is ObjectState.UNKNOWN
    rig.predictor.track = track
    rig.play(3, 20)
    rig.wait_until_caught_up()
    assert rig.shown(1).state is ObjectState.VISIBLE


def test_an_error_while_handing_over_is_logged_and_the_stream_goes_on(rig):
    hand_over = rig.on_result
    calls = []

    def failing(result):
        calls.append(result)
        if len(calls) == 1:
            raise RuntimeError('nobody there')
        hand_over(result)

    rig.worker._steps._on_result = failing
    rig.send(0)
    rig.wait_until(lambda: bool(rig.lines))
    rig.send(1)
    rig.wait_until(lambda: len(rig.results) == 1)
    assert rig.results[0].frame.index == 1


def test_an_unreadable_frame_is_reported_and_the_stream_goes_on(rig, tmp_path):
    rig.play(1)
    answer(rig.worker.set_paused(True))
    stored = rig.send(1).stored
    rig.send(2)
    end_s = time.monotonic() + PATIENCE_S
    # What waits for the disk is taken from memory.
    while rig.buffer.statistics.memory_bytes:
        assert time.monotonic() < end_s
    for path in tmp_path.rglob(f'{stored.number:05d}.jpeg'):
        path.write_bytes(b'no picture')
    rig.buffer._held._pictures.clear()
    answer(rig.worker.set_paused(False))
    rig.wait_until(lambda: len(rig.results) == 2)
    assert tenths(rig) == [0, 2]
    assert rig.lines[0][1].startswith('a frame is lost: ')


def test_frames_that_a_replay_needs_are_not_evicted_under_it(tmp_path):
    config = BufferConfig(tmp_path, max_frames=12)
    with running(WorkerRig(tmp_path, buffer=config, look_back_frames=4)) as rig:
        rig.play(12)
        track = rig.predictor.track

        def no_replay_yet(steps):
            if len(rig.results) <= 20 and any(step.frame_index < 11 for step in steps):
                raise RuntimeError('not yet')
            return track(steps)

        rig.predictor.track = no_replay_yet
        answer(rig.prompt(click(), stamp_s=100.1))
        rig.play(10, 12)
        assert rig.buffer.by_index(2).index == 2
        rig.play(1, 22)
        rig.wait_until_caught_up()
        rig.play(14, 23)
        assert rig.shown(1).state is ObjectState.VISIBLE
        assert rig.buffer.statistics.held <= 13


def test_a_change_of_size_that_fails_is_made_up_for_with_the_next_frame(rig):
    rig.play(3)
    answer(rig.prompt(click()))
    rig.play(1, 3)
    summarise, failures = rig.predictor.summarise, [RuntimeError('no')]

    def failing(*args):
        if failures:
            raise failures.pop()
        return summarise(*args)

    rig.predictor.summarise = failing
    rig.send(4, hw=(96, 128))
    rig.wait_until(lambda: bool(rig.lines))
    before = len(rig.results)
    rig.send(5, hw=(96, 128))
    rig.wait_until(lambda: len(rig.results) > before)
    assert rig.results[-1].frame.index == 0
    assert rig.results[-1].frame.source_hw == (96, 128)
    assert rig.shown(1).state is ObjectState.VISIBLE


def test_an_error_after_a_turn_is_a_fault_and_no_end(rig, monkeypatch):
    rig.play(1)
    objects, failures = rig.worker._tracker.objects, [RuntimeError('no list')]

    def failing():
        if failures:
            raise failures.pop()
        return objects()

    monkeypatch.setattr(rig.worker._tracker, 'objects', failing)
    rig.send(1)
    rig.wait_until(lambda: bool(rig.lines))
    assert 'no list' in rig.lines[0][1]
    rig.play(1, 2)


def die(rig: WorkerRig, number: int) -> None:
    """Let the worker's thread end with the next frame."""
    said = len(rig.lines)
    rig.predictor.failures.append(SystemExit(3))
    rig.send(number)
    rig.wait_until(lambda: len(rig.lines) > said)
    rig.worker._loop._thread.join(PATIENCE_S)


def test_a_worker_that_died_says_so_and_is_started_again_with_its_objects(rig):
    rig.play(1)
    answer(rig.prompt(click(label='cup')))
    die(rig, 1)
    level, line = rig.lines[-1]
    assert level is Level.ERROR and 'Traceback' in line
    assert line.startswith('the worker died: unexpected SystemExit during the tracking of a frame')
    assert rig.worker.report().death in line
    waiting = rig.worker.list_objects()
    rig.worker.revive()
    assert rig.lines[-1] == (Level.WARN, 'the worker is started again, with its 1 object')
    assert [each.label for each in answer(waiting).objects] == ['cup']
    rig.play(2, 2)
    assert rig.results[-1].objects[0].state is ObjectState.VISIBLE
    assert rig.worker.report().death == ''


def test_a_worker_that_dies_again_and_again_is_given_up_and_answers_with_that(rig):
    rig.play(1)
    answer(rig.prompt(click()))
    for number in range(1, MAX_DEATHS + 1):
        rig.worker.revive()
        die(rig, number)
    rig.worker.revive()
    rig.worker.revive()
    assert rig.lines[-1][1].endswith('start the node anew')
    assert sum('cannot be started again' in line for _, line in rig.lines) == 1
    with pytest.raises(TrackerError, match=r'the worker died.*cannot be started again'):
        answer(rig.prompt(click()))
    assert rig.worker.stop(PATIENCE_S)
    rig.worker.start()
    rig.play(1, 20)
    assert rig.results[-1].objects[0].state is ObjectState.VISIBLE


def test_a_worker_that_is_alive_or_was_stopped_is_not_revived(tmp_path):
    rig = WorkerRig(tmp_path)
    rig.worker.revive()
    with running(rig):
        thread = rig.worker._loop._thread
        rig.worker.revive()
        assert rig.worker._loop._thread is thread
    rig.worker.revive()
    assert rig.worker._loop._thread is thread and not rig.lines


def test_a_worker_that_is_only_beginning_to_live_is_not_taken_for_a_dead_one(
        tmp_path, monkeypatch):
    rig, others = WorkerRig(tmp_path), []

    class SlowThread(threading.Thread):

        def start(self):
            if self.name == 'worker' and not others:
                other = threading.Timer(0, rig.worker.revive)
                others.append(other)
                other.start()
                other.join(0.3)
            super().start()

    monkeypatch.setattr(loop.threading, 'Thread', SlowThread)
    with running(rig):
        for other in others:
            other.join(PATIENCE_S)
        assert others and not rig.lines
        rig.play(2)


def test_a_worker_that_is_stuck_says_so_until_results_come_again(rig, monkeypatch):
    monkeypatch.setattr(loop, 'PATIENCE_S', 0.2)
    rig.play(2)
    answer(rig.prompt(click()))
    rig.play(2, 2)
    assert rig.worker.report().stall == ''
    rig.predictor.gate.clear()
    rig.send(4)
    end_s = time.monotonic() + PATIENCE_S
    while not (stall := rig.worker.report().stall):
        assert time.monotonic() < end_s
    assert stall.startswith('no result for 0 s although images come in: the worker is stuck in '
                            'the tracking of a frame')
    rig.predictor.gate.set()
    rig.wait_until(lambda: len(rig.results) == 5)
    assert rig.worker.report().stall == ''


def test_a_standstill_is_measured_by_the_time_that_a_frame_takes(rig):
    rig.play(2)
    answer(rig.prompt(click()))
    snapshot = rig.worker.report().statistics

    def stall(waiting_s: float, *frame_ms: float) -> str:
        latencies = tuple(StageLatency('frame', 9, each, each) for each in frame_ms)
        return rig.worker._loop.stall(
            replace(snapshot, waiting_s=waiting_s, latencies=latencies))

    assert not stall(2.9, 100) and stall(3.1, 100)
    assert not stall(9.9, 2000) and stall(10.1, 2000)
    # Nothing is known yet: the model may be warming up.
    assert not stall(50) and stall(61)


def test_a_pause_and_a_request_that_has_time_left_are_no_standstill(rig, monkeypatch):
    monkeypatch.setattr(loop, 'PATIENCE_S', 0.0)
    rig.play(1)
    answer(rig.worker.set_paused(True))
    rig.send(1)
    assert rig.worker.report().statistics.waiting_s > 0 and not rig.worker.report().stall
    answer(rig.worker.set_paused(False))
    rig.wait_until(lambda: len(rig.results) == 2)
    entered, go_on = threading.Event(), threading.Event()
    ticket = rig.worker.call(lambda _: entered.set() or go_on.wait(PATIENCE_S))
    assert entered.wait(PATIENCE_S)
    rig.send(2)
    assert rig.worker.report().statistics.waiting_s > 0 and not rig.worker.report().stall
    monkeypatch.setattr(rig.worker._loop, '_timeout_s', 0.0)
    assert 'stuck in a request' in rig.worker.report().stall
    go_on.set()
    answer(ticket)


def test_a_failing_try_is_repeated_less_and_less_often():
    backoff = Backoff()
    assert backoff.wait_s(100) == 0
    backoff.failed(100)
    assert backoff.wait_s(100) == pytest.approx(0.1)
    backoff.failed(101)
    assert backoff.wait_s(101) == pytest.approx(0.2)
    for _ in range(20):
        backoff.failed(200)
    assert backoff.wait_s(200) == 5
    backoff.succeeded()
    assert backoff.wait_s(200) == 0


def test_what_fails_for_hours_is_still_tried_again():
    backoff = Backoff()
    for _ in range(2000):
        backoff.failed(100)
    assert backoff.wait_s(100) == 5
