# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Tracking without ROS: from pictures and prompts to masks, and the types that all parts share.

Nothing here imports another part of the package, and only the engine imports torch and SAM 2.
"""
