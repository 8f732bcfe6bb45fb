# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The ROS 2 side: the only place that imports rclpy and messages.

The room `node` puts `inputs`, `outputs` and `services` together; these, `camera` and `client` know
of no other room. What several of them need stands here, beside them, and imports none.
"""
