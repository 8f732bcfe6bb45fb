# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What the worker can be asked for, and the tickets that its answers come on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import enum
import threading
from typing import Any, cast, Generic, TypeVar

from sam2_tracker.core.errors import TrackerError, WithdrawnError
from sam2_tracker.core.types import FrameHeader, Prompt, TrackedObject

T = TypeVar('T')


@dataclass(frozen=True, eq=False)
class PromptRequest:
    """
    Prompts for one frame: all of them are taken or none.

    :param stamp_ns: the frame's stamp, 0 for the newest one
    :param clear_previous: drop the objects' prompts on that frame first
    :param preview_only: answer with the masks, track nothing
    """

    prompts: tuple[Prompt, ...]
    stamp_ns: int = 0
    clear_previous: bool = False
    preview_only: bool = False


@dataclass(frozen=True)
class ObjectList:
    """
    Every object as it was last seen.

    :param header: of the frame that this was on, None if no frame was tracked yet
    """

    header: FrameHeader | None
    stamp_ns: int
    objects: tuple[TrackedObject, ...]


class _Stage(enum.IntEnum):
    PENDING = enum.auto()
    COMMITTED = enum.auto()
    DONE = enum.auto()


class Ticket(Generic[T]):
    """
    The way to one request's answer; thread-safe.

    It takes effect or is withdrawn, never both: whichever comes first wins.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._stage = _Stage.PENDING
        self._value: T | None = None
        self._error: TrackerError | None = None
        self._callbacks: list[Callable[[Ticket[T]], None]] = []

    def done(self) -> bool:
        """Return whether the answer is there."""
        return self._finished.is_set()

    def result(self) -> T:
        """
        Return the answer.

        :raises TrackerError: the refusal, or WithdrawnError
        :raises RuntimeError: if it is not there yet
        """
        if not self.done():
            raise RuntimeError('the request has not been answered yet')
        if self._error is not None:
            raise self._error
        return cast('T', self._value)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the answer and return whether it is there."""
        return self._finished.wait(timeout_s)

    def add_done_callback(self, callback: Callable[[Ticket[T]], None]) -> None:
        """Call back once, at once if the answer is there, else from the thread that brings it."""
        with self._lock:
            if self._stage is not _Stage.DONE:
                self._callbacks.append(callback)
                return
        callback(self)

    def commit(self) -> bool:
        """Claim the right to take effect; False if the request was withdrawn before."""
        with self._lock:
            if self._stage is not _Stage.PENDING:
                return False
            self._stage = _Stage.COMMITTED
            return True

    def resolve(self, value: T) -> None:
        """Answer a request that took effect; one that was withdrawn stays so."""
        self._finish(value, None)

    def fail(self, error: TrackerError) -> None:
        """Refuse a request; one that was withdrawn stays so."""
        self._finish(None, error)

    def withdraw(self, reason: str) -> bool:
        """Take the request back, unless it took effect already; return whether it was."""
        return self._finish(None, WithdrawnError(reason), _Stage.PENDING)

    def _finish(
        self, value: T | None, error: TrackerError | None, last_stage: _Stage = _Stage.COMMITTED
    ) -> bool:
        with self._lock:
            if self._stage > last_stage:
                return False
            self._stage = _Stage.DONE
            self._value, self._error = value, error
            callbacks, self._callbacks = self._callbacks, []
            self._finished.set()
        for callback in callbacks:
            callback(self)
        return True


AnyTicket = Ticket[Any]
