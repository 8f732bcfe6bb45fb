# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker node: its process, lifecycle, executor, engine and diagnostics.

It puts the other rooms together, and none of them imports it.
"""
