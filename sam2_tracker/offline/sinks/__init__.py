# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Everything that a run can write, and how it appears whole or not at all.

Nothing here decides what is tracked or in which order.
"""
