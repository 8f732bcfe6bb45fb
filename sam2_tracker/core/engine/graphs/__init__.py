# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Work that is recorded once and replayed with other numbers in it.

What is worth a recording, and for how long, is decided here without a GPU; `recorder` has CUDA's.
"""
