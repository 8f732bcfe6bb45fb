# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Feed changed inputs to the package for a while; all but its own sentences is a finding.

    python -m reliability.fuzz [--seconds 60] [--seed 1] [--only messages jpeg ...]
    python -m reliability.fuzz --repeat jpeg:1:532

Every input follows from its target, the seed and its number, and a finding is printed with the
three: `--repeat` feeds that one again, with its traceback. Each target runs in a process of its
own with limits on the time and memory of an input; one that dies or hangs is a finding too, and
the target goes on behind it. The exit code is 1 if there is a finding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
import json
import os
from pathlib import Path
from random import Random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from typing import Any
import warnings

from reliability.processes import ROOT

TARGET_NAMES = ('messages', 'prompts_file', 'memory_file', 'jpeg')
INPUT_LIMIT_S = 10.0
INPUT_LIMIT_MIB = 1536
# What is not Python cannot be interrupted: it is killed, this much later.
_KILL_SLACK_S = 3.0
_IMPORT_LIMIT_S = 90.0


class TooSlowError(BaseException):
    """An input took too long; no handler of the package may catch it."""


@dataclass(frozen=True)
class Finding:
    """
    Something that should not come of an input.

    :param case: what `--repeat` takes
    :param where: file and line, so that the same one counts once
    """

    case: str
    kind: str
    where: str
    message: str


@dataclass
class Tally:
    """What one target's inputs came to."""

    fed: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def found(self, finding: Finding) -> None:
        """Note a finding."""
        key = f'{finding.kind} {finding.where}'
        self.counts[key] = self.counts.get(key, 0) + 1
        self.findings.setdefault(key, finding)

    def add(self, other: Tally) -> None:
        """Add what another run of the target came to."""
        self.fed += other.fed
        self.accepted += other.accepted
        self.refused += other.refused
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        for key, finding in other.findings.items():
            self.findings.setdefault(key, finding)


@contextmanager
def limited(seconds: float) -> Any:
    """Interrupt what takes longer."""
    def too_slow(*_: object) -> None:
        raise TooSlowError(f'took more than {seconds:.0f} s')
    signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if 'sam2_tracker' in Path(frame.filename).parts]
    frame = (own or frames)[-1]
    return f'{Path(frame.filename).name}:{frame.lineno}'


def feed_one(feed: Callable[[Random], None], case: str, own_error: type[Exception],
             tally: Tally) -> None:
    """Feed one input and note what came of it."""
    begun_s = time.monotonic()
    try:
        with limited(INPUT_LIMIT_S):
            feed(Random(case))
        tally.accepted += 1
    except own_error:
        tally.refused += 1
    except (Exception, TooSlowError) as error:  # noqa: BLE001 - it is what we look for
        message = ' '.join(str(error).split())[:160]
        tally.found(Finding(case, type(error).__name__, _where(error), message))
    tally.fed += 1
    tally.slowest_s = max(tally.slowest_s, time.monotonic() - begun_s)


def _limit_memory() -> None:
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    limit = pages * os.sysconf('SC_PAGE_SIZE') + INPUT_LIMIT_MIB * 1024 ** 2
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def feed_many(target: str, seed: int, first: int, most: int, seconds: float,
              folder: Path) -> None:
    """Feed inputs from a number on, in this process; `at` says which, `tally.json` the rest."""
    from reliability.fuzz_targets import TARGETS
    from reliability.package_parts import fuzzed_parts

    warnings.simplefilter('ignore')
    parts = fuzzed_parts()
    feed = TARGETS[target](parts, folder)
    _limit_memory()
    tally, number = Tally(), first
    end_s = time.monotonic() + seconds
    with (folder / 'at').open('wb', buffering=0) as at:
        while number < most and time.monotonic() < end_s:
            os.pwrite(at.fileno(), number.to_bytes(8, 'little'), 0)
            feed_one(feed, f'{target}:{seed}:{number}', parts.own_error, tally)
            number += 1
    (folder / 'tally.json').write_text(json.dumps(asdict(tally)))


def _read_tally(path: Path) -> Tally:
    fields = json.loads(path.read_text())
    found = {key: Finding(**value) for key, value in fields.pop('findings').items()}
    return Tally(**{**fields, 'findings': found})


class Watched:
    """A target's process, of which it is seen when it dies or hangs."""

    def __init__(self, target: str, seed: int, first: int, most: int, seconds: float,
                 folder: Path) -> None:
        self._folder = folder
        self._case = f'{target}:{seed}'
        command = [sys.executable, '-m', 'reliability.fuzz', '--child', target, '--seed',
                   str(seed), '--first', str(first), '--most', str(most), '--seconds',
                   str(seconds), '--folder', str(folder)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL,
                                         stderr=(folder / 'stderr.txt').open('wb'))

    def _number(self) -> int | None:
        try:
            return int.from_bytes((self._folder / 'at').read_bytes()[:8], 'little')
        except FileNotFoundError:
            return None

    def wait(self) -> tuple[Tally, int | None]:
        """Return what its inputs came to, and the number of one that ended it, None if none."""
        number, since_s = None, time.monotonic()
        while self._process.poll() is None:
            if (now := self._number()) != number:
                number, since_s = now, time.monotonic()
            limit_s = _IMPORT_LIMIT_S if number is None else INPUT_LIMIT_S + _KILL_SLACK_S
            if time.monotonic() - since_s > limit_s:
                self._process.kill()
                self._process.wait()
                return self._ended('TooSlowError', 'hangs, and cannot be interrupted')
            time.sleep(0.05)
        if self._process.returncode == 0:
            return _read_tally(self._folder / 'tally.json'), None
        return self._ended(f'exit code {self._process.returncode}',
                           (self._folder / 'stderr.txt').read_text(errors='replace')[-160:])

    def _ended(self, kind: str, message: str) -> tuple[Tally, int | None]:
        number, tally = self._number(), Tally()
        tally.found(Finding(f'{self._case}:{number}', kind, 'the whole process', message))
        return tally, number


def fuzz(target: str, seed: int, seconds: float, most: int = sys.maxsize) -> Tally:
    """
    Feed a target for so many seconds, begun again where an input ends its process.

    :param most: inputs, so that every machine feeds the same
    """
    tally, first, end_s = Tally(), 0, None
    while True:
        with tempfile.TemporaryDirectory(prefix=f'fuzz_{target}_') as folder:
            left_s = seconds if end_s is None else end_s - time.monotonic()
            watched = Watched(target, seed, first, most, max(0.5, left_s), Path(folder))
            came, ended_at = watched.wait()
        tally.add(came)
        if end_s is None:
            end_s = time.monotonic() + seconds / 2
        if ended_at is None or time.monotonic() > end_s:
            return tally
        first = ended_at + 1


def repeat(case: str) -> int:
    """Feed one input again, with its traceback."""
    from reliability.fuzz_targets import TARGETS
    from reliability.package_parts import fuzzed_parts

    target = case.split(':')[0]
    parts = fuzzed_parts()
    with tempfile.TemporaryDirectory() as folder:
        feed = TARGETS[target](parts, Path(folder))
        try:
            with limited(INPUT_LIMIT_S):
                feed(Random(case))
        except parts.own_error as error:
            print(f'refused: {error}')
            return 0
    print('accepted')
    return 0


def report(target: str, tally: Tally) -> str:
    """Say what a target's inputs came to."""
    lines = [f'{target}: {tally.fed} inputs, {tally.accepted} accepted, {tally.refused} refused, '
             f'slowest {tally.slowest_s:.2f} s, {len(tally.findings)} findings']
    lines += [f'  {each.kind} at {each.where}, {tally.counts[key]} times: {each.message}\n'
              f'    python -m reliability.fuzz --repeat {each.case}'
              for key, each in tally.findings.items()]
    return '\n'.join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='python -m reliability.fuzz', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=60.0, help='in all (60)')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', nargs='+', choices=TARGET_NAMES, default=TARGET_NAMES,
                        metavar='TARGET', help=', '.join(TARGET_NAMES))
    parser.add_argument('--repeat', metavar='TARGET:SEED:NUMBER')
    for hidden, kind in (('--child', str), ('--first', int), ('--most', int), ('--folder', Path)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; 1 if there is a finding."""
    options = parse(arguments)
    if options.repeat:
        return repeat(options.repeat)
    if options.child:
        feed_many(options.child, options.seed, options.first, options.most, options.seconds,
                  options.folder)
        return 0
    findings = 0
    for target in options.only:
        tally = fuzz(target, options.seed, options.seconds / len(options.only))
        print(report(target, tally), flush=True)
        findings += len(tally.findings)
    return int(findings > 0)


if __name__ == '__main__':
    sys.exit(main())
