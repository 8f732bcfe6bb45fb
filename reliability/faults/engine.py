# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A model that fails, hangs, or takes the thread that runs it along."""

from __future__ import annotations

import re
import sys
import time

from reliability.stage import Live, Stage
from reliability.verdicts import DiedError, expect, fault, FrozeError, lied

WARN, ERROR = 1, 2
# After 3 s, or five times a frame's p95 where that is longer; and a message a second.
_NOTICED_S = 8.0
_GOES_ON_S = 30.0


class Ordered:
    """A node whose model obeys, and the orders."""

    def __init__(self, stage: Stage, **parameters: object) -> None:
        self._orders = stage.folder / 'orders'
        self.live: Live = stage.live(parameters, command=[
            sys.executable, '-m', 'reliability.faulty_node', str(self._orders)])

    def order(self, method: str, kind: str, times: int = 1) -> None:
        """Let the next calls of a method fail."""
        unfinished = self._orders.with_suffix('.part')
        unfinished.write_text(f'{method} {kind} {times}')
        unfinished.replace(self._orders)

    def carried_out(self, timeout_s: float = 15.0) -> None:
        """Send pictures until the orders have been followed."""
        end_s = time.monotonic() + timeout_s
        while self._orders.exists() and time.monotonic() < end_s:
            self.live.shoot()
        expect(not self._orders.exists(), 'the model was not called any more')


def _goes_on_after(stage: Stage, method: str, kind: str, times: int) -> None:
    ordered = Ordered(stage)
    ordered.order(method, kind, times)
    ordered.carried_out()
    ordered.live.track(_GOES_ON_S)
    expect(ordered.live.said, 'the log does not say it')
    expect(1 in ordered.live.objects(), 'the object is gone')


@fault('The GPU is out of memory for eight frames: an ERROR that says what to do, then '
       'the object is tracked on.')
def out_of_memory(stage: Stage) -> None:
    _goes_on_after(stage, 'track', 'memory', 8)
    expect('smaller model' in stage.last_said, 'the log does not say what to do')


@fault('The encoder raises three times: an ERROR, then the object is tracked on.')
def encoder_raises(stage: Stage) -> None:
    _goes_on_after(stage, 'encode', 'value', 3)


@fault('Summing up a frame raises three times: an ERROR, then the object is tracked '
       'on.')
def summary_raises(stage: Stage) -> None:
    _goes_on_after(stage, 'summarise', 'assert', 3)


@fault('The model raises in a prompt: the request is refused with a reason, the stream '
       'goes on.')
def prompt_raises(stage: Stage) -> None:
    from reliability.robot import click

    ordered = Ordered(stage)
    ordered.order('prompt', 'value')
    ordered.live.refused(ordered.live.robot.add([click(120, 60)]), 'a prompt that failed')
    ordered.live.track(_GOES_ON_S)


@fault('The model hangs for 20 s: /diagnostics turns to WARN within 8 s, the log has a '
       'line, list_objects answers.')
def worker_hangs(stage: Stage) -> None:
    ordered = Ordered(stage)
    live = ordered.live
    ordered.order('encode', 'hang')
    ordered.carried_out()
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + _NOTICED_S:
        live.shoot(1, 0.2)
    message = live.robot.health[-1]
    said = live.said
    live.track(_GOES_ON_S)
    stage.said = f'{said} / diagnostics: {message.message}'
    expect(message.level >= WARN,
           f'/diagnostics says OK {message.message!r} after {_NOTICED_S:.0f} s without a result')
    expect(said, 'the log does not say it')


@fault("The worker's thread ends: /diagnostics turns to ERROR with a line in the log; it is "
       'started again with its objects, or the node says that it cannot be.')
def worker_dies(stage: Stage) -> None:
    ordered = Ordered(stage)
    live = ordered.live
    ordered.order('track', 'exit')
    ordered.carried_out()
    since, begun_s = len(live.robot.health), time.monotonic()
    while time.monotonic() < begun_s + _NOTICED_S:
        live.shoot(1, 0.2)
    worst = max((each.level for each in live.robot.health[since:]), default=0)
    said, log = live.said, live.log
    stage.said = f'{said} / diagnostics: {live.robot.health[-1].message}'
    expect(worst >= ERROR or said, f'nothing is said, /diagnostics stays at '
                                   f'{live.robot.health[-1].message!r}')
    try:
        live.track(_GOES_ON_S)
    except FrozeError:
        if not re.search(r'cannot be started|cannot start|start the node anew', log):
            raise DiedError('the worker is gone for good, and the node does not say so') from None
        return
    if 1 not in live.objects():
        lied('it tracks again, but its object is gone')


@fault('Ctrl-C while the model hangs: the node ends within 15 s.')
def stop_while_model_hangs(stage: Stage) -> None:
    ordered = Ordered(stage)
    ordered.order('encode', 'hang')
    ordered.carried_out()
    ordered.live.stop()
