# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What can be asked of the node, and how it is answered without holding a thread.

Nothing here publishes.
"""
