# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `lift`: with a depth camera, where the tracked objects are in space.

A client of the tracker's topics like any other; what is computed is in `core.lifting`.
"""
