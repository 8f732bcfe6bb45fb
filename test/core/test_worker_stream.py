# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames through the worker: order, freshness, sessions, faults, numbers."""

from __future__ import annotations

import threading

from fakes import click
import pytest
from worker_rig import answer, PATIENCE_S, running, WorkerRig

from sam2_tracker.core.config import BufferConfig, FramePolicy
from sam2_tracker.core.errors import PromptError, TrackerError
from sam2_tracker.core.ids import IdAllocator
from sam2_tracker.core.log import Level
from sam2_tracker.core.types import ObjectState


@pytest.fixture
def rig(tmp_path):
    with running(WorkerRig(tmp_path)) as started:
        yield started


def tenths(rig: WorkerRig) -> list[int]:
    return [each.frame.stamp_ns // 10**8 - 1000 for each in rig.results]


def hold_back(rig: WorkerRig, first: int, count: int) -> None:
    """Send frames while the first of them is being tracked."""
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    rig.send(first)
    assert rig.predictor.entered.wait(PATIENCE_S)
    for number in range(first + 1, first + count):
        rig.send(number)
    rig.predictor.gate.set()


def test_under_every_each_frame_is_tracked_in_order(rig):
    hold_back(rig, 0, 12)
    rig.wait_until(lambda: len(rig.results) == 12)
    assert tenths(rig) == list(range(12))
    assert [each.frame.index for each in rig.results] == list(range(12))


def test_under_latest_the_newest_frame_is_taken_and_the_others_are_skipped(tmp_path):
    with running(WorkerRig(tmp_path, FramePolicy.LATEST)) as rig:
        hold_back(rig, 0, 12)
        rig.wait_until(lambda: len(rig.results) == 2)
        assert tenths(rig) == [0, 11]
        assert rig.buffer.statistics.skipped == 10


def test_every_result_carries_the_source_header_and_the_time_of_arrival(rig):
    rig.play(1)
    frame = rig.results[0].frame
    assert frame.header.frame_id == 'camera'
    assert frame.header.stamp_ns == 100_000_000_000
    assert frame.received_ns > 0


def test_a_looped_stream_gives_one_result_with_every_object_lost(rig):
    rig.play(15)
    answer(rig.prompt(click(), click(x=9)))
    rig.send(0)
    rig.wait_until(lambda: len(rig.results) == 17)
    lost, first = rig.results[15:]
    assert [each.state for each in lost.objects] == [ObjectState.LOST] * 2
    assert lost.frame.header.stamp_ns == 101_400_000_000
    assert first.objects == () and first.frame.index == 0
    assert any('went back in time' in line for _, line in rig.lines)
    assert answer(rig.prompt(click())).objects[0].id == 3


def test_a_step_back_by_less_than_a_second_drops_the_frame(rig):
    rig.play(5)
    assert rig.send(2).stored is None
    rig.play(1, 5)
    assert tenths(rig) == [0, 1, 2, 3, 4, 5]


def test_a_change_of_size_carries_the_objects_over(rig):
    rig.play(3)
    answer(rig.prompt(click()))
    rig.play(1, 3)
    rig.send(4, hw=(96, 128))
    rig.wait_until(lambda: len(rig.results) == 5)
    result = rig.results[-1]
    assert result.objects[0].state is ObjectState.VISIBLE
    assert result.masks[0].shape == (96, 128)
    assert result.frame.index == 0


def test_a_change_of_aspect_leaves_the_objects_lost_and_listed(rig):
    rig.play(3)
    answer(rig.prompt(click()))
    rig.send(3, hw=(64, 64))
    rig.send(4, hw=(64, 64))
    rig.wait_until(lambda: len(rig.results) == 5)
    assert [each.objects[0].state for each in rig.results[3:]] == [ObjectState.LOST] * 2
    answer(rig.worker.remove_object(1))


def test_after_a_change_of_size_prompts_on_past_frames_still_catch_up(rig):
    rig.play(3)
    for number in range(3, 9):
        rig.send(number, hw=(96, 128))
    rig.wait_until(lambda: len(rig.results) == 9)
    answer(rig.prompt(click(), stamp_s=100.5))
    rig.wait_until_caught_up()
    assert rig.shown(1).state is ObjectState.VISIBLE


def test_on_the_frames_of_a_new_session_known_objects_cannot_be_previewed_while_paused(rig):
    rig.play(3)
    answer(rig.prompt(click()))
    answer(rig.worker.set_paused(True))
    rig.send(3, hw=(96, 128))
    with pytest.raises(PromptError, match='before the stream began again'):
        answer(rig.prompt(click(1), preview=True))
    assert answer(rig.prompt(click(), preview=True)).label_image.shape == (96, 128)


def test_lost_and_found_are_logged(tmp_path):
    with running(WorkerRig(tmp_path, lost_after_s=0.15)) as rig:
        rig.play(1)
        answer(rig.prompt(click()))
        for number in range(1, 6):
            rig.send(number, empty=True)
        rig.send(6)
        rig.wait_until(lambda: len(rig.results) == 7)
        assert [line for _, line in rig.lines] == [
            'object 1 is lost: not seen for more than 0.15 s', 'object 1 is found again']


def test_ids_go_on_in_a_second_worker_of_the_process(tmp_path):
    ids = IdAllocator()
    for expected in (1, 2):
        with running(WorkerRig(tmp_path / str(expected), ids=ids)) as rig:
            rig.play(1)
            assert answer(rig.prompt(click())).objects[0].id == expected


def test_replays_and_a_backlog_of_live_frames_take_turns(rig):
    rig.play(12)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    rig.send(12)
    assert rig.predictor.entered.wait(PATIENCE_S)
    ticket = rig.prompt(click(), stamp_s=100)
    for number in range(13, 30):
        rig.send(number)
    rig.predictor.gate.set()
    answer(ticket)
    rig.wait_until(lambda: len(rig.results) == 30)
    behind = [each.objects[0].catching_up for each in rig.results[13:]]
    # 12 frames behind, four replayed for each live one: four frames later it has caught up.
    assert behind == [True] * 3 + [False] * 14 or behind == [True] * 4 + [False] * 13


@pytest.mark.parametrize('paused', [False, True])
def test_a_worker_with_nothing_to_do_does_not_spin(rig, monkeypatch, paused):
    rig.play(1)
    answer(rig.worker.set_paused(paused))
    turns = []
    run_next = rig.worker._loop.requests.run_next
    monkeypatch.setattr(rig.worker._loop.requests, 'run_next',
                        lambda: turns.append(1) or run_next())
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
    assert line.startswith('unexpected RuntimeError during the tracking of a frame: '
                           'a kernel failed\n')
    assert 'Traceback' in line
    assert rig.worker.report().fault.startswith('unexpected RuntimeError')
    rig.play(2, 2)
    assert rig.results[-1].objects[0].state is ObjectState.VISIBLE
    assert rig.worker.report().fault == ''
    assert rig.worker.report().statistics.failed == 1


def test_running_out_of_gpu_memory_is_a_sentence(rig):
    rig.predictor.failures.append(OutOfMemoryError('CUDA out of memory. Tried to allocate'))
    rig.send(0)
    rig.wait_until(lambda: bool(rig.lines))
    assert rig.lines[0][1].startswith('out of GPU memory during the tracking of a frame: '
                                      'track fewer objects')


def test_repeated_failures_do_not_spin(tmp_path):
    with running(WorkerRig(tmp_path)) as rig:
        rig.predictor.failures.extend(RuntimeError('again') for _ in range(1000))
        for number in range(20):
            rig.send(number)
        rig.wait_until(lambda: len(rig.lines) >= 2)
        answer(rig.worker.list_objects())
        assert len(rig.lines) < 6


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

    rig.worker._line._on_result = failing
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
    for path in tmp_path.rglob(f'{stored.number:05d}.jpeg'):
        path.write_bytes(b'no picture')
    rig.buffer._shelf._pictures.clear()
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


def test_only_what_is_wanted_is_computed(tmp_path):
    from sam2_tracker.core.types import Wanted

    rig = WorkerRig(tmp_path)
    rig.worker._line._wanted = lambda: Wanted(label_image=False, masks=False)
    with running(rig):
        rig.play(1)
        assert rig.results[0].label_image is None and rig.results[0].masks == ()


def test_the_report_has_rates_latencies_and_counts(rig):
    rig.play(10)
    answer(rig.prompt(click(), stamp_s=100.3))
    rig.wait_until_caught_up()
    rig.play(1, 10)
    report = rig.worker.report()
    assert report.objects == 1 and report.catching_up == 0 and not report.paused
    assert report.statistics.frames_in == report.statistics.frames_out == 11
    assert report.statistics.fps_in > 0 and report.statistics.fps_out > 0
    for stage in ('wait', 'decode', 'encode', 'track', 'summarise', 'hand_over', 'prompt',
                  'replay'):
        latency = report.statistics.latency(stage)
        assert latency.count > 0
        assert 0 <= latency.p50_ms <= latency.p95_ms
    assert report.state_bytes > 0
