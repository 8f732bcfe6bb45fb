# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker at work on a real video, and the proof that its masks are stock SAM 2's."""
