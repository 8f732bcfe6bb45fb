# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Standing commands that try to break the node and the offline command: soak, faults, fuzz."""
