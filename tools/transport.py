# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
With what Fast DDS brings images of ordinary size from one process to another, and keeps to itself.

    eval "$(python -m tools.transport)"

sets it for a shell, unless that has a profile already.
"""

from __future__ import annotations

import os
from pathlib import Path
import socket

PROFILE = Path(__file__).resolve().parents[1] / 'config' / 'fastdds.xml'
# Below are those that people choose; the tests have theirs above, and may run beside a demo.
DOMAINS = range(10, 31)


def profile_variables() -> dict[str, str]:
    """Return the environment variable that makes Fast DDS read the profile of this checkout."""
    return {f'{_prefix()}_DEFAULT_PROFILES_FILE': str(PROFILE)}


def own_network() -> dict[str, str]:
    """
    Return environment variables that keep away from robots, and from other demos on this machine.

    Where every domain is in use one is shared.
    """
    first = os.getpid() % len(DOMAINS)
    in_turn = (*DOMAINS[first:], *DOMAINS[:first])
    return {
        'ROS_DOMAIN_ID': str(next(filter(_is_free, in_turn), in_turn[0])),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        **profile_variables(),
    }


def _is_free(domain: int) -> bool:
    """Tell whether nobody has the port that a domain's first participant takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', 7410 + 250 * domain))
        except OSError:
            return False
    return True


def _prefix() -> str:
    """Return how the variables of the Fast DDS here begin: up to Jazzy it was called Fast RTPS."""
    places = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    is_old = any(Path(place, 'share', 'fastrtps').is_dir() for place in places if place)
    return 'FASTRTPS' if is_old else 'FASTDDS'


if __name__ == '__main__':
    for name, value in profile_variables().items():
        print(f'export {name}="${{{name}:-{value}}}"')
