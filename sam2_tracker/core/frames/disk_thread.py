# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
A thread that does what waits for a disk, so that no other has to.

Apart: thread, so that what its two ends share is seen at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
import threading
import time
from typing import TypeVar

T = TypeVar('T')


class DiskThread:
    """
    Does one thing after the other, in the order in which they came; thread-safe.

    The disk may keep it for ever; the process need not wait for it to end.

    :ivar fault: the newest unexpected error in one sentence, '' if there was none
    """

    def __init__(self, name: str) -> None:
        self.fault = ''
        self._name = name
        self._changed = threading.Condition()
        self._works: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        self._busy_since_s: float | None = None
        self._ends = False
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], None], key: Hashable = None) -> bool:
        """
        Have something done; return False if the thread has ended or will.

        :param key: by which it can be cancelled; it takes the place of an earlier one of this key
        """
        with self._changed:
            if self._ends:
                return False
            self._works[object() if key is None else key] = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return True

    def cancel(self, key: Hashable) -> None:
        """Have something not done after all, unless it has begun."""
        with self._changed:
            self._works.pop(key, None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until all is done that was submitted; return False if that takes longer."""
        done = threading.Event()
        if not self.submit(done.set):
            with self._changed:
                return self._changed.wait_for(self._is_idle, timeout_s)
        return done.wait(timeout_s)

    def _is_idle(self) -> bool:
        return not self._works and self._busy_since_s is None

    def end(self) -> None:
        """Take nothing more, and end when all is done."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()

    def note_progress(self) -> None:
        """Note, in the thread, that what it does takes long but goes on."""
        self._busy_since_s = time.monotonic()

    @property
    def busy_s(self) -> float:
        """Return for how long it has been doing the same thing, 0 if it does nothing."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy_since_s = None
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._works or self._ends)
                if not self._works:
                    return
                _, work = self._works.popitem(last=False)
                self._busy_since_s = time.monotonic()
            try:
                work()
            except Exception as error:  # noqa: BLE001 - what comes after it is done all the same
                self.fault = f'unexpected {type(error).__name__} in the {self._name}: {error}'
            del work  # It may hold a picture.


def fulfil(future: Future[T], work: Callable[[], T]) -> None:
    """Do what a future stands for, unless it was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
        future.set_exception(error)
    else:
        future.set_result(result)
