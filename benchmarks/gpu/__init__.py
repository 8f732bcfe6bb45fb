# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A judge that needs a GPU for minutes only, and the folder in which it travels to one."""
