# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker as other programs see it: its topics and services from outside.

Nothing here imports the node.
"""
