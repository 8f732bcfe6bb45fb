# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What comes in by topics: images and clicks.

Nothing here publishes or answers.
"""
