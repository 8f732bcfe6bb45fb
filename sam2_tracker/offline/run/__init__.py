# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
From recordings and prompts to finished outputs, here or on a cluster, resumable.

Nothing here parses a command line or prints.
"""
