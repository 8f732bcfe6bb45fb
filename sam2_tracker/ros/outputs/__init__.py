# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What is published of results: a class for each output, and the thread that publishes.

Nothing here touches the tracker or the model.
"""
