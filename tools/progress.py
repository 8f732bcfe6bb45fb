# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Run long commands with one line of progress, and the whole output in a log file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import queue
import shutil
import subprocess
import sys
import threading
import time

TICK_S = 1.0
QUIET_INTERVAL_S = 20.0
LINES_SHOWN_ON_FAILURE = 30


class CommandError(Exception):
    """A command that failed, with the end of its output."""


@dataclass(frozen=True)
class Runner:
    """
    Runs commands of the set-up.

    :param root: folder that they run in
    :param environment: their environment variables
    :param log_path: file that all output is appended to
    """

    root: Path
    environment: Mapping[str, str]
    log_path: Path

    def run(self, command: Sequence[str | Path], **extra_environment: str) -> None:
        """
        Run one command and show its newest line of output while it runs.

        :raises CommandError: if it fails
        """
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=self.root,
            env={**self.environment, **extra_environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        )
        try:
            tail = self._follow(process)
        finally:
            process.kill()
            status = process.wait()
        if status:
            raise CommandError(
                f'{" ".join(str(part) for part in command)}\nfailed with status {status}:\n'
                + '\n'.join(tail)
                + f'\nAll output is in {self.log_path}.'
            )

    def _follow(self, process: subprocess.Popen[str]) -> list[str]:
        tail: list[str] = []
        with ProgressLine() as progress, self.log_path.open('a', encoding='utf-8') as log:
            for line in _lines_with_ticks(process, progress.tick):
                log.write(f'{line}\n')
                tail = [*tail[1 - LINES_SHOWN_ON_FAILURE:], line]
                progress.show(line)
            process.wait()
        return tail


class ProgressLine:
    """One line that is overwritten on a terminal, and printed now and then elsewhere."""

    def __init__(self) -> None:
        self._overwrites = sys.stdout.isatty() and os.environ.get('TERM') != 'dumb'
        self._started_s = time.monotonic()
        self._printed_s = self._started_s
        self._text = ''

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._overwrites:
            print('\r\033[K', end='', flush=True)

    def show(self, text: str) -> None:
        self._text = text.strip() or self._text
        self.tick()

    def tick(self) -> None:
        now_s = time.monotonic()
        line = f'      {now_s - self._started_s:4.0f} s  {self._text}'
        width = shutil.get_terminal_size().columns - 1
        if self._overwrites:
            print(f'\r\033[K{line[:width]}', end='', flush=True)
        elif now_s - self._printed_s > QUIET_INTERVAL_S:
            self._printed_s = now_s
            print(line[:120], flush=True)


def _lines_with_ticks(process: subprocess.Popen[str], tick: Callable[[], None]) -> Iterator[str]:
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read_lines, args=(process, lines), daemon=True)
    reader.start()
    while True:
        try:
            line = lines.get(timeout=TICK_S)
        except queue.Empty:
            tick()
            continue
        if line is None:
            return
        yield line


def _read_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line.rstrip('\n'))
    lines.put(None)
