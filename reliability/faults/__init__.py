# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The faults, by where they strike; `python -m reliability.faults` plays them all."""
