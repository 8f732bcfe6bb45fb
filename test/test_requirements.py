# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What requirements/ names can be installed, for every Python that the README promises."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
import re
import shutil
import subprocess

import pytest
from tools.machine import WHEELS_FILE

REQUIREMENTS = Path(__file__).resolve().parent.parent / 'requirements'
PYTHONS = ('3.10', '3.11', '3.12', '3.13', '3.14')
# The wheel of cv_bridge needs a NumPy that has no wheels for 3.14.
PYTHONS_FOR_WHEELS = PYTHONS[:-1]
# Pure Python that comes as source; everything else has to be there as a wheel.
FROM_SOURCE = (
    'antlr4-python3-runtime', 'empy', 'flake8-blind-except', 'flake8-quotes', 'iopath', 'sam2')
# An index that is slower than this counts as one that is not there.
PATIENCE_S = 180.0
AT_ONCE = 4

Wanted = tuple[str, tuple[str, ...]]
BESIDE_ROS = [
    (python, ('torch.txt', 'run.txt', 'ray.txt', 'train.txt', 'dev.txt', '-c', 'ros-apt.txt'))
    for python in PYTHONS
]
WITHOUT_ROS = [
    (python, ('run.txt', 'opencv.txt', f'{wheels}.txt'))
    for python in PYTHONS_FOR_WHEELS
    for wheels in WHEELS_FILE.values()
]
SAM2 = [(python, ('--no-deps', 'sam2.txt')) for python in (PYTHONS[0], PYTHONS[-1])]


def compiled(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    command = ['uv', 'pip', 'compile', '--quiet', '--no-header', '--no-annotate', *arguments]
    return subprocess.run(
        command, cwd=REQUIREMENTS, capture_output=True, text=True, timeout=PATIENCE_S, **options
    )


def resolve(python: str, arguments: tuple[str, ...]) -> dict[str, str]:
    """
    Resolve requirements as pip would on a Linux machine with this Python, and install nothing.

    :return: version of each package
    """
    done = compiled(
        *('--python-version', python, '--python-platform', 'x86_64-manylinux_2_28'),
        *('--only-binary', ':all:', *(f'--no-binary={name}' for name in FROM_SOURCE)),
        *arguments,
    )
    assert done.returncode == 0, f'Python {python}: {done.stderr}'
    return dict(re.findall(r'^([\w.-]+)==(\S+)', done.stdout, re.MULTILINE))


@pytest.fixture(scope='module')
def resolutions() -> Iterator[dict[Wanted, Future[dict[str, str]]]]:
    """Resolve everything, or skip where uv is not installed or finds no package index."""
    if shutil.which('uv') is None:
        pytest.skip('uv is not installed: pip install -r requirements/dev.txt')
    try:
        done = compiled('--no-deps', '-', input='pip')
    except subprocess.TimeoutExpired:
        pytest.skip(f'no package index answers within {PATIENCE_S:.0f} s')
    if done.returncode:
        pytest.skip(f'no package index can be reached: {done.stderr.strip()}')
    # Side by side, since nearly all of the time goes into waiting for the index.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            wanted: pool.submit(resolve, *wanted) for wanted in BESIDE_ROS + WITHOUT_ROS + SAM2
        }


def result_of(future: Future[dict[str, str]]) -> dict[str, str]:
    try:
        return future.result()
    except subprocess.TimeoutExpired:
        pytest.skip(f'the package index gave no answer within {PATIENCE_S:.0f} s')


@pytest.mark.parametrize('wanted', BESIDE_ROS, ids=PYTHONS)
def test_requirements_resolve_beside_a_ros_installation(resolutions, wanted: Wanted) -> None:
    versions = result_of(resolutions[wanted])
    assert {'numpy', 'torch', 'supervision'} <= set(versions)
    # apt's cv_bridge of Humble, Jazzy and Kilted was compiled against NumPy 1.
    assert versions['numpy'].startswith('1.') == (wanted[0] in {'3.10', '3.11', '3.12'})
    # A wheel would hide the OpenCV that apt's cv_bridge was compiled against.
    assert not [name for name in versions if name.startswith('opencv')]


@pytest.mark.parametrize(
    'wanted', WITHOUT_ROS, ids=[f'{python} {files[-1]}' for python, files in WITHOUT_ROS])
def test_requirements_resolve_without_ros(resolutions, wanted: Wanted) -> None:
    versions = result_of(resolutions[wanted])
    assert {'ros-rclpy', 'cv-bridge', 'opencv-python-headless'} <= set(versions)


@pytest.mark.parametrize('wanted', SAM2, ids=[python for python, _ in SAM2])
def test_sam2_exists_for_the_oldest_and_the_newest_python(resolutions, wanted: Wanted) -> None:
    assert 'sam2' in result_of(resolutions[wanted])


def test_numpy_is_bounded_where_a_cv_bridge_needs_it_and_nowhere_else() -> None:
    bounded = {
        path.stem
        for path in REQUIREMENTS.glob('*.txt')
        if re.search(r'^numpy[^#;\n]*(<|==)', path.read_text(), re.MULTILINE)
    }
    assert bounded == {'ros-apt', 'ros-wheels', 'ros-wheels-jazzy'}
