# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Requests for prompts: they find their frame, wait for it and take effect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from sam2_tracker.core.errors import FrameError, PromptError, TrackerError
from sam2_tracker.core.frames.source import FrameSource
from sam2_tracker.core.frames.stored_frame import FrameKey, Session, StoredFrame
from sam2_tracker.core.prompts.schedule import DuePrompt
from sam2_tracker.core.prompts.validation import is_renaming
from sam2_tracker.core.tracking.drafting import PromptDraft, PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import Frame, Prompt, TrackedFrame, TrackedObject
from sam2_tracker.core.worker.requests import answer, answering, Ticket

PromptTicket = Ticket[TrackedFrame]


@dataclass(frozen=True, eq=False)
class PromptRequest:
    """
    Prompts for one frame: all of them are taken or none.

    :param stamp_ns: the frame's stamp, 0 for the newest one
    :param clear_previous: drop the objects' prompts on that frame first
    :param preview_only: answer what the masks would be, track nothing
    :param with_label_image: the result is to have one
    """

    prompts: tuple[Prompt, ...]
    stamp_ns: int = 0
    clear_previous: bool = False
    preview_only: bool = False
    with_label_image: bool = False


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A request whose frame is still to be tracked."""

    stored: StoredFrame
    request: PromptRequest
    ticket: PromptTicket


class PromptAnswers:
    """
    Answers requests for prompts on any frame of the buffer.

    A prompt on a frame that is still to be tracked waits for its turn; if that frame is skipped,
    it stands in for the processed one nearest to it. A preview never waits.

    :param tolerance_ns: farthest that a frame may be from the stamp asked for
    :param on_prompted: told which objects somebody prompted
    """

    def __init__(
        self,
        tracker: Tracker,
        source: FrameSource,
        tolerance_ns: int,
        on_prompted: Callable[[Collection[int]], None] = lambda _: None,
    ) -> None:
        self._tracker = tracker
        self._source = source
        self._tolerance_ns = tolerance_ns
        self._on_prompted = on_prompted
        self._waiting: list[_Waiting] = []
        self._session: Session | None = None
        self._newest_key: FrameKey = (-1, -1)

    @property
    def waiting_count(self) -> int:
        """Return how many requests wait for their frame."""
        return sum(not each.ticket.done() for each in self._waiting)

    def take(self, request: PromptRequest, ticket: PromptTicket) -> Iterator[None]:
        """
        Answer a request, or leave it until its frame was tracked.

        A preview has a step for each new object. What is to be tracked is worked out in one: each
        object takes about as long as it will take on every frame from then on.
        """
        try:
            stored = self._find(request.stamp_ns)
            waits = self._is_ahead(stored) and not self._needs_no_turn(request)
            if waits:
                self._tracker.validate(
                    stored.source_hw, request.prompts, clear_previous=request.clear_previous)
        except TrackerError as refusal:
            ticket.fail(refusal)
            return
        if waits:
            self._waiting = [each for each in self._waiting if not each.ticket.done()]
            self._waiting.append(_Waiting(stored, request, ticket))
        elif request.preview_only:
            yield from self._preview(request, ticket, stored)
        else:
            self._answer_from_buffer(request, ticket, stored)

    def _find(self, stamp_ns: int) -> StoredFrame:
        if stamp_ns == 0:
            return self._source.newest()
        return self._source.nearest(stamp_ns, self._tolerance_ns)

    def _is_ahead(self, stored: StoredFrame) -> bool:
        return stored.key > self._newest_key

    @staticmethod
    def _needs_no_turn(request: PromptRequest) -> bool:
        return request.preview_only or (
            bool(request.prompts) and all(is_renaming(each) for each in request.prompts)
        )

    def _answer(
        self, request: PromptRequest, ticket: PromptTicket, target: Callable[[], PromptTarget]
    ) -> None:
        def work() -> TrackedFrame:
            draft = self._tracker.draft(
                target(), request.prompts, request.clear_previous,
                with_label_image=request.with_label_image)
            # From here on nothing can withdraw it; a draft that was withdrawn is thrown away.
            if ticket.commit():
                self._commit(draft)
            return draft.result

        if not ticket.done():
            answer(ticket, work)

    def _commit(self, draft: PromptDraft) -> None:
        self._tracker.commit(draft)
        self._on_prompted([each.shown.id for each in draft.objects])

    def _preview(
        self, request: PromptRequest, ticket: PromptTicket, stored: StoredFrame
    ) -> Iterator[None]:
        with answering(ticket):
            draft = yield from self._tracker.draft_in_steps(
                self._target(stored, request), request.prompts, request.clear_previous,
                with_label_image=request.with_label_image)
            ticket.resolve(draft.result)

    def _target(self, stored: StoredFrame, request: PromptRequest) -> PromptTarget:
        if self._is_ahead(stored):
            self._check_session(stored, request)
            index = self._tracker.next_index
            return PromptTarget(index, self._source.frame(stored, index))
        if stored.index is not None:
            return PromptTarget(stored.index, self._source.frame(stored, stored.index))
        processed = self._source.nearest_processed(stored)
        assert processed.index is not None
        return PromptTarget(
            processed.index,
            self._source.frame(stored, processed.index),
            stands_in=processed.key != stored.key,
        )

    def _check_session(self, stored: StoredFrame, request: PromptRequest) -> None:
        if self._session is None or stored.session == self._session:
            return
        for object_id in (each.object_id for each in request.prompts if each.object_id != 0):
            raise PromptError(
                f'object {object_id} was tracked before the stream began again; '
                'on its new frames only new objects can be previewed until one '
                'of them was tracked'
            )

    def processed(self, stored: StoredFrame, frame: Frame) -> None:
        """Answer the requests that waited for a frame which has just been tracked."""
        self.passed(stored)
        target = PromptTarget(frame.index, frame)
        for each in [each for each in self._waiting if not self._is_ahead(each.stored)]:
            self._waiting.remove(each)
            if each.stored.key == stored.key:
                self._answer(each.request, each.ticket, lambda: target)
            else:
                self._answer_from_buffer(each.request, each.ticket, each.stored)

    def _answer_from_buffer(
        self, request: PromptRequest, ticket: PromptTicket, stored: StoredFrame
    ) -> None:
        self._answer(request, ticket, lambda: self._target(stored, request))

    def passed(self, stored: StoredFrame) -> None:
        """Take in that a frame's turn has come, whatever became of it."""
        self._session, self._newest_key = stored.session, stored.key

    def refuse_waiting(self, error: TrackerError) -> None:
        """Refuse every request that waits for its frame."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.ticket.fail(error)

    def apply(self, due: DuePrompt, frame: Frame) -> PromptDraft:
        """
        Apply a prompt of a file.

        :param frame: the newest one
        :raises TrackerError: if it is refused
        """
        target = PromptTarget(frame.index, frame)
        if due.stamp_ns is not None:
            target = self._target(
                self._source.nearest(due.stamp_ns, self._tolerance_ns),
                PromptRequest((due.prompt,)),
            )
        nameable: Collection[int] = {due.prompt.object_id} if due.is_first else ()
        draft = self._tracker.draft(target, [due.prompt], nameable_ids=nameable)
        self._commit(draft)
        return draft

    @property
    def newest_stamp_ns(self) -> int | None:
        """Return the stamp of the newest image, None before the first."""
        try:
            return self._source.newest().stamp_ns
        except FrameError:
            return None

    def turn_of(self, stamp_ns: int) -> StoredFrame | None:
        """
        Return the frame of a stamp whose turn has come, None while it is still to come.

        :raises FrameError: if there is no such frame any more
        """
        newest_ns = self.newest_stamp_ns
        if newest_ns is None or stamp_ns > newest_ns:
            return None
        stored = self._find(stamp_ns)
        return None if self._is_ahead(stored) else stored

    def apply_detected(
        self, prompts: Sequence[Prompt], stored: StoredFrame
    ) -> tuple[TrackedObject, ...]:
        """
        Apply what a detector found on a frame whose turn has come; return those objects there.

        :raises TrackerError: if it is refused; then nothing is changed
        """
        request = PromptRequest(tuple(prompts))
        draft = self._tracker.draft(self._target(stored, request), request.prompts)
        self._tracker.commit(draft)
        return draft.result.objects
