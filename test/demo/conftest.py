# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo's tests share."""

from __future__ import annotations

from ros_lock import _one_run_at_a_time  # noqa: F401
