# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The executable `video_source`: a video, a folder of pictures or a webcam as a camera topic.

It knows nothing of the tracker; what it shares with its node stands beside the rooms.
"""
