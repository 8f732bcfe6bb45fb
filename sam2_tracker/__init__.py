# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Track the objects that you point at in a camera stream, with SAM 2."""
