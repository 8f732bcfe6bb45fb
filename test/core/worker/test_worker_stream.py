# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames through the worker: order, freshness, sessions, faults, numbers."""

from __future__ import annotations

import threading
import time

from fakes import click
import pytest
from sam2_tracker.core.config import FramePolicy
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.protocols import GraphCounts
from sam2_tracker.core.types import IdAllocator, ObjectState
from sam2_tracker.core.worker import loop, worker
from worker_rig import answer, PATIENCE_S, running, WorkerRig


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
    for number in (3, 4):
        rig.send(number, hw=(96, 128))
    with pytest.raises(PromptError, match='before the stream began again'):
        answer(rig.prompt(click(1), preview=True))
    result = answer(rig.prompt(click(), preview=True, with_label_image=True))
    assert result.label_image.shape == (96, 128)


def test_lost_and_found_are_logged(tmp_path):
    with running(WorkerRig(tmp_path, lost_after_s=0.15)) as rig:
        rig.play(1)
        answer(rig.prompt(click()))
        for number in range(1, 6):
            rig.send(number, empty=True)
        rig.send(6)
        rig.wait_until(lambda: len(rig.results) == 7)
        assert [line for _, line in rig.lines] == [
            'object 1 is lost: not seen for more than 0.15 s',
            'object 1 is found again',
        ]


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


@pytest.mark.parametrize('prompt_s', [0.0, 2 * loop.REQUESTS_TURN_S])
def test_the_first_frame_after_a_prompt_on_a_recent_one_has_its_object(rig, prompt_s):
    rig.play(5)
    prompt = rig.predictor.prompt

    def prompt_while_a_frame_comes(*arguments):
        rig.send(5)
        time.sleep(prompt_s)
        return prompt(*arguments)

    rig.predictor.prompt = prompt_while_a_frame_comes
    answer(rig.prompt(click(), stamp_s=100.1))
    rig.wait_until(lambda: len(rig.results) == 6)
    assert [each.catching_up for each in rig.results[5].objects] == [False]


def test_prompts_without_end_that_have_to_catch_up_do_not_hold_frames_up(rig, monkeypatch):
    monkeypatch.setattr(loop, 'REQUESTS_TURN_S', 0.0)
    rig.play(5)
    object_id = answer(rig.prompt(click(), stamp_s=100.1)).objects[0].id
    released = threading.Event()
    rig.worker.call(lambda _: released.wait(PATIENCE_S))
    tickets = [rig.prompt(click(object_id), stamp_s=100.2) for _ in range(200)]
    rig.send(5)
    rig.send(6)
    answered_before = []
    tickets[50].add_done_callback(lambda _: answered_before.append(len(rig.results)))
    released.set()
    answer(tickets[50])
    assert answered_before == [7]


def test_only_what_is_wanted_is_computed(tmp_path):
    from sam2_tracker.core.types import Wanted

    rig = WorkerRig(tmp_path)
    rig.worker._steps._wanted = lambda: Wanted(label_image=False, masks=False)
    with running(rig):
        rig.play(1)
        assert rig.results[0].label_image is None and rig.results[0].masks == ()


def test_the_report_has_rates_latencies_and_counts(rig):
    rig.play(10)
    answer(rig.prompt(click(), stamp_s=100.3))
    rig.wait_until_caught_up()
    rig.play(1, 10)
    # A frame is counted after its result was handed over, and before the next request.
    rig.listed()
    report = rig.worker.report()
    assert report.objects == 1 and report.catching_up == 0 and not report.paused
    assert report.statistics.frames_in == report.statistics.frames_out == 11
    assert report.statistics.fps_in > 0 and report.statistics.fps_out > 0
    for stage in (
        'wait',
        'decode',
        'encode',
        'track',
        'summarise',
        'hand_over',
        'prompt',
        'replay',
    ):
        latency = report.statistics.latency(stage)
        assert latency.count > 0
        assert 0 <= latency.p50_ms <= latency.p95_ms


def test_a_stream_that_ends_with_a_frame_that_was_done_at_once_is_no_stall(rig, monkeypatch):
    append = rig.buffer.append

    def slow_to_return(*given):
        before = rig.worker.statistics.results
        arrival = append(*given)
        rig.wait_until(lambda: rig.worker.statistics.results > before)
        return arrival

    monkeypatch.setattr(rig.buffer, 'append', slow_to_return)
    rig.play(3)
    assert rig.worker.report().statistics.waiting_s == 0


def test_the_report_has_the_bytes_held_within_a_second(rig):
    rig.play(1)
    assert rig.worker.report().state_bytes == 0
    answer(rig.prompt(click()))
    end_s, number = time.monotonic() + PATIENCE_S, 1
    while rig.worker.report().state_bytes == 0:
        assert time.monotonic() < end_s
        rig.play(1, number)
        number += 1


def test_the_models_work_is_recorded_only_while_no_frame_has_waited_for_long(rig, monkeypatch):
    may_record, = rig.predictor.conditions
    assert may_record(), 'nothing is at work'
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    rig.send(0)
    assert rig.predictor.entered.wait(PATIENCE_S)
    monkeypatch.setattr(worker, 'LONGEST_WAIT_S', PATIENCE_S)
    assert may_record(), 'it came just now'
    monkeypatch.setattr(worker, 'LONGEST_WAIT_S', 0.0)
    assert not may_record()
    rig.predictor.gate.set()
    rig.wait_until(lambda: len(rig.results) == 1)
    end_s = time.monotonic() + PATIENCE_S
    while not may_record():
        assert time.monotonic() < end_s, 'nothing is at work any more'


def test_what_the_model_recorded_is_in_the_report(rig):
    assert rig.worker.report().graphs is None
    rig.predictor.graph_counts = GraphCounts(1, 2, 3, 4)
    assert rig.worker.report().graphs == GraphCounts(1, 2, 3, 4)
