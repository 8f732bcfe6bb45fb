# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What Fast DDS delivers between two processes with its own transports, and with others.

    python -m benchmarks.transport [--rounds 3] [--seconds 2] [--localhost]

Images of five sizes at three rates, reliable and best effort; then a service and a parameter, each
asked for by a new process, as `ros2 service call` and `ros2 param get` do; one that hangs is ended
after a bound. Settings take turns, round by round, so that a busy machine meets all of them alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.machine import parser_for, prepare, ROOT
from benchmarks.results import markdown, Result, save
from benchmarks.spread import spread
from benchmarks.transport_cells import Cell, CELLS, RELIABILITIES
from sam2_tracker.core.command_line import positive_float, positive_int
from sam2_tracker.core.text import counted
from tools.transport import profile_variables

_ANSWER_BOUND_S = 15.0
_STOP_TIMEOUT_S = 30.0
_CALLS = 12
_DISCOVERED_S = 2.0
_ROLES = {'call': 'service call', 'get': 'parameter get'}
_RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
_LARGE_DATA = 'FASTDDS_BUILTIN_TRANSPORTS'
_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')


@dataclass(frozen=True)
class Setting:
    """
    Environment variables of a setting.

    :param sender: of what publishes images and answers
    :param receiver: of what subscribes and asks
    """

    sender: Mapping[str, str]
    receiver: Mapping[str, str]


_DEFAULTS: Mapping[str, str] = {}
_LARGE = {_LARGE_DATA: 'LARGE_DATA'}
_PROFILE = profile_variables()
SETTINGS = {
    'defaults': Setting(_DEFAULTS, _DEFAULTS),
    'LARGE_DATA': Setting(_LARGE, _LARGE),
    'profile': Setting(_PROFILE, _PROFILE),
    'profile, sender only': Setting(_PROFILE, _DEFAULTS),
}
NOTE = (
    'Images: the share that arrived, then p50 / p95 of the milliseconds from `publish` to the '
    'callback of those that did; medians of {rounds}, in which the settings took turns. '
    '{seconds:g} s of each kind in each round; depth 5 on both sides, programs in Python. '
    'Answers: of all rounds; a process without one {bound:.0f} s after its start was ended; '
    'seconds are from the making of the client to the answer. {discovery}.')


@dataclass
class Measured:
    """
    What one setting did, by round.

    :ivar shares: of each cell, how much of what was published arrived
    :ivar late_ms: of each cell, p50 and p95
    :ivar answers_s: of each kind of call, the seconds of those that were answered
    :ivar unanswered: of each kind of call, how many were not
    """

    shares: dict[str, list[float]] = field(default_factory=dict)
    late_ms: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    answers_s: dict[str, list[float]] = field(default_factory=dict)
    unanswered: dict[str, int] = field(default_factory=dict)

    def keep_images(self, sent: Mapping[str, int], late_ms: Mapping[str, Sequence[float]]) -> None:
        """Add a round's images."""
        for name, count in sent.items():
            self.shares.setdefault(name, []).append(len(late_ms[name]) / count)
            if late_ms[name]:
                found = spread(late_ms[name])
                self.late_ms.setdefault(name, []).append((found.p50, found.p95))

    def keep_answer(self, role: str, seconds: float | None) -> None:
        """Add a call; None if it was not answered."""
        if seconds is None:
            self.unanswered[role] = self.unanswered.get(role, 0) + 1
        else:
            self.answers_s.setdefault(role, []).append(seconds)

    @property
    def image_rounds(self) -> int:
        """Return how many rounds have images."""
        return max((len(shares) for shares in self.shares.values()), default=0)

    def shown(self, cell: Cell) -> str:
        """Return a cell's share and latencies; '-' where all rounds have failed."""
        if cell.name not in self.shares:
            return '-'
        share = f'{statistics.median(self.shares[cell.name]):.0%}'
        late_ms = self.late_ms.get(cell.name)
        if not late_ms:
            return share
        p50, p95 = (statistics.median(values) for values in zip(*late_ms, strict=True))
        return f'{share}, {p50:.1f} / {p95:.1f}'

    def answered(self, role: str) -> tuple[int, int]:
        """Return how many calls were answered, of how many."""
        count = len(self.answers_s.get(role, []))
        return count, count + self.unanswered.get(role, 0)

    def answers(self, role: str) -> str:
        """Return how many were answered, and how fast."""
        count, asked = self.answered(role)
        if not count:
            return f'0 of {asked}'
        found = spread(self.answers_s[role])
        return f'{count} of {asked}, {found.p50:.2f} / {found.p95:.2f}'


class Network:
    """
    A setting of the transport, and programs that run with it.

    :param discovery: ROS_AUTOMATIC_DISCOVERY_RANGE, '' for none
    :param domain_id: ROS_DOMAIN_ID; its own for each setting, so that none meets another
    """

    def __init__(self, setting: Setting, discovery: str, domain_id: int) -> None:
        taken_out = (_RANGE, _LARGE_DATA, *_PROFILES)
        common = {name: value for name, value in os.environ.items() if name not in taken_out}
        common['ROS_DOMAIN_ID'] = str(domain_id)
        if discovery:
            common[_RANGE] = discovery
        self._sender = {**common, **setting.sender}
        self._receiver = {**common, **setting.receiver}

    def images(self, seconds: float) -> tuple[Mapping[str, int], Mapping[str, list[float]]]:
        """Send all images; return how many of each cell, and the milliseconds of each."""
        with _running(self._receiver, 'subscriber') as subscriber, \
                _running(self._sender, 'camera', str(seconds)) as camera:
            sent = _found_by('camera', camera, camera.communicate()[0])
            subscriber.send_signal(signal.SIGTERM)
            came = _found_by('subscriber', subscriber, _printed(subscriber))
        return sent, came

    def answers(self, calls: int) -> Iterator[tuple[str, float | None]]:
        """Let new processes ask; yield the kind of call, and its seconds if it was answered."""
        with _running(self._sender, 'server'):
            time.sleep(_DISCOVERED_S)
            for role in list(_ROLES) * calls:
                with _running(self._receiver, role) as client:
                    yield role, _answer(client)


@contextmanager
def _running(environment: Mapping[str, str], *role: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program meanwhile; whatever has not ended by itself is killed."""
    with subprocess.Popen([sys.executable, '-m', 'benchmarks.transport_process', *role],
                          cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _found_by(role: str, process: subprocess.Popen[str], printed: str) -> Any:
    """
    Return what a program has found.

    :raises ValueError: if it ended without a word of it
    """
    try:
        return json.loads(printed)
    except ValueError as error:
        raise ValueError(f'{role} ended with {process.poll()} and said {printed!r}') from error


def _printed(process: subprocess.Popen[str]) -> str:
    """Return what a program prints at its end, also if it does not end after that."""
    with suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=_STOP_TIMEOUT_S)[0]
    process.kill()
    return process.communicate()[0]


def _answer(client: subprocess.Popen[str]) -> float | None:
    with suppress(subprocess.TimeoutExpired):
        printed = client.communicate(timeout=_ANSWER_BOUND_S)[0]
        return float(json.loads(printed)) if client.returncode == 0 else None
    return None


def measure(networks: Mapping[str, Network], rounds: int, seconds: float,
            calls: int) -> dict[str, Measured]:
    """Let the settings take turns, in each round another first."""
    found = {name: Measured() for name in networks}
    names = list(networks)
    for index in range(rounds):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            print(f'round {index + 1} of {rounds}: {name}', file=sys.stderr, flush=True)
            try:
                found[name].keep_images(*networks[name].images(seconds))
            except ValueError as error:
                print(f'no images in this round, as a program failed: {error}', file=sys.stderr)
            for role, answer_s in networks[name].answers(calls):
                found[name].keep_answer(role, answer_s)
    return found


def table(found: Mapping[str, Measured], rounds: int, seconds: float, discovery: str) -> str:
    """Return the figures as Markdown."""
    images = [markdown([f'{reliability}, MB at Hz', *found], _image_rows(found, reliability))
              for reliability in RELIABILITIES]
    answers = markdown(
        ['answers, seconds p50 / p95', *found],
        [[what, *(each.answers(role) for each in found.values())]
         for role, what in _ROLES.items()])
    failed = [f'{rounds - each.image_rounds} of {name}' for name, each in found.items()
              if each.image_rounds < rounds]
    note = NOTE.format(rounds=counted(rounds, 'round'), seconds=seconds, bound=_ANSWER_BOUND_S,
                       discovery=f'{_RANGE}={discovery or "not set"}')
    if failed:
        note += (' Rounds without images, as one of their programs did not print its figures: '
                 f'{", ".join(failed)}.')
    return '\n\n'.join([*images, answers, note])


def _image_rows(found: Mapping[str, Measured], reliability: str) -> Iterator[list[str]]:
    for cell in CELLS:
        if cell.reliability == reliability:
            yield [f'{cell.megabytes:.1f} at {cell.rate_hz}',
                   *(each.shown(cell) for each in found.values())]


def rows_of(found: Mapping[str, Measured]) -> Iterator[dict[str, Any]]:
    """Yield the figures by setting and cell, or kind of call."""
    for name, each in found.items():
        for cell in CELLS:
            yield {'setting': name, 'images': cell.name,
                   'shares': _rounded(each.shares.get(cell.name, [])),
                   'late_ms': [_rounded(pair) for pair in each.late_ms.get(cell.name, [])]}
        for role, what in _ROLES.items():
            yield {'setting': name, 'calls': what, 'asked': each.answered(role)[1],
                   'answers_s': _rounded(each.answers_s.get(role, []))}


def _rounded(figures: Iterable[float]) -> list[float]:
    """Leave out what is finer than anything that was measured."""
    return [round(figure, 3) for figure in figures]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and keep the figures."""
    parser = parser_for(__doc__)
    parser.add_argument('--rounds', type=positive_int, default=3)
    parser.add_argument('--seconds', type=positive_float, default=2.0,
                        help='of each kind of image')
    parser.add_argument('--calls', type=positive_int, default=_CALLS,
                        help='of each kind, in each round')
    parser.add_argument('--localhost', action='store_true', help=f'with {_RANGE}=LOCALHOST')
    parser.add_argument('--domain-id', type=int, default=90, help='and those that follow it')
    options = parser.parse_args(arguments)
    machine = prepare(options)
    discovery = 'LOCALHOST' if options.localhost else ''
    networks = {name: Network(setting, discovery, options.domain_id + index)
                for index, (name, setting) in enumerate(SETTINGS.items())}
    found = measure(networks, options.rounds, options.seconds, options.calls)
    suffix = '_localhost' if options.localhost else ''
    title = 'Transports of Fast DDS' + (', LOCALHOST' if options.localhost else '')
    text = table(found, options.rounds, options.seconds, discovery)
    return save(Result(f'transport{suffix}', 'transport', title, machine,
                       tuple(rows_of(found)), text), options.results)


if __name__ == '__main__':
    raise SystemExit(main())
