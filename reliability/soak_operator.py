# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The soak's operator, who does everything at once, and the subscribers around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
import shutil
import signal
import threading
from typing import Any

from reliability.processes import Program
from reliability.robot import click, Robot
from sensor_msgs.msg import CompressedImage, Image

MOST_OBJECTS = 3
_ANSWER_S = 45.0


class Operator:
    """
    Asks for one thing after the other, and notes what is not answered.

    :param snapshots: where alone snapshots are removed, whatever path the node names
    """

    def __init__(self, robot: Robot, seed: int, snapshots: Path) -> None:
        self._robot = robot
        self._snapshots = snapshots.resolve()
        self._random = Random(seed)
        self.requests = 0
        self.unanswered: list[str] = []
        self.granted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._actions: dict[str, tuple[float, Callable[[], Any]]] = {
            'add': (10, self._add), 'add on a past frame': (6, self._add_past),
            'refine': (8, self._refine), 'replace': (3, self._replace),
            'remove': (7, self._remove), 'list': (5, robot.list), 'preview': (4, self._preview),
            'a wrong prompt': (3, self._wrong), 'reset': (1, lambda: robot.trigger('reset')),
            'pause': (1, self._pause), 'snapshot': (0.5, self._snapshot),
            'set a parameter': (2, self._set), 'save': (0.7, lambda: robot.save('soak')),
            'load': (0.7, lambda: robot.load('soak'))}

    def act(self) -> None:
        """Do one thing by chance."""
        name = self._random.choices(list(self._actions),
                                    [weight for weight, _ in self._actions.values()])[0]
        reply = self._actions[name][1]()
        self.requests += 1
        if reply is None:
            self.unanswered.append(name)
        elif getattr(reply, 'success', getattr(reply, 'successful', True)):
            self.granted[name] += 1
        else:
            self.refused[name] += 1

    def _ids(self) -> list[int]:
        return list(self._robot.results[-1].states) if self._robot.results else []

    def _click(self, object_id: int = 0) -> Any:
        return click(self._random.uniform(0, 79), self._random.uniform(0, 59), object_id)

    def _add(self) -> Any:
        return self._robot.add([self._click()], timeout_s=_ANSWER_S)

    def _add_past(self) -> Any:
        results = self._robot.results[-30:]
        stamp_ns = self._random.choice(results).stamp_ns if results else 0
        return self._robot.add([self._click()], stamp_ns, _ANSWER_S)

    def _of_one(self, ask: Callable[[int], Any]) -> Any:
        ids = self._ids()
        return ask(self._random.choice(ids)) if ids else self._add()

    def _refine(self) -> Any:
        return self._of_one(lambda object_id: self._robot.add(
            [self._click(object_id)], timeout_s=_ANSWER_S))

    def _replace(self) -> Any:
        return self._of_one(lambda object_id: self._robot.add(
            [self._click(object_id)], timeout_s=_ANSWER_S, clear_previous=True))

    def _remove(self) -> Any:
        return self._of_one(self._robot.remove)

    def _preview(self) -> Any:
        return self._robot.add([self._click()], timeout_s=_ANSWER_S, preview_only=True)

    def _wrong(self) -> Any:
        return self._robot.add([click(-5, 1e9, self._random.choice((0, 999)))])

    def _pause(self) -> Any:
        self._robot.pause(True)
        threading.Event().wait(1.0)
        return self._robot.pause(False)

    def _snapshot(self) -> Any:
        reply = self._robot.trigger('snapshot')
        if reply and reply.success:
            folder = Path(reply.message).resolve()
            if self._snapshots not in folder.parents:
                raise ValueError(f'a snapshot outside {self._snapshots}: {reply.message!r}')
            shutil.rmtree(folder, ignore_errors=True)
        return reply

    def _set(self) -> Any:
        return self._robot.set_parameter('tracking.look_back_frames',
                                         self._random.choice((0, 4, 12, 30)))


class Subscribers:
    """
    Come, go and sleep.

    :param start: starts one in a process of its own
    """

    def __init__(self, robot: Robot, start: Callable[[], Program], seed: int) -> None:
        self._robot = robot
        self._start = start
        self._random = Random(seed)
        self._here: list[Any] = []
        self._sleeper = start()
        self._asleep = False

    def act(self) -> None:
        """Let one come, go, fall asleep, wake up, or be killed."""
        chance = self._random.random()
        if chance < 0.15:
            self._asleep = not self._asleep
            self._sleeper.send(signal.SIGSTOP if self._asleep else signal.SIGCONT)
        elif chance < 0.2:
            self._sleeper.kill()
            self._sleeper, self._asleep = self._start(), False
        elif self._here and chance < 0.6:
            place = self._random.randrange(len(self._here))
            self._robot.node.destroy_subscription(self._here.pop(place))
        elif len(self._here) < 6:
            self._subscribe()

    def _subscribe(self) -> None:
        ids = list(self._robot.results[-1].states) if self._robot.results else []
        topic, kind = self._random.choice([
            ('label_image', Image), ('annotated', Image),
            ('annotated/compressed', CompressedImage),
            *((f'object_{number}/mask', Image) for number in ids)])
        self._here.append(self._robot.node.create_subscription(
            kind, f'/sam2_tracker/{topic}', lambda _: None, 5))

    def wake(self) -> None:
        """Let nobody sleep at the end."""
        self._sleeper.send(signal.SIGCONT)
