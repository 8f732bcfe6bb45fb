# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
From a model's name and settings to a predictor: checkpoints, their download, weights, device.

Nothing here tracks or reads frames.
"""
