# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Objects from frame to frame: states, prompts on past frames, replays."""
