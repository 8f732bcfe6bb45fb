# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the node for a while with everything at once, and hold what it cost against bounds.

    python -m reliability.soak [--minutes 10] [--seed 7] [--write]

The node and its camera are processes; objects are added, refined and removed, stamps jump, the
size changes, the camera pauses, subscribers come, go and sleep. The bounds are in
`reliability.soak_bounds`; the exit code is 1 if one of them is broken.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
import csv
from dataclasses import asdict, fields
from pathlib import Path
import signal
import sys
import tempfile
import threading
import time

from reliability.processes import executable, Program, take_signals, usage
from reliability.robot import Robot
from reliability.soak_bounds import Bounds, judge, Outcome, Row, Sample
from reliability.soak_operator import MOST_OBJECTS, Operator, Subscribers
from reliability.stage import ENVIRONMENT, START_S
from reliability.tables import conditions, table, write

DOMAIN = 48
MAX_BYTES = 4 * 1024 ** 2
SAMPLE_S = 1.0
_DRAIN_S = 60.0
_PARAMETERS = {
    'frame_policy': 'every', 'buffer.max_frames': 80, 'buffer.max_bytes': MAX_BYTES,
    'tracking.max_objects': MOST_OBJECTS, 'tracking.look_back_frames': 12,
    'prompt.timeout_s': 30.0}


class Soak:
    """
    One run; `close` ends all its processes.

    :param folder: gets the buffer, the memories and the logs
    :param command: what to run instead of the tracker's executable
    """

    def __init__(self, folder: Path, domain_id: int, seed: int,
                 command: Sequence[str] = ()) -> None:
        self._folder = folder
        self._buffer = folder / 'buffer'
        self._domain_id = domain_id
        self._seed = seed
        self._programs: list[Program] = []
        self._over = threading.Event()
        self._begun_s = 0.0
        self.outcome = Outcome(max_bytes=MAX_BYTES)
        arguments = [*(command or [executable('tracker')]), '--ros-args']
        for name, value in {**_PARAMETERS, 'buffer.directory': self._buffer,
                            'memory.directory': folder / 'memories'}.items():
            arguments += ['-p', f'{name}:={value}']
        self.node = self._start(arguments)
        self._robot = Robot(domain_id, name='operator')

    def _start(self, command: Sequence[str]) -> Program:
        log = self._folder / f'program_{len(self._programs)}.log'
        program = Program(command, log, {**ENVIRONMENT, 'ROS_DOMAIN_ID': str(self._domain_id)})
        self._programs.append(program)
        return program

    def _module(self, name: str, *arguments: object) -> Program:
        return self._start([sys.executable, '-m', name, *map(str, arguments)])

    def run(self, seconds: float) -> Outcome:
        """Soak for so long, wait for what is under way, and end the node."""
        self._robot.wait(lambda: self._robot.state(2.0) == 'active' or self._has_ended(), START_S)
        sent = self._folder / 'sent.txt'
        camera = self._module('reliability.soak_camera', sent, '--seed', self._seed)
        self._robot.wait(lambda: (sent.exists() and sent.stat().st_size) or self._has_ended(),
                         START_S)
        operator = Operator(self._robot, self._seed, self._buffer)
        subscribers = Subscribers(
            self._robot, lambda: self._module('reliability.subscriber', '/sam2_tracker',
                                              '--slow-s', 0.2), self._seed)
        threads = [threading.Thread(target=self._repeat, args=each, daemon=True) for each in (
            (self._sample, SAMPLE_S), (operator.act, 0.6), (subscribers.act, 1.5))]
        self._begun_s = time.monotonic()
        for thread in threads:
            thread.start()
        self._robot.wait(self._has_ended, seconds)
        self._over.set()
        camera.kill()
        subscribers.wake()
        for thread in threads:
            thread.join(_DRAIN_S)
        self._sum_up(sent, operator)
        return self.outcome

    def _has_ended(self) -> bool:
        return self.node.exit_code is not None

    def _repeat(self, act: Callable[[], None], pause_s: float) -> None:
        while not self._over.wait(pause_s) and not self._has_ended():
            try:
                act()
            # An actor that has gone would make the soak an easy one without a word.
            except Exception as error:  # noqa: BLE001 - its thread ends, and the table says why
                self.outcome.mistakes.append(f'{type(error).__name__}: {error}')
                return

    def _sample(self) -> None:
        held = usage(self.node.pid)
        if held is None:
            return
        disk = 0
        for path in self._buffer.rglob('*'):
            with suppress(FileNotFoundError):
                disk += path.stat().st_size if path.is_file() else 0
        self.outcome.samples.append(Sample(
            time.monotonic() - self._begun_s, len(self._robot.results), held.memory_kib,
            held.handles, held.threads, disk))

    def _sum_up(self, sent: Path, operator: Operator) -> None:
        outcome = self.outcome
        outcome.requests, outcome.unanswered = operator.requests, operator.unanswered
        stamps = {int(line) for line in sent.read_text().split()} if sent.exists() else set()
        self._drain(stamps)
        outcome.sent, outcome.missing = len(stamps), len(stamps - self._robot.stamps())
        self._robot.wait(lambda: False, 1.2)
        if self._robot.health:
            outcome.counted_lost = int(self._robot.health[-1].values.get('frames lost', 0))
        if self._has_ended():
            outcome.ended = f'ended by itself, exit code {self.node.exit_code}'
            outcome.exit_code = self.node.exit_code
        else:
            outcome.exit_code = self.node.stop(signal.SIGINT)
        outcome.left_behind = sum(path.is_file() for path in self._buffer.rglob('*'))

    def _drain(self, stamps: set[int]) -> None:
        """Wait for the last results as long as any come: a busy machine is slow, not lossy."""
        while not (stamps <= self._robot.stamps() or self._has_ended()):
            had = len(self._robot.results)
            if not self._robot.wait(lambda before=had: len(self._robot.results) > before,
                                    _DRAIN_S):
                return

    def close(self) -> None:
        """End everything."""
        self._over.set()
        self._robot.close()
        for program in self._programs:
            program.send(signal.SIGCONT)
            program.kill()


def soak(seconds: float, domain_id: int, seed: int, command: Sequence[str] = ()) -> Outcome:
    """Soak in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix='soak_') as folder:
        run = Soak(Path(folder), domain_id, seed, command)
        try:
            return run.run(seconds)
        finally:
            run.close()


def keep_samples(samples: Sequence[Sample], path: Path) -> None:
    """Write a row for each moment."""
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(each) for each in samples)


def report(outcome: Outcome, rows: Sequence[Row]) -> str:
    """Return the table as Markdown."""
    shown = table(('', 'measured', 'bound', ''),
                  [(row.what, row.measured, row.bound, row.verdict) for row in rows])
    first, last = outcome.samples[0], outcome.samples[-1]
    return (f'{shown}\n\n{last.frames} results, {outcome.requests} requests; memory '
            f'{first.memory_kib / 1024:.0f} MiB at first, {last.memory_kib / 1024:.0f} MiB at '
            f'last; {last.handles} handles, {last.threads} threads.')


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak; 1 if a bound is broken."""
    parser = argparse.ArgumentParser(prog='python -m reliability.soak', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=10.0)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--domain', type=int, default=DOMAIN, help='ROS_DOMAIN_ID')
    parser.add_argument('--samples', type=Path, metavar='CSV', help='keep what was measured')
    parser.add_argument('--write', action='store_true', help='put the table into the docs')
    options = parser.parse_args(arguments)
    take_signals()
    outcome = soak(options.minutes * 60, options.domain, options.seed)
    if not outcome.samples:
        print(f'soak: the node did not run: {outcome.ended}', file=sys.stderr)
        return 1
    if options.samples:
        keep_samples(outcome.samples, options.samples)
    rows = judge(outcome, Bounds())
    text = f'{conditions(f"make soak MINUTES={options.minutes:g}")}\n\n{report(outcome, rows)}'
    print(text, flush=True)
    if options.write:
        write('soak', text)
    for row in rows:
        if row.holds is False:
            print(f'soak: {row.what}: {row.measured}; {row.bound}', file=sys.stderr)
    return int(any(row.holds is False for row in rows))


if __name__ == '__main__':
    sys.exit(main())
