# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is recorded, when, how much of it is kept, and what a recording may not change."""

from __future__ import annotations

from dataclasses import replace
import gc
import threading
import weakref

import pytest
from sam2_tracker.core.engine.graphs.replays import Graphs, Limits
from sam2_tracker.core.log import Level
from sam2_tracker.core.protocols import GraphCounts
from stand_in import StandInRecorder
import torch

LIMITS = Limits(nbytes=10_000, recordings=3, times=2, recent=10, rest=0.0)


class Rig:
    """Recordings of toy work, with a clock that a test sets."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.recorders: list[StandInRecorder] = []
        self.lines: list[tuple[Level, str]] = []
        self.now_s = 0.0
        self.graphs = Graphs(self._recorder, lambda *line: self.lines.append(line), limits,
                             lambda: self.now_s)
        self.encoder, self.tracking = self.recorders

    def _recorder(self) -> StandInRecorder:
        self.recorders.append(StandInRecorder())
        return self.recorders[-1]

    def double(self, *numbers: float, kind: str = 'double') -> torch.Tensor:
        """Do some work."""
        return self.graphs.tracking(kind, double, (torch.tensor(numbers, dtype=torch.float32),))[0]

    def times(self, count: int, *numbers: float) -> None:
        for _ in range(count):
            self.double(*numbers)


def double(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (inputs[0] * 2,)


def test_work_of_a_layout_is_recorded_when_it_has_come_a_few_times_and_replayed_from_then_on():
    rig = Rig()
    assert [float(rig.double(number)) for number in range(5)] == [0, 2, 4, 6, 8]
    assert rig.graphs.counts == GraphCounts(recorded=1, replayed=3, eager=2)


def test_other_layouts_types_and_kinds_of_work_have_recordings_of_their_own():
    rig = Rig()
    rig.times(3, 1.0)
    rig.double(1.0, 2.0)
    rig.double(1.0, kind='another')
    rig.graphs.tracking('double', double, (torch.tensor([1.0], dtype=torch.float64),))
    rig.graphs.tracking('double', double, (torch.ones(2, 3),))
    rig.graphs.tracking('double', double, (torch.ones(3, 2).T,))
    assert rig.graphs.counts == GraphCounts(recorded=1, replayed=1, eager=7)


def test_results_outlive_the_next_replays():
    rig = Rig()
    results = [rig.double(number) for number in (1.0, 2.0, 3.0, 4.0)]
    rig.times(4, 5.0, 6.0)
    assert [float(each) for each in results] == [2, 4, 6, 8]


class Scale:
    """Work with a tensor of its own, as a resize has its weights."""

    def __init__(self) -> None:
        self.factor = torch.tensor(2.0)

    def __call__(self, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0] * self.factor,)


class Forgetful(StandInRecorder):
    """Holds nothing of what it has recorded, as CUDA: a graph has addresses only."""

    def record(self, run):
        made, found = super().record(run), run()
        made._run = lambda: found
        return made


def test_what_the_work_has_of_its_own_lives_as_long_as_the_recording():
    scale, graphs = Scale(), Graphs(Forgetful, limits=LIMITS)
    work = weakref.ref(scale)
    graphs.tracking.prepare('scale', scale, (torch.tensor([1.0]),))
    del scale
    gc.collect()
    assert work() is not None
    del graphs
    gc.collect()
    assert work() is None


def test_inputs_may_be_changed_after_the_call():
    rig, mine = Rig(), torch.tensor([1.0])
    for _ in range(3):
        found = rig.graphs.tracking('double', double, (mine,))[0]
        mine.add_(1)
        assert float(found) == 2 * (float(mine) - 1)


def test_nothing_is_recorded_while_a_condition_does_not_hold():
    rig, has_time = Rig(), [False]
    rig.graphs.record_only_if(lambda: has_time[0])
    rig.graphs.record_only_if(lambda: True)
    rig.times(5, 1.0)
    assert rig.graphs.counts == GraphCounts(eager=5)
    has_time[0] = True
    rig.times(2, 1.0)
    assert rig.graphs.counts == GraphCounts(recorded=1, replayed=1, eager=6)


def test_recordings_rest_in_between_so_that_they_do_not_hold_up_one_frame_after_the_other():
    rig = Rig(replace(LIMITS, rest=10.0))
    record = rig.tracking.record

    def slow(run):
        rig.now_s += 0.1
        return record(run)
    rig.tracking.record = slow
    rig.times(2, 1.0)
    rig.times(4, 1.0, 2.0)
    assert rig.graphs.counts.recorded == 1
    rig.now_s += 1.01
    rig.times(1, 1.0, 2.0)
    assert rig.graphs.counts.recorded == 2


def test_what_is_sure_to_come_is_recorded_beforehand_and_at_once():
    rig = Rig(replace(LIMITS, rest=1000.0))
    rig.graphs.tracking.prepare('double', double, (torch.tensor([1.0]),))
    rig.graphs.tracking.prepare('double', double, (torch.tensor([1.0, 2.0]),))
    assert float(rig.double(4.0)) == 8
    assert rig.graphs.counts == GraphCounts(recorded=2, replayed=1)


def test_one_that_was_not_used_for_long_makes_place_for_another_and_one_in_use_does_not():
    rig = Rig()
    for size in (1, 2, 3):
        rig.times(2, *range(size))
    rig.times(3, *range(4))
    assert rig.graphs.counts.evicted == 0, 'all three were used lately'
    rig.times(5, 0, 1)
    rig.times(1, *range(4))
    assert (rig.graphs.counts.recorded, rig.graphs.counts.evicted) == (4, 1)
    before = rig.graphs.counts.eager
    rig.times(1, 0)
    assert rig.graphs.counts.eager == before + 1, 'the oldest one went'


def test_too_large_a_recording_empties_the_pool_and_is_not_tried_again():
    rig = Rig()
    rig.tracking.bytes_each = 4_000
    rig.times(2, 0)
    rig.times(2, 0, 1)
    assert rig.graphs.counts.recorded == 2
    rig.times(4, *range(100))
    assert rig.graphs.counts == GraphCounts(recorded=3, evicted=3, eager=8)
    assert rig.tracking.pools == 2 and rig.graphs.nbytes == 0
    rig.times(4, *range(200))
    assert rig.graphs.counts.recorded == 3, 'what is larger still is not tried either'
    rig.times(2, 0)
    assert rig.graphs.counts.recorded == 4, 'smaller ones are recorded again'
    assert rig.lines == []


def test_both_pools_and_their_inputs_count_together():
    rig = Rig()
    rig.encoder.bytes_each, rig.tracking.bytes_each = 6_000, 3_980
    for _ in range(2):
        rig.graphs.encoder('double', double, (torch.ones(2),))
        rig.double(1.0)
    assert rig.graphs.nbytes == 6_000 + 8 + 3_980 + 4
    rig.tracking.bytes_each = 5
    rig.times(2, 1.0, 2.0)
    assert rig.tracking.pools == 2 and rig.encoder.pools == 1


def test_recordings_share_the_memory_of_their_inputs():
    rig = Rig()
    for size in (3, 2, 1):
        rig.times(3, *range(size))
    assert rig.graphs.nbytes == 3 * 4
    assert float(rig.double(7)) == 14


@pytest.mark.parametrize('failure', [
    RuntimeError('operation not permitted when stream is capturing\nmore'),
    torch.cuda.OutOfMemoryError('out of memory')], ids=str)
def test_a_recording_that_fails_is_dropped_with_one_warning_and_not_tried_again(failure):
    rig = Rig()
    rig.tracking.failures = [failure, RuntimeError('again')]
    assert [float(rig.double(number)) for number in range(4)] == [0, 2, 4, 6]
    rig.times(3, 1.0, 2.0)
    assert rig.graphs.counts == GraphCounts(eager=7)
    (level, line), = rig.lines
    assert level is Level.WARN
    assert line.endswith(f'the same masks: {str(failure).splitlines()[0]}')


def test_a_replay_that_gives_something_else_is_dropped_and_its_results_are_not_used():
    rig = Rig()
    rig.tracking.is_wrong = True
    assert [float(rig.double(number)) for number in range(4)] == [0, 2, 4, 6]
    assert rig.graphs.counts == GraphCounts(eager=4)
    (level, line), = rig.lines
    assert level is Level.WARN and 'its replay gives other results' in line


def test_other_errors_are_not_hidden():
    rig = Rig()
    rig.tracking.failures = [KeyError('a mistake of ours')]
    with pytest.raises(KeyError):
        rig.times(2, 1.0)


def test_where_nothing_is_recorded_all_is_done_as_it_is():
    graphs = Graphs()
    for _ in range(5):
        assert float(graphs.tracking('double', double, (torch.tensor([3.0]),))[0]) == 6
    graphs.tracking.prepare('double', double, (torch.tensor([3.0]),))
    assert graphs.counts is None and graphs.nbytes == 0


def test_threads_take_turns_at_one_pool():
    rig, wrong = Rig(), []

    def work(number: int) -> None:
        for step in range(200):
            if float(rig.double(number + step)) != 2 * (number + step):
                wrong.append(step)
    threads = [threading.Thread(target=work, args=(1000 * number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert rig.graphs.counts.replayed + rig.graphs.counts.eager == 600
