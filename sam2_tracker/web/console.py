# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The console's memory and its hands: what came from the tracker, and what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
import time

from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.types import Prompt, TrackedObject
from sam2_tracker.web.encoding import objects_as_json, prompts_as_json
from sam2_tracker.web.history import History, Made, Undo
from sam2_tracker.web.requests import PageRequest
from sam2_tracker.web.stream import Stream
from sam2_tracker.web.tracker_client import (
    Answer,
    Health,
    Labels,
    NoAnswerError,
    Picture,
    PromptCall,
    TrackerClient,
)

LISTED = 'the list shows what is tracked; nothing is sent twice'
# Of the prompts made: a page draws those on the picture that it has frozen, the newest as a rule.
MOST_DRAWN = 100
UNKNOWN = Health('warning', 'away', 'nothing was heard of the tracker yet')


@dataclass(frozen=True, eq=False)
class Reply:
    """
    What a page is told of its request.

    :param took_ms: how long the tracker took
    """

    answer: Answer
    took_ms: float


class Console:
    """
    What all pages share: the stream, the tracker's health, the prompts made, and one at a time.

    Used in one thread.
    """

    def __init__(self, client: TrackerClient) -> None:
        self._client = client
        self._changes = asyncio.Lock()
        self._is_previewing = False
        self._watchers = 0
        self._told = asyncio.Event()
        self._heard = 0
        self.history = History()
        self.stream = Stream()
        self.health = UNKNOWN

    def start(self) -> None:
        """Begin to listen to the tracker."""
        self._client.start(self)

    # What comes from the tracker.

    def on_picture(self, picture: Picture) -> None:
        """Take a picture of the camera."""
        self.stream.on_picture(picture)

    def on_objects(self, stamp_ns: int, objects: tuple[TrackedObject, ...]) -> None:
        """Take the objects of a frame."""
        before = {(each.id, each.label) for each in self.stream.objects}
        self.stream.on_objects(stamp_ns, objects)
        if before != {(each.id, each.label) for each in objects}:
            # One that was just prompted may not be among them yet, but was not before either.
            self.history.drop({name for name, _ in before} - {each.id for each in objects})
            self._tell()

    def on_labels(self, stamp_ns: int, labels: Labels) -> None:
        """Take the masks of a frame."""
        self.stream.on_labels(stamp_ns, labels)

    def on_health(self, health: Health) -> None:
        """Take how the tracker is."""
        self.health = health
        self._heard += 1
        self.stream.on_health(health)
        self._tell()

    # Who looks.

    def begin_to_watch(self) -> None:
        """Count a viewer; with the first one pictures and masks are asked for."""
        self._watchers += 1
        if self._watchers == 1:
            self._client.watch(True)
        self._tell()

    def end_to_watch(self) -> None:
        """Count a viewer less; after the last one nothing is asked for any more."""
        self._watchers -= 1
        if not self._watchers:
            self._client.watch(False)
            self.stream.forget_pictures()
        self._tell()

    @property
    def watchers(self) -> int:
        """Return how many look."""
        return self._watchers

    @property
    def told(self) -> asyncio.Event:
        """Return what is set when the status will be another one."""
        return self._told

    def _tell(self) -> None:
        told, self._told = self._told, asyncio.Event()
        told.set()

    def status(self) -> dict[str, object]:
        """Return what every page shows of the tracker."""
        last = self.history.last
        return {
            'kind': 'status',
            'tracker': self._client.tracker,
            'level': self.health.level,
            'state': self.health.state,
            'sentence': self.health.sentence,
            'paused': self.health.is_paused,
            'figures': dict(self.health.figures),
            'heard': self._heard,
            'objects': objects_as_json(self.stream.objects),
            'prompts': prompts_as_json(self.history.made[-MOST_DRAWN:]),
            'undo': {'what': last.what, 'object': last.object_id} if last else None,
            'viewers': self._watchers,
        }

    # What is asked of the tracker.

    async def do(self, request: PageRequest) -> Reply:
        """
        Do what a page asks for; refusals are answers.

        :raises TrackerError: never; what went wrong is the answer's sentence
        """
        began_s = time.monotonic()
        try:
            answer = await self._done(request)
        except NoAnswerError as error:
            answer = Answer(False, f'{error}: {await self._listed()}')
        except TrackerError as error:
            answer = Answer(False, str(error))
        return Reply(answer, (time.monotonic() - began_s) * 1e3)

    async def _done(self, request: PageRequest) -> Answer:
        if request.preview_only:
            return await self._preview(request)
        if request.do == 'list':
            return await self._client.list_objects()
        await self._changes.acquire()
        # Whoever asked may leave: what was begun is ended nevertheless, or half of it would be
        # done, and be missing among the prompts made. What waits for its turn goes with the page.
        change = asyncio.ensure_future(self._change(request))
        change.add_done_callback(self._changed)
        return await asyncio.shield(change)

    def _changed(self, change: asyncio.Future[Answer]) -> None:
        self._changes.release()
        self._tell()
        if not change.cancelled():
            change.exception()  # Told to whoever asked, if that one is still there.

    async def _change(self, request: PageRequest) -> Answer:
        client, text = self._client, request.text
        changes: dict[str, Callable[[], Awaitable[Answer]]] = {
            'prompt': lambda: self._prompt(request),
            'rename': lambda: client.prompt(_call_of(request)),
            'undo': self._undo,
            'remove': lambda: self._remove(request.object_id),
            'reset': self._reset,
            'pause': lambda: client.pause(request.flag),
            'save': lambda: client.save_memory(text),
            'load': lambda: client.load_memory(text),
        }
        return await changes[request.do]()

    async def _preview(self, request: PageRequest) -> Answer:
        # Of all pages: a preview is worth nothing once it has waited for another.
        if self._is_previewing:
            return Answer(False, 'another preview is being made')
        self._is_previewing = True
        try:
            return await self._client.prompt(
                replace(_call_of(request), preview_only=True, with_label_image=True))
        finally:
            self._is_previewing = False

    async def _prompt(self, request: PageRequest) -> Answer:
        call = replace(_call_of(request), with_label_image=True)
        answer = await self._client.prompt(call)
        if not answer.is_done or not answer.objects:
            return answer
        prompted = replace(call.prompt, object_id=answer.objects[0].id)
        made = Made(answer.stamp_ns, prompted, is_first=not call.prompt.object_id)
        self.history.add(made)
        if call.stamp_ns and answer.stamp_ns != call.stamp_ns:
            return await self._take_back_moved(call.stamp_ns, answer.stamp_ns)
        return answer

    async def _take_back_moved(self, asked_ns: int, taken_ns: int) -> Answer:
        """Take a prompt back that the tracker took for the neighbour of a frame that has gone."""
        undone = await self._undo()
        end = 'it was taken back' if undone.is_done else f'it stays there: {undone.sentence}'
        return Answer(False, f'the picture of stamp {format_stamp(asked_ns)} is not buffered any '
                             f'more, and the nearest one ({format_stamp(taken_ns)}) was taken '
                             f'for it: {end}')

    async def _undo(self) -> Answer:
        undo = self.history.undo()
        if undo is None:
            return Answer(False, 'there is no prompt of this console to take back')
        answer = await self._taken_back(undo)
        if answer.is_done:
            self.history.undone(undo)
            object_id = undo.made.object_id
            return replace(
                answer, removed=object_id if undo.remove else 0,
                sentence=f'the {undo.made.what} on object {object_id} is taken back')
        return answer

    async def _taken_back(self, undo: Undo) -> Answer:
        if undo.remove:
            return await self._client.remove(undo.made.object_id)
        answer = Answer(True)
        for number, call in enumerate(undo.calls):
            answer = await self._client.prompt(replace(call, with_label_image=True))
            if not answer.is_done and number:
                self.history.undone(undo)
                return replace(answer, sentence='the prompt is taken back, but one before it '
                                                f'could not be sent again: {answer.sentence}')
            if not answer.is_done:
                return answer
        return answer

    async def _remove(self, object_id: int) -> Answer:
        answer = await self._client.remove(object_id)
        if answer.is_done:
            self.history.drop({object_id})
        return answer

    async def _reset(self) -> Answer:
        answer = await self._client.reset()
        if answer.is_done:
            self.history.clear()
        return answer

    async def _listed(self) -> str:
        """Ask what is tracked, after a request that was not answered."""
        try:
            listed = await self._client.list_objects()
        except TrackerError:
            return 'and what is tracked cannot be asked either'
        names = ', '.join(str(each.id) for each in listed.objects)
        return f'{LISTED} ({f"objects {names}" if names else "no objects"})'


def _call_of(request: PageRequest) -> PromptCall:
    return PromptCall(request.prompt or Prompt(), request.stamp_ns)
