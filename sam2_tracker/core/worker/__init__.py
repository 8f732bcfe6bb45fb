# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The thread that owns the model, what it does with each frame, and the requests that reach it.

In the node only it calls the tracker, and it imports no model: predictor and frame buffer are
given to it.
"""
