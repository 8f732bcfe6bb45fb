# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Messages that are not on PyPI, built into a place of their own for the tests that need them.

They have the names, fields and types of the public packages, and nothing else of them. A test
that runs processes gives them this overlay's environment; where a ROS installation has the real
packages the overlay comes before them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
import shutil
import subprocess
import sys

FOLDER = Path(__file__).resolve().parent / 'interfaces'
PACKAGES = ('foxglove_msgs', 'vision_msgs')
# Ignored by git, and removed with everything else that is built.
BUILT = FOLDER.parents[1] / 'build' / 'test_interfaces'
TIMEOUT_S = 3600


def overlay_environment() -> dict[str, str]:
    """
    Build the packages, unless that was done before, and return a process's environment with them.

    :raises AssertionError: they cannot be built; with colcon's output
    """
    prefix = _built()
    shell = f'. {prefix}/local_setup.sh && env -0'
    found = subprocess.run(['sh', '-c', shell], stdout=subprocess.PIPE, check=True,
                           env={**os.environ, 'COLCON_CURRENT_PREFIX': str(prefix)})
    pairs = (entry.partition('=') for entry in found.stdout.decode().split('\0') if entry)
    return {name: value for name, _, value in pairs}


def _built() -> Path:
    BUILT.mkdir(parents=True, exist_ok=True)
    place = BUILT / _fingerprint()
    with (BUILT / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = place / 'done'
        if not done.exists():
            # What an interrupted run has built is gone on with.
            _build(place)
            done.touch()
    return place / 'install'


def _fingerprint() -> str:
    """Name what the packages are built from, and with: another Python has another build."""
    digest = hashlib.sha256(sys.executable.encode())
    for path in sorted(path for name in PACKAGES for path in (FOLDER / name).rglob('*.*')):
        digest.update(f'{path.name}\0{path.read_text()}\0'.encode())
    return digest.hexdigest()[:16]


def _build(place: Path) -> None:
    colcon = shutil.which('colcon')
    assert colcon, 'colcon is not there: it is a part of what make setup installs'
    paths = [str(FOLDER / name) for name in PACKAGES]
    # Colcon's own defaults name this repository's packages.
    built = subprocess.run(
        [sys.executable, colcon, '--log-base', str(place / 'log'), 'build', '--paths', *paths,
         '--build-base', str(place / 'build'), '--install-base', str(place / 'install'),
         '--merge-install', '--event-handlers', 'console_direct-',
         '--cmake-args', '-DBUILD_TESTING=OFF'],
        cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=TIMEOUT_S, env={**os.environ, 'COLCON_DEFAULTS_FILE': os.devnull})
    assert built.returncode == 0, built.stdout
