# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Frames from their arrival to their eviction, kept as JPEGs on disk and the newest in memory.

Nothing in it knows of models, objects or prompts, or imports another room.
"""
