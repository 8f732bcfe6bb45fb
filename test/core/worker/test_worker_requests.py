# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Requests to the worker: what they do, when they wait, how they are refused or withdrawn."""

from __future__ import annotations

from dataclasses import replace
import threading
import time

from fakes import click
import pytest
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.errors import PromptError, TrackerError, WithdrawnError
from sam2_tracker.core.frames.files import BufferDirectory
from sam2_tracker.core.worker.loop import REQUESTS_TURN_S
from sam2_tracker.core.worker.requests import Deadlines, Ticket
from worker_rig import answer, PATIENCE_S, running, WorkerRig


@pytest.fixture
def rig(tmp_path):
    with running(WorkerRig(tmp_path)) as started:
        yield started


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
        # Not listed: that is a request too, with as little time.
        rig.play(1, 2)
        assert rig.results[-1].objects == ()


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


def test_a_frame_has_its_turn_between_the_objects_of_a_long_preview(rig):
    rig.play(2)
    short = answer(rig.prompt(click(x=20), click(x=30), preview=True))
    results_before_each, prompt = [], rig.predictor.prompt

    def slow(*args):
        if not results_before_each:
            rig.send(2)
        results_before_each.append(len(rig.results))
        threading.Event().wait(REQUESTS_TURN_S / 4)
        return prompt(*args)

    rig.predictor.prompt = slow
    clicks = [click(x=20), click(x=30)] * 8
    result = answer(rig.prompt(*clicks, preview=True))
    assert results_before_each[0] == 2
    assert results_before_each[-1] == 3, 'the frame waited for the whole request'
    assert result.frame.header.stamp_ns == 100_100_000_000
    assert [each.id for each in result.objects] == list(range(1, 17))
    assert [each.box for each in result.objects[:2]] == [each.box for each in short.objects]
    assert not any(each.catching_up for each in result.objects)
    assert rig.listed().objects == ()


def test_a_preview_that_is_withdrawn_is_not_worked_at_any_further(rig):
    rig.play(1)
    entered, prompted, prompt = threading.Event(), [], rig.predictor.prompt

    def slow(*args):
        prompted.append(1)
        if len(prompted) == 3:
            entered.set()
            threading.Event().wait(0.05)
        return prompt(*args)

    rig.predictor.prompt = slow
    ticket = rig.prompt(*(click() for _ in range(20)), preview=True)
    assert entered.wait(PATIENCE_S) and ticket.withdraw('too late')
    rig.listed()
    assert len(prompted) == 3


def test_requests_without_end_do_not_keep_a_frame_waiting(rig):
    rig.play(1)
    done = []

    def work(_):
        threading.Event().wait(REQUESTS_TURN_S / 4)
        done.append(1)
        if len(rig.results) == 1 and len(done) < 100:
            rig.worker.call(work)

    rig.worker.call(work)
    rig.send(1)
    rig.wait_until(lambda: len(rig.results) == 2)
    assert len(done) < 100


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


class InterruptedLock:
    """A lock after whose first release something else happens."""

    def __init__(self, then):
        self._lock = threading.Lock()
        self._then = then

    def __enter__(self):
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()
        then, self._then = self._then, None
        if then:
            then()


def test_a_request_that_is_being_withdrawn_cannot_be_answered_as_done():
    ticket: Ticket[str] = Ticket()

    def answer_as_the_worker_does():
        assert not ticket.commit()
        ticket.resolve('done, it says')

    ticket._lock = InterruptedLock(answer_as_the_worker_does)
    assert ticket.withdraw('late')
    with pytest.raises(WithdrawnError, match='late'):
        ticket.result()


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
    done, late = Ticket(), Ticket()
    deadlines.watch(done)
    deadlines.watch(late)
    done.resolve(1)
    deadlines.start()
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
        assert rig.worker.stop(PATIENCE_S)


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
        assert rig.worker.stop(PATIENCE_S)
        rig.send(2)
        rig.worker.start()
        rig.wait_until(lambda: len(rig.results) == 3)
        assert rig.results[-1].objects[0].id == 1
        answer(rig.worker.set_paused(True))
        assert rig.worker.stop(PATIENCE_S)
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
            assert rig.worker.stop(PATIENCE_S)
            assert time.monotonic() - begun_s < PATIENCE_S / 2
            rig.worker.start()


def test_a_snapshot_has_the_buffered_frames(rig):
    rig.play(3)
    folder = answer(rig.worker.snapshot())
    assert len(list(folder.glob('*.jpeg'))) == 3


@pytest.fixture
def hung_disk(monkeypatch):
    """Let a snapshot's folder be made only when this is set."""
    answers, make = threading.Event(), BufferDirectory.open_snapshot

    def wait_and_make(directory):
        assert answers.wait(PATIENCE_S)
        return make(directory)

    monkeypatch.setattr(BufferDirectory, 'open_snapshot', wait_and_make)
    yield answers
    answers.set()


def test_a_snapshot_that_waits_for_the_disk_keeps_neither_frames_nor_requests_waiting(
    rig, hung_disk
):
    rig.play(3)
    ticket = rig.worker.snapshot()
    assert answer(rig.prompt(click())).objects[0].id == 1
    rig.play(2, 3)
    assert not ticket.done()
    hung_disk.set()
    assert len(list(answer(ticket).glob('*.jpeg'))) >= 3


def test_a_snapshot_that_was_withdrawn_leaves_nothing(rig, hung_disk, tmp_path):
    rig.play(1)
    ticket = rig.worker.snapshot()
    answer(rig.worker.list_objects())
    assert ticket.withdraw('its time is up')
    hung_disk.set()
    assert rig.buffer.flush(PATIENCE_S)
    assert not list(tmp_path.rglob('snapshot*'))


def test_live_settings_apply_from_the_next_request_or_frame(rig):
    rig.play(1)
    answer(rig.worker.set_tracking(TrackingConfig(max_objects=1, max_cond_frames=9)))
    answer(rig.prompt(click()))
    with pytest.raises(PromptError, match='too many objects'):
        answer(rig.prompt(click()))
    config = answer(rig.worker.call(lambda tracker: tracker.config))
    assert config == replace(TrackingConfig(), max_objects=1)


def test_too_many_waiting_requests_are_refused(rig, monkeypatch):
    monkeypatch.setattr('sam2_tracker.core.worker.requests.MAX_UNANSWERED', 3)
    rig.predictor.gate.clear()
    rig.send(0)
    assert rig.predictor.entered.wait(PATIENCE_S)
    tickets = [rig.worker.list_objects() for _ in range(4)]
    with pytest.raises(WithdrawnError, match='3 requests wait already'):
        tickets[3].result()
    rig.predictor.gate.set()
    for ticket in tickets[:3]:
        answer(ticket)
