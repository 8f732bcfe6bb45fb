# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
From masks to space: with depth and a camera's intrinsics, where objects are and how large.

Needs NumPy only, and no other room.
"""
