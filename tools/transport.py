# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
With what Fast DDS brings images of ordinary size from one process to another.

    eval "$(python -m tools.transport)"

sets it for a shell, unless that has a profile already.
"""

from __future__ import annotations

import os
from pathlib import Path

PROFILE = Path(__file__).resolve().parents[1] / 'config' / 'fastdds.xml'


def profile_variables() -> dict[str, str]:
    """Return the environment variable that makes Fast DDS read the profile of this checkout."""
    return {f'{_prefix()}_DEFAULT_PROFILES_FILE': str(PROFILE)}


def _prefix() -> str:
    """Return how the variables of the Fast DDS here begin: up to Jazzy it was called Fast RTPS."""
    places = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    is_old = any(Path(place, 'share', 'fastrtps').is_dir() for place in places if place)
    return 'FASTRTPS' if is_old else 'FASTDDS'


if __name__ == '__main__':
    for name, value in profile_variables().items():
        print(f'export {name}="${{{name}:-{value}}}"')
