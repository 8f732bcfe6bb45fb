# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Prepare this checkout: a virtual environment in .venv, and both packages built with colcon.

With the argument `jazzy` the same in the folder .jazzy, from the wheels of that distribution.

Each step leaves a stamp with a hash of what it depends on, so that a second run does nothing, a
change repeats only what it concerns, and an interrupted run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import hashlib
from pathlib import Path
import shutil
import subprocess
import sys
import time

from tools.environment import (
    check_same_ros,
    environment_for,
    make_wheels_buildable,
    refuse_link,
    venv_command,
    venv_is_whole,
)
from tools.machine import (
    check_machine,
    DEFAULT_WHEELS,
    find_ros,
    MachineError,
    RosSource,
    WHEELS_FILE,
)
from tools.progress import CommandError, Runner

ROOT = Path(__file__).resolve().parent.parent
BUILT = ('build', 'install', 'log')
# Some packages have files that are no Python of this version: as with pip, that is no failure.
COMPILE = """
import compileall, sysconfig
compileall.compile_dir(sysconfig.get_path('purelib'), quiet=2, workers=0)
"""


def workspace_of(root: Path, ros: RosSource) -> Path:
    """Give the folder of `build`, `install` and `log`: the checkout, but for other wheels."""
    is_default = not ros.uses_wheels or ros.distribution == DEFAULT_WHEELS
    return root if is_default else root / f'.{ros.distribution}'


@dataclass(frozen=True)
class Step:
    """
    One step of the set-up.

    :param name: of its stamp
    :param title: what a person reads
    :param key: changes when the step has to be done again
    :param action: does it
    :param result: what has to be there for it to count as done
    """

    name: str
    title: str
    key: str
    action: Callable[[], None]
    result: Path | None = None

    def is_done(self, stamps: Path) -> bool:
        stamp = stamps / self.name
        is_there = self.result is None or self.result.exists()
        return is_there and stamp.exists() and stamp.read_text() == self.key


class SetUp:
    """
    The steps for one checkout.

    :param root: the checkout
    :param ros: where ROS 2 comes from
    """

    def __init__(self, root: Path, ros: RosSource) -> None:
        self._root = root
        self._ros = ros
        self._workspace = workspace_of(root, ros)
        self._venv = self._workspace / '.venv'
        self._stamps = self._venv / 'set_up'
        self._runner = Runner(root, environment_for(self._venv, ros), self._stamps / 'log.txt')

    def run(self) -> None:
        """
        Do what has not been done.

        :raises MachineError: if the machine lacks something
        :raises CommandError: if a step fails
        """
        self._make_venv()
        pending = [step for step in self._steps() if not step.is_done(self._stamps)]
        for number, step in enumerate(pending, start=1):
            print(f'[{number}/{len(pending)}] {step.title}', flush=True)
            started_s = time.monotonic()
            step.action()
            (self._stamps / step.name).write_text(step.key)
            print(f'      done in {time.monotonic() - started_s:.0f} s', flush=True)

    def _make_venv(self) -> None:
        if venv_is_whole(self._venv):
            check_same_ros(self._venv, self._ros)
        else:
            refuse_link(self._venv)
            check_machine(self._ros)
            name = self._venv.relative_to(self._root)
            print(f'Making {name} with {sys.executable}, for {self._ros}', flush=True)
            subprocess.run(venv_command(self._venv, self._ros), check=True)
        self._stamps.mkdir(exist_ok=True)

    def _steps(self) -> list[Step]:
        torch, packages, sam2 = self._files('torch'), self._package_files(), self._files('sam2')
        return [
            Step(
                'torch',
                'torch (200 MB for the CPU, several GB with CUDA)',
                _hash(torch),
                lambda: self._pip(torch),
            ),
            Step(
                'packages',
                f'what goes with {self._ros} (300 MB)',
                _hash([*packages, *self._constraints(), *torch]),
                lambda: self._install_packages(packages, torch),
            ),
            Step('sam2', 'sam2', _hash([*sam2, *torch]), lambda: self._install_sam2(sam2)),
            Step(
                'byte_code',
                'byte code of all these, on all cores',
                _hash([*packages, *self._constraints(), *torch, *sam2]),
                self._compile,
            ),
            Step(
                'build',
                'colcon build',
                self._build_key(),
                self._build,
                self._workspace / 'install' / 'setup.bash',
            ),
        ]

    def _files(self, *names: str) -> list[Path]:
        return [self._root / 'requirements' / f'{name}.txt' for name in names]

    def _package_files(self) -> list[Path]:
        uses_wheels = self._ros.uses_wheels
        from_pip = ('opencv', WHEELS_FILE[self._ros.distribution]) if uses_wheels else ()
        return self._files('run', *from_pip, 'ray', 'train', 'dev')

    def _constraints(self) -> list[Path]:
        return [] if self._ros.uses_wheels else self._files('ros-apt')

    def _pip(self, files: Iterable[Path], *options: str | Path, **environment: str) -> None:
        python = self._venv / 'bin' / 'python'
        named = [part for path in files for part in ('-r', path)]
        # pip would compile on one core, for a third of the time that it takes.
        command = [python, '-m', 'pip', 'install', '--no-compile', *options, *named]
        self._runner.run(command, **environment)

    def _install_packages(self, packages: list[Path], torch: list[Path]) -> None:
        constraints = [part for path in self._constraints() for part in ('-c', path)]
        # torch is named again, so that nothing replaces it.
        self._pip([*packages, *torch], *constraints)
        if self._ros.uses_wheels:
            make_wheels_buildable(self._venv)

    def _install_sam2(self, files: list[Path]) -> None:
        self._pip(files, '--no-build-isolation', '--no-deps', SAM2_BUILD_CUDA='0')

    def _compile(self) -> None:
        self._runner.run([self._venv / 'bin' / 'python', '-c', COMPILE])

    def _build_key(self) -> str:
        sources = [self._root / name for name in ('package.xml', 'setup.py', 'setup.cfg')]
        messages = sorted((self._root / 'sam2_tracker_msgs').rglob('*.*'))
        # Links to these are made when the package is built, so a new name needs a new build.
        linked = sorted(
            path for folder in ('launch', 'config') for path in (self._root / folder).glob('*.*')
        )
        return _hash([*sources, *messages, *self._files('torch')], [str(path) for path in linked])

    def _build(self) -> None:
        colcon = shutil.which('colcon', path=self._runner.environment['PATH'])
        if colcon is None:
            raise MachineError(
                'colcon is missing. Install it with\n\n'
                '    apt-get install -y python3-colcon-common-extensions\n'
            )
        self._remove_builds_of_another_place()
        # colcon writes the interpreter that runs it into the executables, and an apt-installed
        # colcon's own would not see the torch in .venv.
        build, install, log = (self._workspace / name for name in BUILT)
        command = [self._venv / 'bin' / 'python', colcon, '--log-base', log, 'build']
        command += ['--build-base', build, '--install-base', install]
        command += ['--symlink-install', '--event-handlers', 'console_cohesion+']
        self._runner.run(command)

    def _remove_builds_of_another_place(self) -> None:
        cache = self._workspace / 'build' / 'sam2_tracker_msgs' / 'CMakeCache.txt'
        if (
            cache.exists()
            and f'CMAKE_HOME_DIRECTORY:INTERNAL={self._root}/' not in cache.read_text()
        ):
            for name in BUILT:
                shutil.rmtree(self._workspace / name, ignore_errors=True)


def _hash(files: Iterable[Path], names: Iterable[str] = ()) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f'{path.name}\0'.encode() + path.read_bytes())
    for name in names:
        digest.update(f'{name}\0'.encode())
    return digest.hexdigest()


def main(wheels: str = '') -> int:
    """
    Set this checkout up and tell how it went.

    :param wheels: distribution whose wheels are wanted, or empty for what `find_ros` finds
    :return: exit code
    """
    try:
        SetUp(ROOT, find_ros(wheels)).run()
    except (MachineError, CommandError) as error:
        print(f'\n{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted: the next run goes on from here.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
