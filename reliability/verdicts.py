# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What can become of a program that meets a fault, and the list of all faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import enum
from typing import NoReturn, TYPE_CHECKING

if TYPE_CHECKING:
    from reliability.stage import Stage

TIME_LIMIT_S = 90.0


class Verdict(enum.Enum):
    """
    One word for what became of the program.

    LIED is also a silent loss, a wrong result, and a refusal of what is good or by the wrong
    reason: whatever a person who reads what it said would be misled by.
    """

    RIGHT = 'right'
    DIED = 'died'
    FROZE = 'froze'
    LIED = 'lied'
    NOT_RUN = 'not run'
    BROKEN = 'check broken'


class FaultyError(Exception):
    """What was tested did not hold; the message says what was seen."""

    verdict = Verdict.BROKEN


class DiedError(FaultyError):
    """The process ended, or a command ended with a traceback."""

    verdict = Verdict.DIED


class FrozeError(FaultyError):
    """It did not answer, or gave no results, for longer than it may."""

    verdict = Verdict.FROZE


class LiedError(FaultyError):
    """It went on, but what it said or gave is not so."""

    verdict = Verdict.LIED


def expect(condition: object, otherwise: str) -> None:
    """
    Make sure of what the program said or gave.

    :raises LiedError: with the sentence if it is not so
    """
    if not condition:
        lied(otherwise)


def lied(seen: str) -> NoReturn:
    """Give the verdict."""
    raise LiedError(seen)


@dataclass(frozen=True)
class Finding:
    """
    A row of the table.

    :param about: what of the program the fault concerns
    :param why: what was seen that should not be, '' if the verdict is right
    :param said: what the node or command said of it
    :param recovered: yes or no, '' where there is nothing to recover
    :param lost: what was lost, in words
    """

    name: str
    about: str
    done: str
    verdict: Verdict
    why: str = ''
    said: str = ''
    recovered: str = ''
    lost: str = ''
    took_s: float = 0.0

    @property
    def is_well(self) -> bool:
        """Return whether nothing has to be mended; what was not run is not held against it."""
        return self.verdict in (Verdict.RIGHT, Verdict.NOT_RUN)


@dataclass(frozen=True)
class Fault:
    """
    One fault that can be made.

    :param name: what `--only` takes
    :param done: one sentence: what is done to the program, and what it should do
    :param why_not: says why this machine cannot run it, '' if it can
    :param limit_s: after this it counts as frozen
    """

    name: str
    done: str
    run: Callable[[Stage], None]
    why_not: Callable[[], str]
    limit_s: float

    @property
    def about(self) -> str:
        """Return what of the program it concerns: what its module is called."""
        return self.run.__module__.rpartition('.')[2]


FAULTS: dict[str, Fault] = {}


def fault(done: str, why_not: Callable[[], str] = lambda: '',
          limit_s: float = TIME_LIMIT_S) -> Callable[[Callable[[Stage], None]],
                                                     Callable[[Stage], None]]:
    """Put a function on the list of faults, under its own name."""
    def listed(run: Callable[[Stage], None]) -> Callable[[Stage], None]:
        name = run.__name__
        assert name not in FAULTS, f'two faults are called {name}'
        FAULTS[name] = Fault(name, done, run, why_not, limit_s)
        return run
    return listed
