# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Make a folder that takes the judge to a machine with a GPU, torch, OpenCV and Pillow, offline.

    python -m benchmarks.gpu.carry [FOLDER]           # gpu_folder, which git ignores
    bash FOLDER/run.sh                                # there: the judge, then test/cuda
    bash FOLDER/run.sh --only vos_optimized --minutes 8

It has this commit's source, the wheels of what is missing on such a machine, for each Python, and
a real clip where the development data are at hand. Its size is printed, and more than 60 MB are
refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import importlib.metadata
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tarfile

from benchmarks.machine import CARRIED_COMMIT, ROOT
from benchmarks.sequences import load_sequence

MOST_MB = 60
# Plain Python, the same for all; SAM 2 without its CUDA extension.
_PLAIN = ('sam2', 'hydra-core', 'omegaconf', 'antlr4-python3-runtime', 'iopath', 'portalocker',
          'tqdm', 'packaging', 'typing_extensions', 'pytest', 'pluggy', 'iniconfig',
          'sortedcontainers')
# Of these there is a wheel for each Python.
_BUILT = ('PyYAML', 'hypothesis')
_PYTHONS = ('3.11', '3.12', '3.13')
_FRAMES = 30
_RUN = """#!/usr/bin/env bash
# Judges this commit of sam2_tracker on this machine's GPU; arguments are those of benchmarks.gpu.
cd "$(dirname "$0")" || exit 1
out="${OUT:-$PWD/out}"
site="$(mktemp -d)" || exit 1
trap 'rm -rf "$site"' EXIT
export PIP_NO_INDEX=1 PIP_FIND_LINKS="$PWD/wheels"
python3 -m pip install -q --no-deps --no-compile --target "$site" -r needed.txt || exit 1
export PYTHONPATH="$PWD/source:$site" SAM2_TRACKER_DATA="$PWD/data" PYTHONUNBUFFERED=1
cd source || exit 1
python3 -m benchmarks.gpu --out "$out" "$@"
status=$?
[ $# -gt 0 ] || timeout 90 python3 -m pytest -q -p no:cacheprovider test/cuda || status=1
exit $status
"""


def make_folder(folder: Path) -> float:
    """
    Write everything, in place of a folder that was made before.

    :returns: its size in MB
    :raises FileExistsError: if something else is there
    """
    if folder.exists():
        made_before = all((folder / name).is_file() for name in ('run.sh', 'needed.txt'))
        if not made_before and not (folder.is_dir() and not any(folder.iterdir())):
            raise FileExistsError(f'{folder} is there and was not made by benchmarks.gpu.carry: '
                                  'name a folder that is new or empty')
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    # first, so that a folder that was not finished is known again
    (folder / 'needed.txt').write_text('\n'.join([*_PLAIN, *_BUILT]) + '\n')
    (folder / 'run.sh').write_text(_RUN)
    _write_source(folder / 'source')
    _write_wheels(folder / 'wheels')
    _write_clip(folder / 'data' / 'dev' / 'davis2017')
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6


def _write_source(folder: Path) -> None:
    """Write the files of the last commit, without its history."""
    folder.mkdir()
    archive = folder / 'source.tar'
    subprocess.run(['git', 'archive', '-o', str(archive), 'HEAD'], cwd=ROOT, check=True)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter='data')
    archive.unlink()
    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    (folder / CARRIED_COMMIT.name).write_text(commit)


def _write_wheels(folder: Path) -> None:
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    named = [f'{name}=={importlib.metadata.version(name)}' for name in _PLAIN]
    subprocess.run([*pip, 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', str(folder),
                    *named], check=True, env={**os.environ, 'SAM2_BUILD_CUDA': '0'})
    built = [f'{name}=={importlib.metadata.version(name)}' for name in _BUILT]
    for python in _PYTHONS:
        done = subprocess.run(
            [*pip, 'download', '-q', '--no-deps', '--only-binary=:all:',
             '--python-version', python, '--platform', 'manylinux2014_x86_64',
             '--platform', 'manylinux_2_28_x86_64', '-d', str(folder), *built], check=False)
        if done.returncode:
            print(f'there is no wheel of {" or of ".join(built)} for Python {python}: the folder '
                  'is not for it', file=sys.stderr)


def _write_clip(folder: Path) -> None:
    try:
        clip = load_sequence('dogs-jump').first(_FRAMES)
    except FileNotFoundError as missing:
        print(f'the folder has no real clip, exactness is judged on a made one: {missing}',
              file=sys.stderr)
        return
    for kind in ('JPEGImages', 'Annotations'):
        (folder / kind / clip.name).mkdir(parents=True)
    for frame in clip.frames:
        shutil.copy(frame, folder / 'JPEGImages' / clip.name)
        labels = frame.parents[2] / 'Annotations' / clip.name / f'{frame.stem}.png'
        shutil.copy(labels, folder / 'Annotations' / clip.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the folder; 1 if it is too large."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.gpu.carry', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', nargs='?', type=Path, default=ROOT / 'gpu_folder')
    folder: Path = parser.parse_args(arguments).folder.absolute()
    try:
        size_mb = make_folder(folder)
    except OSError as error:
        parser.error(str(error))
    print(f'{folder}: {size_mb:.1f} MB')
    if size_mb > MOST_MB:
        print(f'that is more than the {MOST_MB} MB that are to be carried', file=sys.stderr)
    return int(size_mb > MOST_MB)


if __name__ == '__main__':
    sys.exit(main())
