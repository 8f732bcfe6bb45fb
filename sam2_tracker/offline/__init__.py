# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Every frame of bags, videos and folders: `sources` read, `run` tracks, `sinks` write.

The command `process` stands on top of these rooms, which know nothing of it; none imports ROS.
"""
