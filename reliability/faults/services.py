# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that are wrong, huge or many, and labels that no topic can carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import itertools
from pathlib import Path
import random
import threading
import time
from typing import Any

from geometry_msgs.msg import Point
from reliability.robot import click, to_bytes
from reliability.stage import Live, Stage
from reliability.verdicts import expect, fault, FrozeError
from sam2_tracker_msgs.msg import Prompt
from sensor_msgs.msg import Image, RegionOfInterest

_GAP_S = 3.0
_CLIENTS = 50
_LARGEST = 2 ** 32 - 1


def _longest_gap_s(live: Live, request: Callable[[], Any]) -> tuple[float, Any]:
    """Ask for something while the camera goes on; return the longest time without a result."""
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(request()), daemon=True)
    since, begun_s = len(live.robot.results), time.monotonic()
    asking.start()
    while asking.is_alive():
        live.shoot(1, 0.15)
    live.track()
    times_s = [begun_s, *(each.received_s for each in live.robot.results[since:])]
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    return max(gaps_s), answers[0]


def _taken_in_turns(stage: Stage, prompts: list[Prompt]) -> None:
    live = stage.live({'tracking.max_objects': 1000, 'prompt.timeout_s': 40.0})
    gap_s, reply = _longest_gap_s(
        live, lambda: live.robot.add(prompts, preview_only=True, timeout_s=60.0))
    live.answer(reply, 'the request')
    stage.said = f'success={reply.success} {reply.message}'
    if gap_s > _GAP_S:
        raise FrozeError(f'no result for {gap_s:.0f} s meanwhile')


@fault('One request of 999 previews: refused by a limit, or taken in turns with the frames '
       '(no gap over 3 s).')
def many_previews(stage: Stage) -> None:
    _taken_in_turns(stage, [click(48, 60)] * 999)


@fault('One prompt of 10,000 points: refused by a limit, or no gap over 3 s in the stream.')
def many_points(stage: Stage) -> None:
    _taken_in_turns(stage, [Prompt(points=[Point(x=48.0, y=60.0)] * 10_000,
                                   point_labels=[1] * 10_000)])


def _mask(**fields: Any) -> Prompt:
    size = fields.pop('size', 160 * 120)
    mask = Image(**{'width': 160, 'height': 120, 'step': 160, 'encoding': 'mono8', **fields})
    mask.data = to_bytes(bytes(size))
    return Prompt(mask=mask)


def wrong_prompts() -> dict[str, list[Prompt]]:
    """Return requests of which each has to be refused."""
    nan, infinite = float('nan'), float('inf')
    return {
        'nothing': [], 'an empty one': [Prompt()], 'not a number': [click(nan, 5)],
        'infinity': [click(infinite, 5)], '1e308': [click(1e308, 5)],
        'just outside': [click(-0.0001, 5)],
        'a label of 255': [Prompt(points=[Point(x=9.0, y=9.0)], point_labels=[255])],
        'no labels': [Prompt(points=[Point(x=9.0, y=9.0)])],
        'only labels': [Prompt(point_labels=[1])],
        'a box outside': [Prompt(box=RegionOfInterest(
            x_offset=_LARGEST, y_offset=_LARGEST, width=_LARGEST, height=_LARGEST))],
        'a box without height': [Prompt(box=RegionOfInterest(width=5))],
        'a mask of zeros': [_mask()], 'a short mask': [_mask(size=10)],
        'a mask of another size': [_mask(width=100, step=100, size=100 * 120)],
        'a coloured mask': [_mask(encoding='rgb8')],
        'the largest mask': [_mask(width=_LARGEST, height=_LARGEST, step=_LARGEST, size=4)],
        'one id twice': [click(9, 9, 1), click(9, 9, 1)], 'an unknown id': [click(9, 9, 65535)],
        'too many': [click(9, 9)] * 65535}


@fault('Wrong prompts of 19 kinds: each is refused with a sentence, and the objects '
       'stay as they are.')
def wrong_requests(stage: Stage) -> None:
    live = stage.live()
    for name, prompts in wrong_prompts().items():
        reply = live.answer(live.robot.add(prompts, timeout_s=40.0), name)
        expect(not reply.success, f'{name} was taken')
        expect(reply.message and len(reply.message) < 600,
               f'{name} is answered with {len(reply.message)} characters')
    expect(sorted(live.objects()) == [1], f'there are objects {sorted(live.objects())}')
    live.track()
    expect('Traceback' not in live.log, 'the log has a traceback')


@fault('Labels of 10 MB, of control characters and with a NUL, by prompt: refused, or kept '
       'within 256 printable characters.')
def labels_beyond_measure(stage: Stage) -> None:
    live = stage.live()
    for label in ('L' * 10_000_000, 'a\nb\x1b[2J\rX', 'a\x07b'):
        live.answer(live.robot.add([click(48, 60, 1, label)]), 'a label')
        shown = live.objects()[1].label
        expect(len(shown) <= 256 and shown.isprintable(),
               f'an object is called {shown[:20]!r} ({len(shown)} characters)')
    live.track()


def _surrogate_file(stage: Stage, frame: int) -> Path:
    file = stage.folder / 'prompts.yaml'
    file.write_text('prompts:\n- {frame: 0, points: [[48, 60]], label: cup}\n'
                    f'- {{frame: {frame}, points: [[120, 60]], label: "\\ud800"}}\n')
    return file


@fault('A lone surrogate as a label in the prompts file of the node: refused with a '
       'sentence at configure, or kept away from ~/objects.')
def surrogate_in_prompts_file(stage: Stage) -> None:
    live = stage.live({'prompts_file': _surrogate_file(stage, 5), 'frame_policy': 'every'},
                      is_active=False)
    live.robot.wait(lambda: live.said or live.robot.state(2.0) == 'active', 60.0)
    if live.said and live.robot.state() != 'active':
        expect(live.said, 'it is not active and says nothing')
        return
    live.wait_until_active()
    stamps = live.shoot(10)
    came = live.wait_for_results(stamps, 40.0)
    stage.lost = f'{len(stamps) - came} of {len(stamps)} results'
    if came < len(stamps):
        raise FrozeError(f'~/objects ends after {came} of {len(stamps)} frames')
    live.objects()


@fault('A lone surrogate as a label, offline with every output: a sentence, no signal and '
       'no traceback.')
def surrogate_offline(stage: Stage) -> None:
    clip, file = stage.clip(8), _surrogate_file(stage, 2)
    for option, name in (('--video', 'o.mp4'), ('--csv', 'o.csv'), ('--coco', 'o.json'),
                         ('--output', 'bag'), ('--save-memory', 'o.safetensors')):
        ended = stage.process(clip, '--prompts', file, option, stage.folder / name)
        expect(ended.code == 2, f'{option}: exit code {ended.code}: {ended.last_words[:100]}')


class Storm:
    """Many clients that ask for anything at once."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._random = random.Random(3)
        self.answered: Counter[str] = Counter()
        self.unanswered: list[str] = []
        self._lock = threading.Lock()

    def _ask_something(self, number: int) -> None:
        robot, chance = self._live.robot, self._random
        kinds: dict[str, Callable[[], Any]] = {
            'add': lambda: robot.add([click(chance.uniform(0, 159), chance.uniform(0, 119))],
                                     timeout_s=40.0),
            'remove': lambda: robot.remove(chance.randint(1, 30)),
            'list': lambda: robot.list(40.0),
            'parameter': lambda: robot.set_parameter('tracking.look_back_frames',
                                                     chance.randint(0, 30)),
            'state': lambda: robot.state(40.0)}
        kind = list(kinds)[number % len(kinds)]
        reply = kinds[kind]()
        with self._lock:
            if reply:
                self.answered[kind] += 1
            else:
                self.unanswered.append(kind)

    def blow(self, count: int) -> None:
        """Ask at once, and wait for all answers."""
        threads = [threading.Thread(target=self._ask_something, args=(number,), daemon=True)
                   for number in range(count)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self._live.shoot(1, 0.2)


@fault(f'{_CLIENTS} requests of all kinds at once, three times: each is answered.',
       limit_s=150.0)
def storm_of_requests(stage: Stage) -> None:
    live = stage.live({'tracking.max_objects': 4, 'prompt.timeout_s': 30.0})
    storm = Storm(live)
    for _ in range(3):
        storm.blow(_CLIENTS)
    stage.lost = f'{len(storm.unanswered)} of {3 * _CLIENTS} answers'
    if storm.unanswered:
        raise FrozeError(f'unanswered: {Counter(storm.unanswered)}')
    live.track()
