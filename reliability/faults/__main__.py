# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Play every fault that this machine can play, and tell what became of the node or command.

    python -m reliability.faults [--only NAME ...] [--jobs 2] [--write] [--list]

Each fault has a process group, a folder and a domain of its own and a limit on its time; whatever
happens, its processes are ended, its disks thawed and unmounted, and its folder removed. The exit
code is 1 if something died, froze or lied. Disks want root; what cannot be run is listed with the
reason.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys
import time

from reliability.faults import (  # noqa: F401
    camera,
    disk,
    engine,
    fetching,
    images,
    lifecycle,
    memory,
    outputs,
    prompts,
    services,
    sources,
)
from reliability.playing import play_all, play_here
from reliability.processes import take_signals
from reliability.tables import conditions, table, write
from reliability.verdicts import FAULTS, Finding, Verdict

HEADERS = ('about', 'fault', 'what is done, and what it should do', 'verdict', 'what was seen',
           'what it said', 'works again', 'lost')
FIRST_DOMAIN = 51


def rows(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    """Lay findings out as the table's rows, by what they are about."""
    return [(each.about, f'`{each.name}`', each.done, _marked(each.verdict), each.why, each.said,
             each.recovered, each.lost)
            for each in sorted(findings, key=lambda each: each.about)]


def _marked(verdict: Verdict) -> str:
    is_plain = verdict in (Verdict.RIGHT, Verdict.NOT_RUN)
    return verdict.value if is_plain else f'**{verdict.value}**'


def report(findings: Sequence[Finding]) -> str:
    """Return the table and the count of each verdict as Markdown."""
    counts = ', '.join(f'{sum(each.verdict is verdict for each in findings)} {verdict.value}'
                       for verdict in Verdict
                       if any(each.verdict is verdict for each in findings))
    return f'{table(HEADERS, rows(findings))}\n\n{len(findings)} faults: {counts}.'


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog='python -m reliability.faults', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', choices=sorted(FAULTS), metavar='NAME',
                        default=list(FAULTS), help='names of faults; --list shows them')
    parser.add_argument('--jobs', type=int, default=2, help='faults at a time (2)')
    parser.add_argument('--domain', type=int, default=FIRST_DOMAIN,
                        help='ROS_DOMAIN_ID of the first job; the others count on')
    parser.add_argument('--write', action='store_true', help='put the table into the docs')
    parser.add_argument('--list', action='store_true', help='only name the faults')
    parser.add_argument('--alone', type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play faults; 1 if one of them was too much."""
    options = parse(arguments)
    take_signals()
    chosen = [FAULTS[name] for name in dict.fromkeys(options.only)]
    if options.list:
        for each in chosen:
            print(f'{each.about:11}{each.name:34}{each.done}')
        return 0
    if options.alone:
        play_here(chosen[0], options.alone, options.domain)
        return 0
    begun_s = time.monotonic()
    findings = play_all(chosen, options.jobs, options.domain)
    text = f'{conditions("make faults")} {time.monotonic() - begun_s:.0f} s.\n\n{report(findings)}'
    print(f'\n{text}', flush=True)
    if options.write:
        write('faults', text)
    return int(not all(each.is_well for each in findings))


if __name__ == '__main__':
    sys.exit(main())
