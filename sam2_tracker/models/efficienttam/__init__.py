# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
EfficientTAM: SAM 2 with a plain vision transformer for its eyes.

Its configuration, and the parts of it that SAM 2 has not; all else are SAM 2's classes. Weights
are those that its authors publish.
"""
