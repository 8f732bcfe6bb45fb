# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Which boxes of a detector become objects, and when these go.

No frames, no model and no ROS: who asks says which objects there are on a frame.
"""
