# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The bundled small model: its configuration, trunk and weights.

Nothing here builds it: SAM 2's own builders do, from the configuration.
"""
