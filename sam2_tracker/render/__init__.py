# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Pictures of results: overlays, colours by object id, label pictures, contact sheets.

Nothing here imports ROS or torch, or decides what is shown when.
"""
