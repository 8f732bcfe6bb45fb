# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Objects from frame to frame: their states, prompts on past frames, replays, changes of size.

Nothing here imports a model (the predictor is given to it), waits, or knows of threads and
clocks.
"""
