# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every benchmark of speed, one after the other; each can be run alone with more options."""

from __future__ import annotations

import subprocess
import sys

TABLES = (
    ('frames a second against the number of objects', ['benchmarks.objects']),
    ('the offline command against the engine alone', ['benchmarks.offline']),
)


def main() -> int:
    """Run all; 1 if one of them fails."""
    failed = False
    for title, command in TABLES:
        print(f'\n## {title}\n', flush=True)
        failed |= subprocess.run([sys.executable, '-m', *command]).returncode != 0
    return int(failed)


if __name__ == '__main__':
    raise SystemExit(main())
