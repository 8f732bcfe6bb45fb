# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
A tracker for the console's tests, without ROS or a model.

Its camera draws each picture's number on it; an object is a disc around the point or box that it
was prompted with, which moves with the pictures.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.prompts.validation import label_after
from sam2_tracker.core.text import counted
from sam2_tracker.core.types import (  # noqa: I101
    Box,
    ObjectState,
    TrackedObject,
    UInt8Array,
    UInt16Array,
)
from sam2_tracker.web.tracker_client import (
    Answer,
    Health,
    NoAnswerError,
    Observer,
    Picture,
    PromptCall,
)

START_NS = 1_700_000_000_000_000_000
BITS = 20
STRIP_HEIGHT = 32
RADIUS = 42
DRIFT_PX = 0.6


def stamp_of(number: int, rate_hz: float) -> int:
    """Return the stamp of the picture with a number."""
    return START_NS + round(number * 1e9 / rate_hz)


def number_of(stamp_ns: int, rate_hz: float) -> int:
    """Return the number of the picture with a stamp."""
    return round((stamp_ns - START_NS) * rate_hz / 1e9)


def numbered_picture(number: int, hw: tuple[int, int]) -> UInt8Array:
    """Draw a picture: its number as a strip of black and white along the top, (h, w, 3) RGB."""
    height, width = hw
    rows, columns = np.mgrid[:height, :width]
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = 46 + 30 * rows / height
    picture[..., 1] = 60 + 40 * columns / width
    picture[..., 2] = 76
    picture[(rows // 40 + columns // 40) % 2 == 0] += 9
    for place in range(6):
        centre = (width * (place + 1) // 7 + round(DRIFT_PX * number) % 9, height * 3 // 5)
        colour = [int(each) for each in (210 - 25 * place, 90 + 22 * place, 60 + 30 * place)]
        cv2.circle(picture, centre, RADIUS - 6, colour, -1, cv2.LINE_AA)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        picture[:STRIP_HEIGHT, left:right] = 235 if number >> bit & 1 else 20
    return picture


@dataclass
class StandInObject:
    """What is tracked: a disc."""

    id: int  # noqa: A003
    x: float
    y: float
    number: int
    radius: float = RADIUS
    label: str = ''
    state: ObjectState = ObjectState.VISIBLE
    prompts: list[PromptCall] = field(default_factory=list)

    def mask(self, number: int, hw: tuple[int, int]) -> np.ndarray:
        rows, columns = np.ogrid[:hw[0], :hw[1]]
        x = self.x + DRIFT_PX * (number - self.number)
        x = x % hw[1]
        return (columns - x) ** 2 + (rows - self.y) ** 2 < self.radius ** 2


class StandIn:
    """
    A `TrackerClient`.

    :param rate_hz: of its camera
    :param behind: so many pictures the masks come late
    :ivar calls: every prompt that it was asked for
    :ivar buffer_s: how far back new objects may go
    :ivar look_back_s: how far back corrections may go
    """

    def __init__(self, rate_hz: float = 15.0, hw: tuple[int, int] = (480, 640),
                 behind: int = 1) -> None:
        self.rate_hz, self.hw, self.behind = rate_hz, hw, behind
        self.calls: list[PromptCall] = []
        self.done: list[str] = []
        self.objects: OrderedDict[int, StandInObject] = OrderedDict()
        self.next_id = 1
        self.number = 0
        self.buffer_s, self.look_back_s = 20.0, 20.0
        self.answer_s = 0.02
        self.is_watched = self.is_paused = False
        self.is_silent = self.is_standing = False
        self.health: Health | None = None
        self.watched: list[bool] = []
        self._observer: Observer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def tracker(self) -> str:
        return '/sam2_tracker'

    def start(self, observer: Observer) -> None:
        self._observer = observer
        self._task = asyncio.ensure_future(self._run())

    def watch(self, is_watched: bool) -> None:
        self.is_watched = is_watched
        self.watched.append(is_watched)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            if not self.is_standing:
                self._step()
            if self.number % max(1, round(self.rate_hz / 2)) == 0:
                self._observer.on_health(self.health or self._health())
            self.number += 1
            await asyncio.sleep(max(0.0, began_s + self.number / self.rate_hz - loop.time()))

    def _step(self) -> None:
        number, hw = self.number, self.hw
        if self.is_watched:
            self._observer.on_picture(Picture(
                stamp_of(number, self.rate_hz), hw, lambda: numbered_picture(number, hw)))
        done = number - self.behind
        if self.is_paused or self.is_silent or done < 0:
            return
        stamp_ns = stamp_of(done, self.rate_hz)
        self._observer.on_objects(stamp_ns, self.shown(done))
        if self.is_watched:
            labels = self.labels(done)
            self._observer.on_labels(stamp_ns, lambda: labels)

    def _health(self) -> Health:
        newest = stamp_of(self.number, self.rate_hz)
        figures = {
            'state': 'active', 'paused': str(self.is_paused).lower(),
            'fps in': f'{self.rate_hz:.1f}', 'fps out': f'{self.rate_hz:.1f}',
            'latency p50 ms': '71.3', 'latency p95 ms': '98.0',
            'frames skipped': '0', 'frames dropped': '0', 'frames lost': '0',
            'oldest buffered stamp': format_stamp(
                max(START_NS, newest - round(self.buffer_s * 1e9))),
            'oldest refinable stamp': format_stamp(
                max(START_NS, newest - round(self.look_back_s * 1e9)))}
        objects = counted(len(self.objects), 'object')
        sentence = 'paused' if self.is_paused else f'tracking {objects}'
        return Health('ok', 'active', sentence, figures)

    def shown(self, number: int) -> tuple[TrackedObject, ...]:
        """Return the objects as they are on a picture."""
        return tuple(self._shown(each, number) for each in self.objects.values())

    def _shown(self, item: StandInObject, number: int) -> TrackedObject:
        rows, columns = np.nonzero(item.mask(number, self.hw))
        if item.state is not ObjectState.VISIBLE or not rows.size:
            return TrackedObject(item.id, item.label, item.state, 0.12)
        left, top = int(columns.min()), int(rows.min())
        box = Box(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
        score = 0.93 + 0.05 * np.sin(number / 7 + item.id)
        return TrackedObject(item.id, item.label, item.state, score, box, rows.size)

    def labels(self, number: int, ids: tuple[int, ...] | None = None) -> UInt16Array:
        """Return the label image of a picture."""
        labels = np.zeros(self.hw, np.uint16)
        for item in self.objects.values():
            if item.state is ObjectState.VISIBLE and (ids is None or item.id in ids):
                labels[item.mask(number, self.hw)] = item.id
        return labels

    async def prompt(self, call: PromptCall) -> Answer:
        if self.is_silent:
            raise NoAnswerError('/sam2_tracker/add_prompts gave no answer within 15 s')
        await asyncio.sleep(self.answer_s)
        if not call.preview_only:
            self.calls.append(call)
        prompt, number = call.prompt, number_of(call.stamp_ns, self.rate_hz)
        if prompt.label:
            self._known(prompt.object_id).label = label_after(prompt)
            return Answer(True, stamp_ns=call.stamp_ns)
        self._check(call)
        item = self._known(prompt.object_id) if prompt.object_id else StandInObject(
            self.next_id, 0.0, 0.0, number)
        if call.preview_only:
            item = replace(item, prompts=[])
        if call.clear_previous:
            item.prompts.clear()
        self._take(item, call, number)
        if not (prompt.object_id or call.preview_only):
            self.objects[item.id] = item
            self.next_id += 1
        labels = np.where(item.mask(number, self.hw), np.uint16(item.id), np.uint16(0))
        return Answer(True, '', call.stamp_ns, (self._shown(item, number),), labels)

    def _check(self, call: PromptCall) -> None:
        newest = stamp_of(self.number, self.rate_hz)
        back_s = self.look_back_s if call.prompt.object_id else self.buffer_s
        oldest = newest - round(back_s * 1e9)
        if call.stamp_ns < oldest:
            raise PromptError(f'the frame of stamp {format_stamp(call.stamp_ns)} is too old: the '
                              f'oldest is {format_stamp(oldest)}')
        if self.is_paused and not call.preview_only:
            raise PromptError('tracking is paused: prompts are taken when it goes on')

    def _take(self, item: StandInObject, call: PromptCall, number: int) -> None:
        prompt = call.prompt
        item.number = number
        if prompt.box_xyxy is not None:
            left, top, right, bottom = prompt.box_xyxy
            item.x, item.y = float(left + right) / 2, float(top + bottom) / 2
            item.radius = float(min(right - left, bottom - top)) / 2
        elif len(prompt.points_xy) and prompt.point_labels[0]:
            item.x, item.y = (float(each) for each in prompt.points_xy[0])
        elif len(prompt.points_xy):
            item.radius *= 0.7
        if not call.preview_only and (len(prompt.points_xy) or prompt.box_xyxy is not None):
            item.prompts.append(call)

    def _known(self, object_id: int) -> StandInObject:
        if object_id not in self.objects:
            raise PromptError(f'object {object_id} is not tracked')
        return self.objects[object_id]

    async def list_objects(self) -> Answer:
        return Answer(True, objects=self.shown(self.number))

    async def remove(self, object_id: int) -> Answer:
        self._known(object_id)
        del self.objects[object_id]
        self.done.append(f'remove {object_id}')
        return Answer(True)

    async def reset(self) -> Answer:
        self.objects.clear()
        self.done.append('reset')
        return Answer(True)

    async def pause(self, is_paused: bool) -> Answer:
        self.is_paused = is_paused
        self.done.append('pause' if is_paused else 'go on')
        return Answer(True, 'paused' if is_paused else 'tracking')

    async def save_memory(self, name: str) -> Answer:
        self.done.append(f'save {name}')
        return Answer(True, f'/robot/memories/{name}.safetensors')

    async def load_memory(self, name: str) -> Answer:
        raise PromptError(f'no object memory {name}.safetensors in /robot/memories: there is none')
