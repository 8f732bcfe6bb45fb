# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Programs under test: started with a log of their own, watched from /proc, always ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
# The contract's 5 s of `ros2 launch`, and room for a busy machine.
STOP_TIMEOUT_S = 15.0
_ESCAPE = re.compile(r'\x1b\[[0-9;]*m')


def executable(name: str) -> str:
    """
    Return the path that `ros2 run sam2_tracker` would start.

    :raises FileNotFoundError: if the workspace is not built, or not sourced
    """
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(':'):
        path = Path(prefix, 'lib', 'sam2_tracker', name)
        if path.is_file():
            return str(path)
    raise FileNotFoundError(f'sam2_tracker has no executable {name} here: run `make setup`, then '
                            'source install/setup.bash')


def take_signals() -> None:
    """
    Let Ctrl-C reach this program and those that it starts, and end by SIGTERM as by an exception.

    A shell's background jobs ignore SIGINT, and so would every program that is interrupted here;
    and whoever ends this one, what it mounted and started has to be undone.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _leave)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


@dataclass(frozen=True)
class Usage:
    """
    What a process holds.

    :param memory_kib: resident memory that is its own; pages of mapped files do not count
    :param handles: open file descriptors
    """

    memory_kib: int
    handles: int
    threads: int


def usage(pid: int) -> Usage | None:
    """Weigh a process; None if it has ended."""
    try:
        status = Path(f'/proc/{pid}/status').read_text()
        handles = len(list(Path(f'/proc/{pid}/fd').iterdir()))
        threads = len(list(Path(f'/proc/{pid}/task').iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None
    sizes = {name: int(kib) for name, kib in re.findall(r'^(\w+):\s+(\d+) kB', status, re.M)}
    if 'RssAnon' not in sizes:
        return None
    return Usage(sizes['RssAnon'] + sizes.get('RssShmem', 0), handles, threads)


def state_of(pid: int) -> str:
    """Return a process's state as the kernel says it: R, S, D, T, Z; '' if it is gone."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ''


class Program:
    """
    A program that is running, and what it has printed.

    It stays in the process group of who starts it, so that whoever ends the group ends it too.

    :param command: program and arguments
    :param log: gets both its outputs
    :param environment: on top of this process's own
    """

    def __init__(self, command: Sequence[str], log: Path,
                 environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open('wb') as sink:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
                env={**os.environ, 'PYTHONUNBUFFERED': '1', **(environment or {})})

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal, None while it runs."""
        return self.process.poll()

    @property
    def printed(self) -> str:
        """Return everything printed so far, without colours."""
        return _ESCAPE.sub('', self.log.read_text(errors='replace'))

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGINT,
             timeout_s: float = STOP_TIMEOUT_S) -> int | None:
        """Ask it to end and return its exit code; None if it had to be killed."""
        self.send(number)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_S)


@dataclass(frozen=True)
class Ended:
    """
    A command that has run to its end.

    :param code: exit code, negative for a signal, None if it had to be killed
    :param peak_mib: most resident memory seen
    """

    code: int | None
    out: str
    err: str
    took_s: float
    peak_mib: float

    @property
    def last_words(self) -> str:
        """Return the last line of its standard error, or of its output if there is none."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else ''


def run_command(command: Sequence[str], folder: Path, timeout_s: float,
                interrupt: bool = False) -> Ended:
    """
    Run a command to its end, or to the end of its time.

    :param folder: gets its outputs, as files
    :param interrupt: when the time is over send SIGINT first, and kill it 5 s later
    """
    out, err = folder / 'stdout.txt', folder / 'stderr.txt'
    begun_s = time.monotonic()
    with out.open('wb') as out_sink, err.open('wb') as err_sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out_sink,
                                   stderr=err_sink)
    peak_kib, killed = 0, False
    limits_s = [begun_s + timeout_s, begun_s + timeout_s + (5.0 if interrupt else 0.0)]
    while process.poll() is None:
        now = usage(process.pid)
        peak_kib = max(peak_kib, now.memory_kib if now else 0)
        if time.monotonic() > limits_s[1]:
            process.kill()
            killed = True
        elif time.monotonic() > limits_s[0]:
            process.send_signal(signal.SIGINT)
            limits_s[0] = limits_s[1]
        time.sleep(0.02)
    return Ended(None if killed else process.returncode, out.read_text(errors='replace'),
                 err.read_text(errors='replace'), time.monotonic() - begun_s, peak_kib / 1024)


def offline_command(*arguments: object) -> list[str]:
    """Return the command line of `process`, as it runs without ROS."""
    return [sys.executable, '-m', 'sam2_tracker.offline', *map(str, arguments)]
