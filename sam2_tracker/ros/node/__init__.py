# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker node: its process, lifecycle, executor and diagnostics.

The parts that it puts together are in the other rooms, which do not import this one.
"""
