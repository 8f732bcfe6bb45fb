# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, configuring: in every state, with settings and weights that cannot work."""

from __future__ import annotations

import os
from pathlib import Path
import pickle
import signal
import sys
import time
from typing import Any
import zipfile

from lifecycle_msgs.msg import Transition
from reliability.processes import executable, Program, usage
from reliability.robot import click, Robot
from reliability.stage import Live, Stage
from reliability.verdicts import DiedError, expect, fault, FrozeError, LiedError

_GONE_S = 1.0
_CYCLES = 12
_STATES = {'unconfigured': (), 'inactive': (Transition.TRANSITION_CONFIGURE,),
           'active': (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)}


def _in_state(stage: Stage, state: str) -> Live:
    live = stage.live({'autostart': False}, is_active=False, namespace=f'in_{state}')
    live.answer(live.robot.state(60.0) or None, 'get_state')
    for transition in _STATES[state]:
        expect(live.robot.change(transition), f'transition {transition} failed')
    expect(live.robot.state() == state, f'it is {live.robot.state()}')
    return live


@fault('After Ctrl-C an observer sees the name gone within 1 s of the end, unconfigured '
       'and active.')
def name_after_stop(stage: Stage) -> None:
    slow = {}
    for state in ('unconfigured', 'active'):
        live = _in_state(stage, state)
        observer = Robot(stage.domain_id, name=f'observer_{state}')

        def names(watching: Robot = observer) -> set[str]:
            return {name for name, space in watching.node.get_node_names_and_namespaces()
                    if space.startswith('/in_')}
        expect(observer.wait(names, 10.0), 'the observer does not see the node')
        live.stop()
        ended_s = time.monotonic()
        observer.wait(lambda look=names: not look(), 25.0)
        slow[state] = time.monotonic() - ended_s
        observer.close()
    stage.lost = ', '.join(f'{state}: gone after {took_s:.1f} s' for state, took_s in slow.items())
    expect(max(slow.values()) <= _GONE_S, f'the name stays in the graph ({stage.lost})')


@fault('SIGINT and SIGTERM unconfigured, inactive and active, and while it starts: '
       'exit code 0, no traceback.')
def signals_in_every_state(stage: Stage) -> None:
    for state, number in (('unconfigured', signal.SIGTERM), ('inactive', signal.SIGINT),
                          ('active', signal.SIGTERM)):
        live = _in_state(stage, state)
        live.stop(number)
        expect('Traceback' not in live.log, f'a traceback after {number.name} while {state}')
        live.robot.close()
    for delay_s in (0.7, 1.5, 2.5):
        program: Program = stage.program([executable('tracker')])
        time.sleep(delay_s)
        code = program.stop()
        if code is None:
            raise FrozeError(f'SIGINT {delay_s} s after the start does not end it')
        if code not in (0, -signal.SIGINT) or 'Traceback' in program.printed:
            raise DiedError(f'exit code {code} after SIGINT {delay_s} s after the start')


@fault(f'Configured and cleaned up {_CYCLES} times: no handle, thread or folder '
       'stays behind.')
def configured_again_and_again(stage: Stage) -> None:
    buffer = stage.folder / 'buffer'
    live = stage.live({'autostart': False, 'buffer.directory': buffer}, is_active=False)
    live.answer(live.robot.state(60.0) or None, 'get_state')
    held = []
    for _ in range(_CYCLES):
        expect(live.robot.change(Transition.TRANSITION_CONFIGURE), 'configure failed')
        expect(live.robot.change(Transition.TRANSITION_ACTIVATE), 'activate failed')
        live.shoot(1, 0.05)
        expect(live.robot.change(Transition.TRANSITION_DEACTIVATE), 'deactivate failed')
        expect(live.robot.change(Transition.TRANSITION_CLEANUP), 'cleanup failed')
        held.append(usage(live.program.pid))
    early, late = held[2], held[-1]
    live.stop()
    expect(early and late, 'the process is gone')
    if early and late:
        stage.lost = (f'{late.handles - early.handles} handles, '
                      f'{late.threads - early.threads} threads')
        expect(late.handles <= early.handles + 4 and late.threads <= early.threads + 4,
               f'what is held grew by {stage.lost}')
    expect(not list(buffer.glob('*')), 'a folder is left behind')


@fault('configure fails (the buffer is a file): ERROR on /diagnostics and the reason '
       'in every reply; mended, it can be configured.')
def configure_fails(stage: Stage) -> None:
    buffer = stage.folder / 'buffer'
    buffer.write_text('a file')
    live = stage.live({'buffer.directory': buffer}, is_active=False)
    live.answer(live.robot.state(60.0) or None, 'get_state')
    live.robot.wait(lambda: live.robot.health and live.robot.health[-1].level == 2, 40.0)
    expect(live.robot.health[-1].level == 2, '/diagnostics does not say ERROR')
    reason = live.refused(live.robot.add([click(5, 5)]), 'a prompt')
    expect(str(buffer) in reason, f'the refusal does not name the folder: {reason}')
    buffer.unlink()
    expect(live.robot.change(Transition.TRANSITION_CONFIGURE)
           and live.robot.change(Transition.TRANSITION_ACTIVATE), 'mended, it cannot be started')
    live.wait_until_active()
    live.track()


class _Evil:

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._mark),)


def _bad_checkpoints(folder: Path, mark: Path) -> list[Path]:
    folder.mkdir()
    (folder / 'empty.pt').write_bytes(b'')
    (folder / 'text.pt').write_text('version https://git-lfs.github.com/spec/v1\n')
    (folder / 'evil.pt').write_bytes(pickle.dumps(_Evil(mark)))
    (folder / 'folder.pt').mkdir()
    with zipfile.ZipFile(folder / 'archive.pt', 'w') as archive:
        archive.writestr('x/data.pkl', b'\x80\x02}q\x00.')
    return [*sorted(folder.iterdir()), folder / 'missing.pt']


@fault('Checkpoints that are missing, empty, text, a folder, an archive, a pickle '
       'that runs code: configure fails with a sentence, nothing is run.')
def bad_checkpoints(stage: Stage) -> None:
    mark = stage.folder / 'code_was_run'
    live = stage.live({'autostart': False}, is_active=False)
    live.answer(live.robot.state(60.0) or None, 'get_state')
    for file in _bad_checkpoints(stage.folder / 'weights', mark):
        live.begin()
        live.robot.set_parameter('checkpoint', str(file))
        expect(not live.robot.change(Transition.TRANSITION_CONFIGURE), f'{file.name} was taken')
        live.refuse_dead()
        expect(file.name in live.said, f'{file.name}: the log says {live.said[:120]!r}')
        expect('Traceback' not in live.log, f'{file.name}: a traceback')
    expect(not mark.exists(), 'code in a checkpoint was run')
    live.robot.set_parameter('checkpoint', '')
    expect(live.robot.change(Transition.TRANSITION_CONFIGURE), 'with good weights it fails too')
    live.robot.change(Transition.TRANSITION_ACTIVATE)
    live.wait_until_active()
    live.track()


@fault('Ctrl-C while configure hangs in a checkpoint that is a FIFO: it ends.')
def stop_while_checkpoint_hangs(stage: Stage) -> None:
    pipe = stage.folder / 'pipe.pt'
    os.mkfifo(pipe)
    live = stage.live({'checkpoint': pipe}, is_active=False)
    live.answer(live.robot.state(60.0) or None, 'get_state')
    live.stop()


_BAD_SETTINGS = ('frame_policy:=sometimes', 'buffer.max_frames:=-1', 'buffer.max_bytes:=1.5',
                 'tracking.lost_after_s:=.nan', 'model:=large', 'autostart:=maybe',
                 'device:=gpu', 'image_max_value:=99999999999999')


@fault(f'{len(_BAD_SETTINGS)} parameters of a wrong type, range or name of a choice: '
       'exit code 2 and one line that names the parameter.')
def bad_parameters(stage: Stage) -> None:
    for setting in _BAD_SETTINGS:
        ended = stage.command([executable('tracker'), '--ros-args', '-p', setting], 30.0)
        expect(ended.code == 2, f'{setting}: exit code {ended.code}')
        expect(setting.split(':=')[0] in ended.err, f'{setting}: {ended.last_words[:100]}')
        expect(len(ended.err.strip().splitlines()) == 1, f'{setting}: more than one line')


@fault('Parameters set live to values of every wrong kind: each is answered and '
       'refused, the stream goes on.')
def bad_live_parameters(stage: Stage) -> None:
    live = stage.live()
    for name in ('tracking.max_objects', 'tracking.mask_threshold', 'annotate.opacity', 'model',
                 'image_max_value', 'buffer.max_frames', 'unknown.parameter'):
        for value in (-1000, 2 ** 62, float('nan'), -1e300, 'x' * 100_000, True, [1, 2]):
            result = live.answer(live.robot.set_parameter(name, value), f'{name} = {value!r:.20}')
            if result.successful:
                raise LiedError(f'{name} = {value!r:.20} was taken')
    live.track()
    expect('Traceback' not in live.log, 'the log has a traceback')


@fault('A subscriber of everything is stopped (SIGSTOP) under `every`: results go '
       'on, and after it wakes none is lost.')
def subscriber_is_stopped(stage: Stage) -> None:
    live = stage.live({'frame_policy': 'every'})
    sleeper = stage.program([sys.executable, '-m', 'reliability.subscriber', '/sam2_tracker'])
    live.robot.wait(lambda: live.robot.node.count_subscribers('/sam2_tracker/label_image'), 20.0)
    live.shoot(5)
    sleeper.send(signal.SIGSTOP)
    try:
        stamps = live.shoot(30, 0.2)
        came = live.wait_for_results(stamps)
    finally:
        sleeper.send(signal.SIGCONT)
    stage.lost = f'{len(stamps) - came} of {len(stamps)} results'
    if not came:
        raise FrozeError('no result while a subscriber sleeps')
    came = live.wait_for_results(stamps)
    expect(came == len(stamps), f'{len(stamps) - came} of {len(stamps)} results never came')
    live.track()
