# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What a valid prompt is, prompts from files, and which frame each of them is for.

Nothing here touches a tracker or a model.
"""
