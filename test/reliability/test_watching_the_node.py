# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A running node that is killed, stopped or failing on command is called what it is."""

from __future__ import annotations

from collections.abc import Iterator
import signal

import pytest
from reliability.faults.engine import Ordered
from reliability.stage import Live, Stage
from reliability.verdicts import DiedError, FrozeError, LiedError

DOMAIN_ID = 50


@pytest.fixture(scope='module')
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp('stage'), DOMAIN_ID)
    yield made
    made.close()


@pytest.fixture(scope='module')
def ordered(stage: Stage) -> Ordered:
    return Ordered(stage)


@pytest.fixture(scope='module')
def live(ordered: Ordered) -> Live:
    return ordered.live


def test_a_node_that_tracks_has_recovered(live: Live, stage: Stage) -> None:
    live.track()
    assert stage.recovered is True
    assert 1 in live.objects()


def test_a_model_that_fails_on_command_is_heard_of_in_what_the_node_said(
        ordered: Ordered) -> None:
    ordered.live.begin()
    assert ordered.live.said == ''
    ordered.order('encode', 'value')
    ordered.carried_out()
    ordered.live.track()
    assert 'ordered by the check' in ordered.live.said


def test_a_diagnosis_that_does_not_come_is_a_lie(live: Live) -> None:
    with pytest.raises(LiedError, match='/diagnostics says OK'):
        live.health(2, timeout_s=2.5, about='volcano')


def test_a_request_that_is_granted_though_it_should_not_be_is_a_lie(live: Live) -> None:
    with pytest.raises(LiedError, match='list_objects was taken'):
        live.refused(live.robot.list(), 'list_objects')


def test_a_stopped_node_is_frozen_and_one_that_goes_on_is_not(live: Live, stage: Stage) -> None:
    live.program.send(signal.SIGSTOP)
    try:
        with pytest.raises(FrozeError, match='no result for 1 s'):
            live.track(1.0)
        with pytest.raises(FrozeError, match='list_objects was not answered'):
            live.objects(0.5)
        assert stage.recovered is False
    finally:
        live.program.send(signal.SIGCONT)
    live.track()
    assert stage.recovered is True


def test_a_killed_node_is_dead_whatever_is_asked_of_it(live: Live) -> None:
    live.program.kill()
    for asked in (live.track, live.stop, lambda: live.objects(0.5)):
        with pytest.raises(DiedError, match='signal SIGKILL'):
            asked()
