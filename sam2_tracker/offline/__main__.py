# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
Entry point of `python -m sam2_tracker.offline`.

Apart: process, since `python -m` runs a module of this name.
"""

import sys

from sam2_tracker.offline.command import main

sys.exit(main())
