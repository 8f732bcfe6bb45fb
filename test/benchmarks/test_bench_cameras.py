# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of several cameras: what is counted, and a short run of real processes."""

from __future__ import annotations

import os
from types import SimpleNamespace

from benchmarks import cameras
import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401

DOMAIN_ID = 75


def test_the_longest_gap_counts_the_ends_of_the_window() -> None:
    assert cameras.gaps_s([9.0, 10.5, 11.0, 15.0], 10.0, 13.0) == 2.0
    assert cameras.gaps_s([12.9], 10.0, 13.0) == pytest.approx(2.9)
    assert cameras.gaps_s([], 10.0, 13.0) == 3.0


def test_what_a_process_has_of_its_own_is_less_than_what_it_has_in_memory() -> None:
    resident, own = cameras.memory_mib(os.getpid())
    assert 10 < own <= resident < 100_000


def test_shares_are_means_of_the_messages_that_have_them() -> None:
    told = {f'{name} share %': str(share)
            for name, share in zip(cameras.NAMES, (40, 30, 20), strict=True)}
    more = {key: str(float(value) + 10) for key, value in told.items()}
    assert cameras.shares_of([{}, told, more]) == (45, 35, 25)
    assert cameras.shares_of([{}]) == ()


def test_each_way_has_the_same_parameters() -> None:
    several, = cameras.commands(True, {'model': 'nano'})
    assert several[-4:] == ['-p', 'model:=nano', '-p', 'cameras:=[front, left, rear]']
    each = cameras.commands(False, {'model': 'nano'})
    assert [command[-1] for command in each] == ['__ns:=/front', '__ns:=/left', '__ns:=/rear']
    assert all('model:=nano' in command for command in each)


@pytest.mark.usefixtures('needs_ros')
def test_three_cameras_in_one_process_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, '_SETTLING_S', 1.0)
    options = SimpleNamespace(model='nano', device='cpu', image_size=96, seconds=5.0,
                              domain_id=DOMAIN_ID, threads=1)
    row = cameras.measure(True, cameras.ONE_EACH, options)
    assert (row.way, row.processes) == ('trackers', 1)
    assert sum(row.fps) > 0 and 0 < row.own_mib <= row.resident_mib
    assert len(row.share_percent) == 3 and sum(row.share_percent) <= 110
    assert '| trackers | 1 / 1 / 1 | 1 |' in cameras.table([row], 5.0)
