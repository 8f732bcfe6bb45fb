# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What comes in by topics: images, and prompts such as clicks.

Nothing here publishes or answers; images and prompts go to the worker, and that is all.
"""
