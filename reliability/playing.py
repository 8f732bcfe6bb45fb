# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Play faults: each in a process group and a folder of its own, with an end that is always tidy.

A fault's process (`play_here`) writes what it found into a file; its parent (`play_apart`) waits
for it as long as it may take, ends what is left of the group, and removes disks and folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
import json
import os
from pathlib import Path
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from reliability import disks
from reliability.processes import ROOT
from reliability.stage import Stage
from reliability.verdicts import Fault, FaultyError, Finding, Verdict

_FOUND = 'found.json'
_KILLED_S = 10.0
# Of a fault that never gets to its own judgement: starting the node and ending it.
_SLACK_S = 30.0


def play_here(fault: Fault, folder: Path, domain_id: int) -> None:
    """Play a fault in this process and write the finding into the folder."""
    stage = Stage(folder, domain_id)
    verdict, why = Verdict.RIGHT, ''
    begun_s = time.monotonic()
    try:
        fault.run(stage)
    except FaultyError as error:
        verdict, why = error.verdict, str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must show in the table
        verdict = Verdict.BROKEN
        why = f'{type(error).__name__}: {error} at {_where(error)}'
    recovered = {None: '', True: 'yes', False: 'no'}[stage.recovered]
    finding = Finding(fault.name, fault.about, fault.done, verdict, why, stage.last_said,
                      recovered, stage.lost, time.monotonic() - begun_s)
    unfinished = folder / f'{_FOUND}.part'
    unfinished.write_text(json.dumps({**asdict(finding), 'verdict': finding.verdict.name}))
    unfinished.replace(folder / _FOUND)
    stage.close()


def _where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f'{Path(frame.filename).name}:{frame.lineno}'


def play_apart(fault: Fault, domain_id: int, command: Sequence[str] = ()) -> Finding:
    """
    Play a fault in a process group of its own.

    :param command: what plays it, instead of `python -m reliability.faults`
    """
    reason = fault.why_not()
    if reason:
        return _finding(fault, Verdict.NOT_RUN, reason)
    folder = Path(tempfile.mkdtemp(prefix=f'{fault.name}_'))
    command = command or [sys.executable, '-m', 'reliability.faults', '--only', fault.name,
                          '--domain', str(domain_id), '--alone', str(folder)]
    log = folder / 'player.log'
    try:
        with log.open('wb') as sink:
            player = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sink,
                                      stderr=subprocess.STDOUT, start_new_session=True)
        try:
            player.wait(fault.limit_s + _SLACK_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            is_over = player.poll() is not None
            _end_group(player, folder)
        return _read(fault, folder, is_over, log.read_text(errors='replace'))
    finally:
        disks.release_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _end_group(player: subprocess.Popen[bytes], folder: Path) -> None:
    # Nothing that waits for a frozen disk can be killed.
    disks.thaw_below(folder)
    with suppress(ProcessLookupError):
        os.killpg(player.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        player.wait(_KILLED_S)


def _read(fault: Fault, folder: Path, is_over: bool, printed: str) -> Finding:
    try:
        fields = json.loads((folder / _FOUND).read_text())
    except FileNotFoundError:
        if not is_over:
            return _finding(fault, Verdict.FROZE, f'not done after {fault.limit_s:.0f} s')
        return _finding(fault, Verdict.BROKEN, f'the check ended: {printed.strip()[-300:]}')
    return Finding(**{**fields, 'verdict': Verdict[fields['verdict']]})


def _finding(fault: Fault, verdict: Verdict, why: str) -> Finding:
    return Finding(fault.name, fault.about, fault.done, verdict, why)


def play_all(faults: Sequence[Fault], jobs: int, first_domain_id: int) -> list[Finding]:
    """Play faults, so many at a time, and print each finding as it comes."""
    domains: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(jobs):
        domains.put(first_domain_id + number)
    printing, done = threading.Lock(), []

    def play(fault: Fault) -> Finding:
        domain_id, begun_s = domains.get(), time.monotonic()
        try:
            found = play_apart(fault, domain_id)
        finally:
            domains.put(domain_id)
        found = replace(found, took_s=time.monotonic() - begun_s)
        with printing:
            done.append(found)
            print(f'{len(done):3} of {len(faults)}  {found.verdict.value:13}{found.name:34}'
                  f'{found.took_s:5.1f} s  {found.why[:160]}', flush=True)
        return found
    pool = ThreadPoolExecutor(jobs)
    try:
        return list(pool.map(play, faults))
    finally:
        pool.shutdown(cancel_futures=True)
