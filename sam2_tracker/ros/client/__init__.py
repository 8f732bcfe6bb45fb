# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker as other programs see it: by its topics and services, from outside.

Nothing here imports the node or a part of it. The one rclpy client that the prompt console and the
shell's `prompt` share belongs here.
"""
