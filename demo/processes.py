# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Start and stop the package's executables as processes of their own."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import signal
import subprocess
from types import TracebackType

from ament_index_python.packages import get_package_prefix, PackageNotFoundError

STOP_TIMEOUT_S = 20.0
KILL_AFTER_S = 5.0
LINES_SHOWN = 15


class DemoError(Exception):
    """The demo cannot go on; the message is for the user."""


class RosProcess:
    """
    An executable of this package, running until the end of a ``with`` block.

    :param executable: its name, as ``ros2 run sam2_tracker`` takes it
    :param log: file for what it prints
    :param parameters: ROS parameters by name
    :param environment: variables besides those of this process
    :raises DemoError: the package is not built
    """

    def __init__(
        self,
        executable: str,
        log: Path,
        parameters: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = executable
        self._log = log
        arguments = [
            part
            for name, value in parameters.items()
            for part in ('-p', f'{name}:={_as_yaml(value)}')
        ]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('w') as output:
            self._process = subprocess.Popen(
                [_path_of(executable), '--ros-args', *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def __enter__(self) -> RosProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self._end()

    def check(self) -> None:
        """
        Check that it has not failed.

        :raises DemoError: it has; with its last lines
        """
        if self._process.poll() not in (None, 0):
            raise DemoError(
                f'{self._name} ended with code {self._process.returncode}:\n{self.last_lines()}'
            )

    def wait(self, timeout_s: float) -> None:
        """
        Wait until it ends by itself.

        :raises DemoError: it does not, or it fails
        """
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise DemoError(
                f'{self._name} did not end within {timeout_s:.0f} s:\n{self.last_lines()}'
            ) from None
        self.check()

    def stop(self) -> None:
        """
        Interrupt it as Ctrl-C does and wait.

        :raises DemoError: it does not stop, or not with code 0
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self.wait(STOP_TIMEOUT_S)
        finally:
            self._end()

    def _end(self) -> None:
        """Make sure that it does not outlive the demo, whatever went wrong."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(KILL_AFTER_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def last_lines(self) -> str:
        """Return the end of what it printed."""
        return '\n'.join(self._log.read_text(errors='replace').splitlines()[-LINES_SHOWN:])


def _path_of(executable: str) -> str:
    try:
        prefix = get_package_prefix('sam2_tracker')
    except PackageNotFoundError:
        raise DemoError(
            'the package sam2_tracker is not built; run `make setup`, then `. install/setup.bash`'
        ) from None
    return os.fspath(Path(prefix) / 'lib' / 'sam2_tracker' / executable)


def _as_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
