# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The frame buffer: pictures kept for prompts and replays, on disk and in RAM."""
