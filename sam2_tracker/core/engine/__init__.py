# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""SAM 2 on an endless stream: the only part of the core that runs a model."""
