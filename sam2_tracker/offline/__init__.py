# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Every frame of bags, videos and folders: reading, tracking, writing. Free of ROS."""
