# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo's tests share."""

from __future__ import annotations

from pathlib import Path
import sys

sys.path.append(str(Path(__file__).resolve().parents[1] / 'web'))

from browser_fixtures import browser_fixture, keep_picture_fixture  # noqa: E402, F401
from ros_lock import _one_run_at_a_time  # noqa: E402, F401
