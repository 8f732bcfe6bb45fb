# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Reading ahead and writing behind: order, bounds and errors."""

from __future__ import annotations

from collections.abc import Iterator
import threading

import pytest
from sam2_tracker.offline.run.threads import ReadAhead, WriteBehind


def test_items_come_in_order_and_are_read_by_another_thread():
    readers = []

    def items() -> Iterator[int]:
        readers.append(threading.current_thread())
        yield from range(50)

    with ReadAhead(items(), depth=3) as taken:
        assert list(taken) == list(range(50))
    assert readers[0] is not threading.current_thread()


def test_reading_stays_a_bounded_number_of_items_ahead():
    read = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            if number == 3:
                enough.set()
            yield number

    with ReadAhead(items(), depth=2) as taken:
        assert next(taken) == 0
        assert enough.wait(60)
        # One taken, two that wait, one in the reader's hand.
        assert len(read) == 4
    assert len(read) <= 5


def test_an_error_while_reading_comes_after_the_items_before_it():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError('damaged')

    with ReadAhead(items(), depth=4) as taken:
        assert next(taken) == 1
        with pytest.raises(ValueError, match='damaged'):
            next(taken)


def test_leaving_early_stops_the_reader():
    readers = []

    def items() -> Iterator[int]:
        readers.append(threading.current_thread())
        yield from range(10**9)

    with ReadAhead(items(), depth=2) as taken:
        next(taken)
    assert not readers[0].is_alive()


def test_everything_is_written_in_order_on_leaving():
    written: list[int] = []
    with WriteBehind(written.append, depth=2) as writer:
        for number in range(20):
            writer.put(number)
    assert written == list(range(20))


def test_an_error_while_writing_is_raised_where_items_are_put():
    def fail(item: int) -> None:
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'), WriteBehind(fail, depth=2) as writer:
        for number in range(1000):
            writer.put(number)


def test_an_error_in_the_last_item_is_raised_on_leaving():
    def fail(item: int) -> None:
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'), WriteBehind(fail, depth=2) as writer:
        writer.put(1)


def test_what_waits_is_written_after_an_interruption_too():
    written: list[int] = []
    with pytest.raises(KeyboardInterrupt), WriteBehind(written.append, depth=5) as writer:
        for number in range(4):
            writer.put(number)
        raise KeyboardInterrupt
    assert written == [0, 1, 2, 3]


def test_nothing_is_written_after_what_could_not_be():
    written: list[int] = []

    def fail_at_2(item: int) -> None:
        if item == 2:
            raise OSError('disk full')
        written.append(item)

    with pytest.raises(OSError, match='disk full'), WriteBehind(fail_at_2, depth=9) as writer:
        for number in range(6):
            writer.put(number)
    assert written == [0, 1]
