# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Two threads beside the one that computes: one reads ahead, one writes behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import queue
import threading
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar('Item')
# How often a thread that waits for room looks whether it is to stop.
_LOOK_S = 0.1


class ReadAhead(Generic[Item]):
    """
    Iterates over something in a thread of its own, a few items ahead of whoever takes them.

    :param items: used by that thread only; what it raises is raised where the items are taken
    :param depth: most items that wait
    """

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        self._items = items
        self._waiting: queue.Queue[Item | _End] = queue.Queue(depth)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name='read ahead', daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._taken()

    def _taken(self) -> Iterator[Item]:
        while True:
            item = self._waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised again by the other thread
            end = _End(error)
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._is_stopped.is_set():
            try:
                self._waiting.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_stopped.set()
        self._thread.join()


class _End:
    """Comes after the last item, with what went wrong, if anything did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class WriteBehind(Generic[Item]):
    """
    Hands items to a function in a thread of its own, in their order.

    Leaving the `with` block waits until all are written, also after an error in the block.

    :param write: called by that thread only; what it raises is raised by the next `put`, or on
        leaving
    :param depth: most items that wait
    """

    def __init__(self, write: Callable[[Item], None], depth: int) -> None:
        self._write = write
        self._waiting: queue.Queue[Item | _End] = queue.Queue(depth)
        self._is_stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name='write behind', daemon=True)

    def __enter__(self) -> WriteBehind[Item]:
        self._thread.start()
        return self

    def put(self, item: Item) -> None:
        """Hand over an item; waits while too many are not yet written."""
        if self._error is not None:
            raise self._error
        self._waiting.put(item)

    def _run(self) -> None:
        while not isinstance(item := self._waiting.get(), _End):
            # After an error items are still taken, so that nobody waits for room for ever.
            if self._is_stopped.is_set():
                continue
            try:
                self._write(item)
            except BaseException as error:  # noqa: BLE001 - it is raised by the other thread
                self._error = error
                self._is_stopped.set()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.put(_End())
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error
