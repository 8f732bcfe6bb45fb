# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Where one fault is played: a folder, a domain, and the programs that are put into trouble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
import re
import signal
import sys
import time
from typing import Any

from reliability.pictures import HW, red_box, red_centre, write_folder
from reliability.processes import Ended, executable, offline_command, Program, run_command
from reliability.robot import click, Robot
from reliability.verdicts import DiedError, expect, FrozeError, LiedError

START_S = 60.0
ANSWER_S = 15.0
RESULT_S = 30.0
COMMAND_S = 45.0
_FAST_PICTURES = 10
_OF_EVERY_START = 'model nano is for demos and tests'
ENVIRONMENT = {'OMP_NUM_THREADS': '1', 'RCUTILS_LOGGING_USE_STDOUT': '0'}
_LOG_LINE = re.compile(r'^\[(WARN|ERROR|FATAL)\] \[[\d.]+\] \[[^\]]+\]: (.*)$', re.M)


def finished_files(place: Path) -> list[Path]:
    """Return the files at or below a place that look finished: no part of the name is hidden."""
    if place.is_file():
        return [place]
    return [path for path in place.rglob('*') if path.is_file()
            and not any(part[0] == '.' for part in path.relative_to(place).parts)]


class Stage:
    """
    One fault's own surroundings; whoever made it closes it.

    :ivar said: what the program said of the fault; left empty, its last lines are taken
    :ivar recovered: whether it worked again afterwards, None where there is nothing to recover
    :ivar lost: in words
    """

    def __init__(self, folder: Path, domain_id: int) -> None:
        self.folder = folder
        self.domain_id = domain_id
        self.said = ''
        self.recovered: bool | None = None
        self.lost = ''
        self.lives: list[Live] = []
        self._programs: list[Program] = []
        self._commands = 0

    def program(self, command: Sequence[str],
                environment: Mapping[str, str] | None = None) -> Program:
        """Start a program in this stage's domain."""
        log = self.folder / f'program_{len(self._programs)}.log'
        program = Program(command, log, {
            **ENVIRONMENT, 'ROS_DOMAIN_ID': str(self.domain_id), **(environment or {})})
        self._programs.append(program)
        return program

    def live(self, parameters: Mapping[str, Any] | None = None, *, namespace: str = '',
             command: Sequence[str] = (), environment: Mapping[str, str] | None = None,
             compressed: bool = False, hw: tuple[int, int] = HW, is_active: bool = True,
             objects: int = 1, is_still: bool = False, camera_depth: int = 1000) -> Live:
        """
        Start the node and a robot, and track.

        :param command: what to run instead of the executable
        :param is_active: wait until it is active, send pictures and prompt; otherwise only start
        :param objects: how many are prompted on the red square
        :param is_still: nothing moves in front of the camera
        """
        arguments = [*(command or [executable('tracker')]), '--ros-args']
        if namespace:
            arguments += ['-r', f'__ns:=/{namespace}', '-r', f'/{namespace}/image:=/image']
        settings = {'image_transport': 'compressed' if compressed else 'raw', **(parameters or {})}
        for name, value in settings.items():
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ['-p', f'{name}:={shown}']
        live = Live(self, self.program(arguments, environment), namespace, compressed, hw,
                    camera_depth)
        live.robot.is_still = is_still
        self.lives.append(live)
        if is_active:
            live.wait_until_active()
            live.shoot(3)
            for _ in range(objects):
                live.add_red()
            live.track()
        live.begin()
        return live

    def process(self, *arguments: object, timeout_s: float = COMMAND_S) -> Ended:
        """
        Run the offline command to its end.

        :raises DiedError: if it ended by a signal or with a traceback
        :raises FrozeError: if it had to be killed, Ctrl-C not helping
        """
        return self.command(offline_command(*arguments), timeout_s)

    def command(self, command: Sequence[str], timeout_s: float = COMMAND_S) -> Ended:
        """Run a command to its end, with `process`'s judgement."""
        self._commands += 1
        folder = self.folder / f'command_{self._commands}'
        folder.mkdir()
        ended = run_command(command, folder, timeout_s, interrupt=True)
        self.said = ended.last_words
        if ended.code is None:
            raise FrozeError(f'not done after {timeout_s:.0f} s, and Ctrl-C did not end it')
        if ended.code < 0:
            raise DiedError(f'ended by signal {signal.Signals(-ended.code).name}')
        if 'Traceback (most recent call last)' in ended.err:
            raise DiedError(f'ended with a traceback: {ended.last_words[:150]}')
        if ended.took_s > timeout_s:
            raise FrozeError(f'not done after {timeout_s:.0f} s; Ctrl-C ended it')
        return ended

    def module(self, name: str, *arguments: object, timeout_s: float = COMMAND_S) -> Ended:
        """Run a module as a command, with `process`'s judgement."""
        return self.command([sys.executable, '-m', name, *map(str, arguments)], timeout_s)

    def clip(self, count: int = 8, name: str = 'clip', hw: tuple[int, int] = HW) -> Path:
        """Write a folder of pictures with the red square."""
        return write_folder(self.folder / name, count, hw)

    @property
    def box(self) -> tuple[str, str]:
        """Return the offline command's prompt for the red square of the first picture."""
        return '--box', ','.join(map(str, red_box(0)))

    @property
    def last_said(self) -> str:
        """Return what the programs said."""
        return self.said or ' / '.join(filter(None, (each.said for each in self.lives)))

    def close(self) -> None:
        """End everything."""
        for live in self.lives:
            live.robot.close()
        for program in self._programs:
            program.kill()


class Live:
    """A running node with its robot; whatever goes unanswered is a verdict."""

    def __init__(self, stage: Stage, program: Program, namespace: str, compressed: bool,
                 hw: tuple[int, int], camera_depth: int) -> None:
        self.program = program
        self.hw = hw
        self._stage = stage
        self._compressed = compressed
        tracker = f'/{namespace}/sam2_tracker' if namespace else '/sam2_tracker'
        self.robot = Robot(stage.domain_id, tracker, name=f'robot_{len(stage.lives)}',
                           camera_depth=camera_depth)
        self._printed_before = 0

    def begin(self) -> None:
        """From here on what it says is about the fault."""
        self._printed_before = len(self.program.printed)

    @property
    def log(self) -> str:
        """Return what it has printed since the fault began."""
        return self.program.printed[self._printed_before:]

    @property
    def said(self) -> str:
        """Return its last WARN and ERROR sentences since the fault began."""
        found = [f'{level}: {sentence}' for level, sentence in _LOG_LINE.findall(self.log)
                 if not sentence.startswith(_OF_EVERY_START)]
        return ' / '.join(dict.fromkeys(found[-3:]))

    def refuse_dead(self) -> None:
        """
        Make sure that the process is there.

        :raises DiedError: if not
        """
        code = self.program.exit_code
        if code is not None:
            how = f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'
            raise DiedError(f'the node ended with {how}')

    def wait_until_active(self) -> None:
        """
        Wait until it tracks.

        :raises FrozeError: if it does not become active
        """
        end_s = time.monotonic() + START_S
        while self.robot.state(2.0) != 'active':
            self.refuse_dead()
            if time.monotonic() > end_s:
                raise FrozeError(f'not active within {START_S:.0f} s: {self.log[-300:]}')
            time.sleep(0.1)
        camera = self.robot.jpeg_camera if self._compressed else self.robot.camera
        self.robot.wait(camera.get_subscription_count, START_S)

    def shoot(self, count: int = 1, period_s: float = 0.1) -> list[int]:
        """Send pictures at a rate, whatever comes of them; return their stamps."""
        return [self.robot.shoot(self.hw, period_s, self._compressed) for _ in range(count)]

    def answer(self, reply: Any, what: str = 'a request') -> Any:
        """
        Return a reply.

        :raises FrozeError: if there is none
        """
        if reply is None:
            self.refuse_dead()
            raise FrozeError(f'{what} was not answered')
        return reply

    def accepted(self, reply: Any, what: str) -> Any:
        """
        Return a reply that grants what was asked for.

        :raises LiedError: if it does not
        """
        if not self.answer(reply, what).success:
            raise LiedError(f'{what} was refused: {reply.message}')
        return reply

    def refused(self, reply: Any, what: str) -> str:
        """
        Return the reason of a refusal.

        :raises LiedError: if it was granted
        """
        expect(not self.answer(reply, what).success, f'{what} was taken')
        self._stage.said = str(reply.message)
        return self._stage.said

    def add_red(self, **fields: Any) -> int:
        """Click on the red square of the newest picture and return the object's id."""
        x, y = red_centre(self.robot.number, self.hw)
        reply = self.accepted(self.robot.add([click(x, y)], **fields), 'a click')
        return int(reply.objects[0].id)

    def objects(self, timeout_s: float = ANSWER_S) -> dict[int, Any]:
        """List the objects by id."""
        reply = self.accepted(self.robot.list(timeout_s), 'list_objects')
        return {each.id: each for each in reply.objects}

    def track(self, timeout_s: float = RESULT_S) -> None:
        """
        Send pictures until one of them has its result.

        :raises FrozeError: if none has
        """
        since, begun_s = len(self.robot.results), time.monotonic()
        sent: set[int] = set()
        while not sent & self.robot.stamps(since):
            self._stage.recovered = False
            self.refuse_dead()
            if time.monotonic() > begun_s + timeout_s:
                raise FrozeError(f'no result for {timeout_s:.0f} s')
            # Under `every` a backlog comes first: it must not grow for ever.
            sent.update(self.shoot(1, 0.1 if len(sent) < _FAST_PICTURES else 0.5))
        self._stage.recovered = True

    def wait_for_results(self, stamps: Sequence[int], timeout_s: float = RESULT_S) -> int:
        """Wait until all these pictures have results, or the time is over; return how many do."""
        self.robot.wait(lambda: set(stamps) <= self.robot.stamps(), timeout_s)
        return len(set(stamps) & self.robot.stamps())

    def health(self, level: int, timeout_s: float = 8.0, about: str = '') -> str:
        """
        Send pictures until there is a diagnosis of at least a level; return what it says.

        :param about: regular expression that the message must hold
        :raises LiedError: if it does not come
        """
        def found() -> str:
            return next((each.message for each in self.robot.health[since:]
                         if each.level >= level and re.search(about, each.message)), '')
        since, end_s = len(self.robot.health), time.monotonic() + timeout_s
        while not (message := found()) and time.monotonic() < end_s:
            self.shoot()
        if not message:
            self.refuse_dead()
            latest = self.robot.health[-1] if len(self.robot.health) > since else None
            word = ('OK', 'WARN', 'ERROR', 'STALE')[latest.level] if latest else 'nothing'
            raise LiedError(f'/diagnostics says {word}'
                            + (f' {latest.message!r}' if latest else ''))
        return message

    def figure(self, key: str) -> float:
        """Return a figure of the next diagnosis."""
        since = len(self.robot.health)
        self.robot.wait(lambda: len(self.robot.health) > since, 5.0)
        self.answer(self.robot.health[since:] or None, '/diagnostics')
        return float(self.robot.health[-1].values.get(key, 'nan'))

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """
        Stop it as Ctrl-C does.

        :raises FrozeError: if it has to be killed
        :raises DiedError: if its exit code is not 0
        """
        self.refuse_dead()
        code = self.program.stop(number)
        if code is None:
            raise FrozeError(f'{number.name} does not end it')
        if code:
            raise DiedError(f'it ends with exit code {code} after {number.name}')
