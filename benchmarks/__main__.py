# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Every table of speed and memory, one after the other, and the targets at the end.

    python -m benchmarks [--device cuda] [--only objects node] [--results FOLDER]

Each table is a program of its own (`python -m benchmarks.objects --help`); one that fails does not
stop the others. Figures go to benchmarks/results/*.json; `python -m benchmarks.report` puts them
into docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import os
import signal
import subprocess
import sys
import time

from benchmarks.machine import parser_for, ROOT

_TINY = ('--model', 'sam2.1_hiera_tiny', '--random-weights')
_TINY_512 = (*_TINY, '--image-size', '512')
_OFFICIAL = tuple(f'sam2.1_hiera_{size}' for size in ('tiny', 'small', 'base_plus', 'large'))
# Results of these are not of this device.
_WITHOUT_DEVICE = {'offline', 'targets', 'transport'}
# Longer than any table takes, large models on a slow GPU included.
_TIMEOUT_S = 2 * 3600.0


@dataclass(frozen=True)
class Table:
    """One run of a table's program."""

    module: str
    arguments: tuple[str, ...] = ()


# On two cores some 25 minutes, and as long again for the transports. Until 7 frames have been
# tracked memory is not full.
ON_CPU = (
    Table('exactness'),
    Table('objects', (*_TINY_512, '--objects', '1', '2', '8', '--warm-up', '7', '--frames', '6')),
    Table('stages', (*_TINY_512, '--frames', '8')),
    Table('objects', (*_TINY_512, '--precision', 'bfloat16', '--objects', '1', '8',
                      '--warm-up', '7', '--frames', '6')),
    Table('stages', (*_TINY_512, '--precision', 'bfloat16', '--frames', '6')),
    Table('objects', ('--frames', '6')),
    Table('stages', ('--frames', '40')),
    Table('node'),
    Table('cameras'),
    Table('prompts'),
    Table('memory'),
    Table('offline', ('--frames', '200', '2000')),
    Table('transport'),
    Table('transport', ('--localhost',)),
)
ON_CUDA = (
    Table('exactness'),
    *(Table('objects', ('--model', model, '--random-weights')) for model in _OFFICIAL),
    *(Table('stages', ('--model', model, '--random-weights', '--precision', 'bfloat16',
                       '--frames', '50')) for model in _OFFICIAL),
    Table('node'), Table('cameras'), Table('prompts'), Table('memory'),
)


def run_program(command: Sequence[str], timeout_s: float = _TIMEOUT_S) -> int:
    """Run a program to its end; one that takes too long is ended with all that it started."""
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            print(f'ended after {timeout_s:.0f} s', file=sys.stderr)
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            raise


def run(tables: Sequence[Table], common: Sequence[str], device: str) -> list[str]:
    """Run each table's program and name those that failed or refused a row."""
    failed = []
    for table in tables:
        arguments = [*table.arguments, *common]
        if table.module not in _WITHOUT_DEVICE:
            arguments += ['--device', device]
        print(f'\n$ python -m benchmarks.{table.module} {" ".join(arguments)}\n', flush=True)
        begun = time.monotonic()
        code = run_program([sys.executable, '-m', f'benchmarks.{table.module}', *arguments])
        print(f'\n({time.monotonic() - begun:.0f} s)', flush=True)
        if code:
            failed.append(f'{table.module} {" ".join(table.arguments)} (exit code {code})')
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all; 1 if one of them failed."""
    parser = parser_for(__doc__)
    names = sorted({table.module for table in (*ON_CPU, *ON_CUDA)})
    parser.add_argument('--only', nargs='+', choices=names, default=names, metavar='TABLE',
                        help=', '.join(names))
    options = parser.parse_args(arguments)
    on_gpu = options.device.startswith('cuda')
    chosen = [table for table in (ON_CUDA if on_gpu else ON_CPU) if table.module in options.only]
    common = ['--results', str(options.results.resolve())]
    failed = run(chosen, common, options.device)
    print(flush=True)
    subprocess.run([sys.executable, '-m', 'benchmarks.targets', *common], cwd=ROOT)
    print('\n`python -m benchmarks.report` puts these into docs/performance.md.', flush=True)
    for name in failed:
        print(f'failed or with refused rows: {name}', file=sys.stderr)
    return int(bool(failed))


if __name__ == '__main__':
    raise SystemExit(main())
