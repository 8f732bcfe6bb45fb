# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Requests to the worker: what they do, when they wait, how they are refused or withdrawn."""

from __future__ import annotations

from dataclasses import replace
import threading
import time

from fakes import click
import pytest
from worker_rig import answer, PATIENCE_S, running, WorkerRig

from sam2_tracker.core.config import FramePolicy, TrackingConfig
from sam2_tracker.core.deadlines import Deadlines
from sam2_tracker.core.errors import FrameError, PromptError, TrackerError, WithdrawnError
from sam2_tracker.core.requests import Ticket
from sam2_tracker.core.types import ObjectState, Prompt


@pytest.fixture
def rig(tmp_path):
    with running(WorkerRig(tmp_path)) as started:
        yield started


def test_a_prompt_on_the_newest_frame_is_answered_and_tracked(rig):
    rig.play(3)
    result = answer(rig.prompt(click(label='cup')))
    assert result.frame.header.stamp_ns == 100_200_000_000
    assert result.objects[0].id == 1
    assert (result.label_image == 1).sum() == 16
    rig.play(1, 3)
    assert rig.results[-1].objects[0].label == 'cup'


def test_a_prompt_finds_its_frame_by_stamp_within_the_tolerance(rig):
    rig.play(8)
    result = answer(rig.prompt(click(), stamp_s=100.33))
    assert result.frame.index == 3
    rig.wait_until_caught_up()
    assert rig.shown(1).state is ObjectState.VISIBLE


def test_an_unknown_stamp_is_refused_with_the_oldest_and_newest_available(rig):
    rig.play(8)
    with pytest.raises(FrameError, match=r'50\.0+.*100\.0+ \(oldest\).*100\.7\d+ \(newest\)'):
        answer(rig.prompt(click(), stamp_s=50))
    assert rig.listed().objects == ()


def test_a_prompt_before_the_first_frame_is_refused(rig):
    with pytest.raises(FrameError, match='no frame'):
        answer(rig.prompt(click()))


def test_an_invalid_prompt_is_refused_with_its_sentence(rig):
    rig.play(1)
    with pytest.raises(PromptError, match=r'new object: point \(900, 20\) outside 64x48 frame'):
        answer(rig.prompt(click(x=900, y=20)))


def test_a_preview_answers_with_masks_and_tracks_nothing(rig):
    rig.play(2)
    result = answer(rig.prompt(click(), preview=True))
    assert result.objects[0].id == 1 and result.label_image.any()
    assert rig.listed().objects == ()
    assert answer(rig.prompt(click())).objects[0].id == 1


def test_listing_names_the_frame_that_the_states_belong_to(rig):
    assert rig.listed().header is None
    rig.play(3)
    answer(rig.prompt(click()))
    listed = rig.listed()
    assert listed.header.stamp_ns == listed.stamp_ns == 100_200_000_000
    assert [each.id for each in listed.objects] == [1]


def test_a_removed_object_is_gone(rig):
    rig.play(1)
    answer(rig.prompt(click()))
    answer(rig.worker.remove_object(1))
    assert rig.listed().objects == ()
    with pytest.raises(PromptError, match='object 1 is unknown'):
        answer(rig.worker.remove_object(1))


def test_reset_forgets_every_object_and_hands_over_an_empty_result(rig):
    rig.play(2)
    answer(rig.prompt(click()))
    before = len(rig.results)
    answer(rig.worker.reset())
    assert len(rig.results) == before + 1
    assert rig.results[-1].objects == ()
    assert rig.results[-1].frame.index == 1
    rig.play(1, 2)


def test_reset_before_the_first_frame_has_no_result_to_hand_over(rig):
    answer(rig.worker.reset())
    assert rig.results == []


def test_while_paused_frames_are_buffered_and_nothing_is_tracked(rig):
    rig.play(2)
    answer(rig.worker.set_paused(True))
    for number in range(2, 5):
        rig.send(number)
    answer(rig.prompt(click(), preview=True))
    assert len(rig.results) == 2
    assert rig.buffer.statistics.held == 5
    answer(rig.worker.set_paused(False))
    rig.wait_until(lambda: len(rig.results) == 5)


def test_while_paused_a_preview_is_answered_on_a_frame_that_was_not_tracked(rig):
    rig.play(2)
    answer(rig.prompt(click()))
    answer(rig.worker.set_paused(True))
    rig.send(2)
    result = answer(rig.prompt(click(1, x=9), click(), stamp_s=100.2, preview=True))
    assert result.frame.header.stamp_ns == 100_200_000_000
    assert [each.id for each in result.objects] == [1, 2]


def test_while_paused_before_the_first_frame_was_tracked_a_preview_is_answered(rig):
    answer(rig.worker.set_paused(True))
    rig.send(0)
    assert answer(rig.prompt(click(), preview=True)).label_image.any()


def test_while_paused_other_prompts_are_refused(rig):
    rig.play(1)
    answer(rig.worker.set_paused(True))
    with pytest.raises(PromptError, match='tracking is paused'):
        answer(rig.prompt(click()))
    with pytest.raises(PromptError, match='tracking is paused'):
        answer(rig.prompt(Prompt(1, 'cup')))


def test_while_paused_reset_removal_and_listing_work(rig):
    rig.play(1)
    answer(rig.prompt(click(), click(x=9)))
    answer(rig.worker.set_paused(True))
    answer(rig.worker.remove_object(1))
    assert [each.id for each in rig.listed().objects] == [2]
    answer(rig.worker.reset())
    assert rig.results[-1].objects == ()


def test_a_catch_up_rests_while_paused(rig):
    rig.play(12)
    rig.predictor.gate.clear()
    prompt = rig.prompt(click(), stamp_s=100)
    paused = rig.worker.set_paused(True)
    rig.predictor.gate.set()
    answer(prompt), answer(paused)
    steps = len(rig.predictor.steps)
    assert rig.listed().objects[0].catching_up
    assert len(rig.predictor.steps) == steps
    answer(rig.worker.set_paused(False))
    rig.wait_until_caught_up()


def test_under_every_a_prompt_on_a_waiting_frame_is_answered_in_its_turn(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    rig.send(1)
    assert rig.predictor.entered.wait(PATIENCE_S)
    for number in range(2, 6):
        rig.send(number)
    early = rig.prompt(click(), stamp_s=100.4)
    rig.predictor.gate.set()
    result = answer(early)
    assert result.frame.index == 4
    assert not result.objects[0].catching_up
    rig.wait_until(lambda: len(rig.results) == 6)
    assert [len(each.objects) for each in rig.results] == [0, 0, 0, 0, 1, 1]


def test_a_wrong_prompt_on_a_waiting_frame_is_refused_at_once(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    rig.send(1), rig.send(2)
    assert rig.predictor.entered.wait(PATIENCE_S)
    ticket = rig.prompt(click(x=900), stamp_s=100.2)
    rig.predictor.gate.set()
    with pytest.raises(PromptError, match='outside'):
        answer(ticket)


def test_pausing_refuses_the_prompts_that_wait_for_their_frame(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    for number in range(1, 6):
        rig.send(number)
    assert rig.predictor.entered.wait(PATIENCE_S)
    prompt = rig.prompt(click(), stamp_s=100.5)
    paused = rig.worker.set_paused(True)
    rig.predictor.gate.set()
    answer(paused)
    with pytest.raises(PromptError, match='tracking is paused'):
        answer(prompt)


def test_renaming_does_not_wait_for_the_newest_frame(rig):
    rig.play(1)
    answer(rig.prompt(click()))
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    for number in range(1, 4):
        rig.send(number)
    assert rig.predictor.entered.wait(PATIENCE_S)
    renamed = rig.prompt(Prompt(1, 'mug'))
    rig.predictor.gate.set()
    assert answer(renamed).objects[0].label == 'mug'


def test_under_latest_a_skipped_frame_stands_in_for_the_nearest_processed_one(tmp_path):
    with running(WorkerRig(tmp_path, FramePolicy.LATEST)) as rig:
        rig.play(1)
        rig.predictor.gate.clear()
        rig.predictor.entered.clear()
        rig.send(1)
        assert rig.predictor.entered.wait(PATIENCE_S)
        for number in range(2, 6):
            rig.send(number)
        rig.predictor.gate.set()
        rig.wait_until(lambda: len(rig.results) == 3)
        assert [each.frame.stamp_ns // 10**8 for each in rig.results] == [1000, 1001, 1005]
        rig.play(3, 6)
        encoded = len(rig.predictor.encoded)
        result = answer(rig.prompt(click(), stamp_s=100.2))
        assert result.frame.header.stamp_ns == 100_200_000_000
        rig.wait_until_caught_up()
        assert rig.predictor.encoded[encoded:] == [2]
        memory = answer(rig.worker.call(lambda tracker: tracker.memory(1)))
        assert memory.cond_indices == (1,)


def test_a_request_that_takes_too_long_is_withdrawn_and_changes_nothing(tmp_path):
    with running(WorkerRig(tmp_path, timeout_s=0.1)) as rig:
        rig.send(0)
        rig.wait_until(lambda: len(rig.results) == 1)
        rig.predictor.gate.clear()
        rig.predictor.entered.clear()
        rig.send(1)
        assert rig.predictor.entered.wait(PATIENCE_S)
        ticket = rig.prompt(click())
        with pytest.raises(WithdrawnError, match=r'longer than 0\.1 s .*nothing was changed'):
            answer(ticket)
        rig.predictor.gate.set()
        rig.wait_until(lambda: len(rig.results) == 2)
        assert rig.listed().objects == ()


def test_a_prompt_withdrawn_while_it_is_worked_out_is_not_committed(rig):
    rig.play(1)
    entered, go_on = threading.Event(), threading.Event()
    prompt = rig.predictor.prompt

    def slow(*args):
        entered.set()
        assert go_on.wait(PATIENCE_S)
        return prompt(*args)

    rig.predictor.prompt = slow
    ticket = rig.prompt(click())
    assert entered.wait(PATIENCE_S)
    assert ticket.withdraw('too late')
    go_on.set()
    assert rig.listed().objects == ()
    with pytest.raises(WithdrawnError, match='too late'):
        ticket.result()
    assert answer(rig.prompt(click())).objects[0].id == 1


def test_a_request_that_took_effect_cannot_be_withdrawn(rig):
    rig.play(1)
    ticket = rig.prompt(click())
    answer(ticket)
    assert not ticket.withdraw('too late')
    assert ticket.result().objects[0].id == 1


def test_commit_and_withdrawal_exclude_each_other():
    for _ in range(200):
        ticket: Ticket[int] = Ticket()
        outcomes = []
        start = threading.Barrier(2)

        def commit(ticket=ticket, start=start, outcomes=outcomes):
            start.wait()
            outcomes.append(('commit', ticket.commit()))

        def withdraw(ticket=ticket, start=start, outcomes=outcomes):
            start.wait()
            outcomes.append(('withdraw', ticket.withdraw('late')))

        threads = [threading.Thread(target=each) for each in (commit, withdraw)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(won for _, won in outcomes) == 1


def test_a_callback_is_called_once_whenever_it_is_added():
    ticket: Ticket[int] = Ticket()
    called = []
    ticket.add_done_callback(called.append)
    assert not called and not ticket.done()
    with pytest.raises(RuntimeError):
        ticket.result()
    ticket.resolve(7)
    ticket.fail(TrackerError('no'))
    ticket.add_done_callback(called.append)
    assert called == [ticket, ticket]
    assert ticket.result() == 7


def test_deadlines_leave_tickets_alone_that_are_done_in_time():
    deadlines = Deadlines(0.05)
    deadlines.start()
    done, late = Ticket(), Ticket()
    deadlines.watch(done)
    deadlines.watch(late)
    done.resolve(1)
    assert late.wait(PATIENCE_S)
    deadlines.stop()
    assert done.result() == 1
    with pytest.raises(WithdrawnError):
        late.result()


def test_stopping_withdraws_every_waiting_request_with_the_reason(tmp_path):
    rig = WorkerRig(tmp_path)
    with running(rig):
        rig.play(1)
        rig.predictor.gate.clear()
        rig.predictor.entered.clear()
        rig.send(1), rig.send(2)
        assert rig.predictor.entered.wait(PATIENCE_S)
        tickets = [rig.prompt(click()), rig.worker.list_objects()]
        assert not rig.worker.stop(timeout_s=0.05)
        for ticket in tickets:
            with pytest.raises(WithdrawnError, match='the tracker was stopped'):
                answer(ticket)
        rig.predictor.gate.set()
        assert rig.worker.stop()


def test_a_stopped_worker_refuses_requests_at_once(tmp_path):
    rig = WorkerRig(tmp_path)
    with pytest.raises(WithdrawnError, match='has not been started'):
        rig.worker.list_objects().result()
    with running(rig):
        answer(rig.worker.list_objects())
    with pytest.raises(WithdrawnError, match='was stopped'):
        rig.worker.list_objects().result()


def test_objects_and_pause_are_kept_over_stop_and_start(tmp_path):
    rig = WorkerRig(tmp_path)
    with running(rig):
        rig.play(2)
        answer(rig.prompt(click()))
        assert rig.worker.stop()
        rig.send(2)
        rig.worker.start()
        rig.wait_until(lambda: len(rig.results) == 3)
        assert rig.results[-1].objects[0].id == 1
        answer(rig.worker.set_paused(True))
        assert rig.worker.stop()
        rig.worker.start()
        with pytest.raises(PromptError, match='paused'):
            answer(rig.prompt(click()))


def test_starting_while_the_last_step_is_under_way_is_refused(tmp_path):
    with running(WorkerRig(tmp_path)) as rig:
        rig.predictor.gate.clear()
        rig.send(0)
        assert rig.predictor.entered.wait(PATIENCE_S)
        assert not rig.worker.stop(timeout_s=0.05)
        with pytest.raises(TrackerError, match='not done yet'):
            rig.worker.start()


def test_stop_is_quick_whatever_the_worker_waits_for(tmp_path):
    rig = WorkerRig(tmp_path)
    with running(rig):
        for paused in (False, True):
            answer(rig.worker.set_paused(paused))
            begun_s = time.monotonic()
            assert rig.worker.stop()
            assert time.monotonic() - begun_s < 2
            rig.worker.start()


def test_a_snapshot_has_the_buffered_frames(rig):
    rig.play(3)
    folder = answer(rig.worker.snapshot())
    assert len(list(folder.glob('*.jpeg'))) == 3


def test_live_settings_apply_from_the_next_request_or_frame(rig):
    rig.play(1)
    answer(rig.worker.set_tracking(TrackingConfig(max_objects=1, max_cond_frames=9)))
    answer(rig.prompt(click()))
    with pytest.raises(PromptError, match='too many objects'):
        answer(rig.prompt(click()))
    config = answer(rig.worker.call(lambda tracker: tracker.config))
    assert config == replace(TrackingConfig(), max_objects=1)


def test_too_many_waiting_requests_are_refused(rig, monkeypatch):
    monkeypatch.setattr('sam2_tracker.core.request_queue.MAX_UNANSWERED', 3)
    rig.predictor.gate.clear()
    rig.send(0)
    assert rig.predictor.entered.wait(PATIENCE_S)
    tickets = [rig.worker.list_objects() for _ in range(4)]
    with pytest.raises(WithdrawnError, match='3 requests wait already'):
        tickets[3].result()
    rig.predictor.gate.set()
    for ticket in tickets[:3]:
        answer(ticket)
