# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Recordings as frames in order: bags, video files, folders of pictures, webcams.

Nothing here knows of prompts, tracking or outputs.
"""
