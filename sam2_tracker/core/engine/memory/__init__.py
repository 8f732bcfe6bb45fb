# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What is remembered of an object: kept, read for a frame, forgotten, carried elsewhere.

No other room decides what memory attention reads or what may be forgotten.
"""
